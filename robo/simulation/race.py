"""A race: lobby, qualifying, starting grid, race, results, and the lobby again; a pure state machine.

Phases end when their time in simulation seconds is up, or when a spectator asks for the next one. Cars that
log in while a race is on wait, off the track, for the next lobby.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from robo.protocol import spectator as wire
from robo.simulation.laps import LapTimes
from robo.simulation.session import (
    Enter,
    LapsOf,
    Leave,
    Motors,
    Order,
    Place,
    Retire,
    Save,
    best_lap_first,
    lap_message,
)
from robo.simulation.world import Event, LapCompleted

ROLL_OUT_SECONDS = 1.0
"""How long a car that has finished rolls on before it is taken off the track."""
CEREMONY_SECONDS = 3.0
"""From the end of a race to the next lobby."""
QUALIFYING_OFFSET = 0.2
"""Metres: nobody qualifies from right on the finish line, where the first lap would begin a lap late."""
LEAST_GRID_GAP = 0.4
"""Metres between cars on the grid, where segments would put them closer."""
TOLERANCE = 1e-6
"""Seconds; far below a frame, and above what sums of frames can be off by."""


class Phase(enum.Enum):
    """Where a race is."""

    LOBBY = enum.auto()
    QUALIFYING = enum.auto()
    GRID = enum.auto()
    RACE = enum.auto()
    FINISHED = enum.auto()


@dataclass
class _Entry:
    """A car that takes part."""

    lap: wire.LapCompleted
    on_track: bool = True
    finished_at: float | None = None
    gone: bool = False
    """Its connection has ended; another car may come under its name, and waits in the lobby."""

    @property
    def driving(self) -> bool:
        """Whether it still has something to do; its laps are final if not."""
        return self.on_track and self.finished_at is None


class Race:
    """One race after another, for as long as anybody comes. A ``session.Session``."""

    def __init__(self, rules: wire.RaceParameters, length: float, laps: LapsOf) -> None:
        """Take the rules as spectators are told them, and the track's length in metres."""
        self.phase = Phase.LOBBY
        self._rules = rules
        self._length = length
        self._laps = laps
        self._lobby: dict[str, wire.CarInfo] = {}
        self._field: dict[str, _Entry] = {}
        self._motors = True
        self._began = 0.0
        self._ends = math.inf
        self._remaining = 0

    @property
    def waiting(self) -> bool:
        """Whether time has to go on: always but in an empty lobby, whose countdown starts with a car."""
        return self.phase is not Phase.LOBBY or bool(self._lobby)

    def begin(self, now: float) -> list[Order]:
        """Open the first lobby."""
        return self._open_lobby(now)

    def joined(self, car: wire.CarInfo, now: float) -> list[Order]:
        """Let the car wait; the first one in a lobby starts the countdown."""
        starts = not self.waiting
        self._lobby[car.name] = car
        orders: list[Order] = [wire.CarConnected(car, timestamp=now)]
        if starts:
            orders += self._start_countdown(self._rules.auto_start_qualifying_seconds, now)
        return orders

    def left(self, name: str, now: float) -> list[Order]:
        """Forget a car that waited; one that takes part stays in the standings, as not finished."""
        if name in self._lobby:
            return [wire.CarDisconnected(self._lobby.pop(name), timestamp=now)]
        entry = self._field[name]
        self._refresh([entry], now)
        orders: list[Order] = []
        if entry.on_track:
            orders += self._take_off(entry, now)
        orders.append(wire.CarDisconnected(entry.lap.car, timestamp=now))
        entry.gone = True
        if self.phase is Phase.FINISHED:
            return orders
        if entry.finished_at is None:
            entry.lap = msgspec.structs.replace(entry.lap, dnf=True)
        return [*orders, self.standings(now), *self._end_without_drivers(now)]

    def lap(self, name: str, now: float) -> wire.LapCompleted:
        """The laps of a car that takes part, since the phase began."""
        self._refresh([self._field[name]], now)
        return self._field[name].lap

    def standings(self, now: float) -> wire.CurrentStandings:
        """In qualifying the best lap first; later the most laps first, and of equals who had them first."""
        self._refresh(self._field.values(), now)
        return self._standings(now)

    def stepped(self, events: Sequence[Event], now: float) -> list[Order]:
        """Let cars finish, take those off the track that have rolled out, and count down."""
        orders: list[Order] = []
        if self.phase is Phase.RACE:
            orders += self._let_finish([e.car for e in events if isinstance(e, LapCompleted)], now)
        for entry in self._field.values():
            finished = entry.finished_at
            if entry.on_track and finished is not None and _is_due(finished + ROLL_OUT_SECONDS, now):
                orders += self._take_off(entry, now)
        if over := self._end_without_drivers(now):
            return orders + over
        return orders + self._count_down(now)

    def command(self, command: wire.SpectatorCommand, now: float) -> list[Order]:
        """Toggle the motors, go on to the next phase, or back to the lobby with everyone connected."""
        if isinstance(command, wire.MotorsToggle):
            return [self._switch_motors(not self._motors)]
        if isinstance(command, wire.ResetSimulator):
            return self._open_lobby(now)
        return self._proceed(now)

    # Phases

    def _proceed(self, now: float) -> list[Order]:
        """End this phase and begin the next; an empty lobby has none to go to."""
        if self.phase is Phase.LOBBY:
            return self._start_qualifying(now) if self._lobby else []
        if self.phase is Phase.QUALIFYING:
            return self._form_grid(now)
        if self.phase is Phase.GRID:
            return self._start_race(now)
        if self.phase is Phase.RACE:
            return self._finish_race(now)
        return self._open_lobby(now)

    def _open_lobby(self, now: float) -> list[Order]:
        self.phase = Phase.LOBBY
        orders: list[Order] = []
        stayed = {}
        for name, entry in self._field.items():
            if entry.on_track:
                orders += self._take_off(entry, now)
            if not entry.gone:
                stayed[name] = entry.lap.car
        self._lobby = stayed | self._lobby
        self._field = {}
        orders += [self._switch_motors(True), wire.RaceLobbyInit(self._rules, timestamp=now)]
        if self._lobby:
            orders += self._start_countdown(self._rules.auto_start_qualifying_seconds, now)
        return orders

    def _start_qualifying(self, now: float) -> list[Order]:
        """Put everyone on track, evenly spread."""
        self.phase = Phase.QUALIFYING
        self._began = now
        cars, self._lobby = list(self._lobby.values()), {}
        self._field = {car.name: _Entry(lap_message(car, LapTimes(), now)) for car in cars}
        orders: list[Order] = []
        for place, car in enumerate(cars):
            behind = QUALIFYING_OFFSET + place * self._length / len(cars)
            orders += [Enter(car.name, -behind % self._length), wire.CarAdded(car, timestamp=now)]
        orders += [
            self._switch_motors(True),
            wire.QualifyingStart(cars, timestamp=now),
            self._standings(now),
        ]
        return orders + self._start_countdown(self._rules.qualifying_duration_seconds, now)

    def _form_grid(self, now: float) -> list[Order]:
        """Line the cars up in the order of their best laps, at rest and with the motors off."""
        self._refresh(self._field.values(), now)
        results = self._ranking()
        self.phase = Phase.GRID
        orders: list[Order] = [
            self._switch_motors(False),
            wire.QualifyingResults(results, timestamp=now),
            wire.StartingGridInit([lap.car for lap in results], timestamp=now),
        ]
        self._field = {lap.car.name: self._field[lap.car.name] for lap in results}
        gap = (self._rules.num_segments_between_cars or 0) * self._length / self._rules.num_segments
        gap = min(max(gap, LEAST_GRID_GAP), self._length / len(results))
        place = 0
        for name, entry in self._field.items():
            fresh = lap_message(entry.lap.car, LapTimes(), now)
            entry.lap = msgspec.structs.replace(fresh, dnf=entry.gone)
            if entry.on_track:
                place += 1
                orders.append(Place(name, -place * gap % self._length))
        orders += [self._standings(now), *self._start_countdown(self._rules.auto_start_race_seconds, now)]
        return orders + self._end_without_drivers(now)

    def _start_race(self, now: float) -> list[Order]:
        self.phase = Phase.RACE
        self._began = now
        orders: list[Order] = [
            self._switch_motors(True),
            wire.RaceStart(timestamp=now),
            self._standings(now),
            *self._start_countdown(self._rules.race_timeout_seconds, now),
        ]
        return orders + self._end_without_drivers(now)

    def _let_finish(self, cars: list[str], now: float) -> list[Order]:
        """Of these, who have just completed a lap, finish whoever has driven all or follows the winner."""
        orders: list[Order] = []
        entries = [self._field[name] for name in cars if self._field[name].driving]
        self._refresh(entries, now)
        won = any(entry.finished_at is not None for entry in self._field.values())
        for entry in sorted(entries, key=lambda entry: entry.lap.total_time):
            if not won and entry.lap.lap_count < self._rules.lap_count:
                continue
            entry.finished_at = now
            car = entry.lap.car
            orders += [Retire(car.name), wire.CarFinished(car, timestamp=now)]
            if not won:
                won = True
                self._ends = min(self._ends, now + self._rules.race_timeout_after_winner_seconds)
                orders.append(wire.RaceWon(car, timestamp=now))
        return orders

    def _finish_race(self, now: float) -> list[Order]:
        """Whoever has not finished by now has not finished."""
        self._refresh(self._field.values(), now)
        for entry in self._field.values():
            if entry.finished_at is None:
                entry.lap = msgspec.structs.replace(entry.lap, dnf=True)
        results = wire.RaceFinished(
            [
                wire.RaceResult(lap.car, lap.lap_count, lap.best_lap, lap.total_time, lap.dnf)
                for lap in self._ranking()
            ],
            timestamp=now,
        )
        self.phase = Phase.FINISHED
        self._ends = now + CEREMONY_SECONDS
        return [self._switch_motors(False), results, Save(results)]

    def _end_without_drivers(self, now: float) -> list[Order]:
        """Go on, at once, when nobody is left who could drive in this phase."""
        over = self.phase in (Phase.QUALIFYING, Phase.GRID, Phase.RACE)
        if over and not any(entry.driving for entry in self._field.values()):
            return self._proceed(now)
        return []

    # The countdown

    def _start_countdown(self, seconds: int, now: float) -> list[Order]:
        self._ends = now + seconds
        self._remaining = -1
        return self._count_down(now)

    def _count_down(self, now: float) -> list[Order]:
        """Tell every full second that remains, and go on when none does."""
        if not self.waiting:
            return []
        if self.phase is Phase.FINISHED:
            return self._proceed(now) if _is_due(self._ends, now) else []
        remaining = max(0, math.ceil(self._ends - now - TOLERANCE))
        if remaining == self._remaining:
            return []
        self._remaining = remaining
        told: list[Order] = [wire.SecondsRemaining(remaining, timestamp=now)]
        return told if remaining else told + self._proceed(now)

    # Cars

    def _refresh(self, entries: Iterable[_Entry], now: float) -> None:
        """Take over the laps of those that drive."""
        for entry in entries:
            if entry.driving:
                entry.lap = lap_message(entry.lap.car, self._laps(entry.lap.car.name), now, self._began)

    def _ranking(self) -> list[wire.LapCompleted]:
        laps = [entry.lap for entry in self._field.values()]
        return sorted(laps, key=best_lap_first if self.phase is Phase.QUALIFYING else _most_laps_first)

    def _standings(self, now: float) -> wire.CurrentStandings:
        """As they were last refreshed: orders on their way may be about to change the laps."""
        qualifying = self.phase is Phase.QUALIFYING
        return wire.CurrentStandings(self._ranking(), qualifying=qualifying, timestamp=now)

    def _take_off(self, entry: _Entry, now: float) -> list[Order]:
        entry.on_track = False
        car = entry.lap.car
        return [Leave(car.name), wire.CarRemoved(car, timestamp=now)]

    def _switch_motors(self, on: bool) -> Motors:
        self._motors = on
        return Motors(on)


def _most_laps_first(lap: wire.LapCompleted) -> tuple[int, float]:
    """What a race is sorted by; cars without a lap stay in the order of the grid."""
    return -max(lap.lap_count, 0), lap.total_time if lap.lap_count > 0 else 0.0


def _is_due(time: float, now: float) -> bool:
    return now >= time - TOLERANCE
