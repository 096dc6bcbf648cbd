"""What the cars meet for: who is on track, from where, and what spectators are told about it; no I/O.

A session is told what has happened and answers with what is to be done: messages for the spectators, and
orders for whoever owns the world and the sockets, to be carried out in the order given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from robo.protocol import spectator as wire
from robo.simulation.laps import LapTimes
from robo.simulation.world import Event

LapsOf = Callable[[str], LapTimes]
"""The laps of a car on track, as ``World.laps`` tells them."""


@dataclass(frozen=True)
class Enter:
    """Put a connected car on track, at rest; ``distance`` in metres, None: its free practice place."""

    car: str
    distance: float | None = None


@dataclass(frozen=True)
class Leave:
    """Take a car off the track; its connection stays."""

    car: str


@dataclass(frozen=True)
class Place:
    """Put a car on track elsewhere on it, at rest, its laps begun anew; ``distance`` as for Enter."""

    car: str
    distance: float | None = None


@dataclass(frozen=True)
class Retire:
    """Let a car on track roll out: its driver is no longer heard."""

    car: str


@dataclass(frozen=True)
class Motors:
    """Switch the motors of all cars on or off."""

    on: bool


@dataclass(frozen=True)
class Save:
    """Write the results file."""

    results: wire.RaceFinished


Order = wire.Message | Enter | Leave | Place | Retire | Motors | Save


class Session(Protocol):
    """What the simulator is for at the moment; ``now`` is in seconds of simulation time throughout."""

    @property
    def waiting(self) -> bool:
        """Whether time has to go on although no car may be on track."""
        ...

    def begin(self, now: float) -> list[Order]:
        """Start; called once, before everything else."""
        ...

    def joined(self, car: wire.CarInfo, now: float) -> list[Order]:
        """Note that a car has logged in, under a name that no connected car has."""
        ...

    def left(self, name: str, now: float) -> list[Order]:
        """Note that a car's connection has ended; a car on track is taken off by an order."""
        ...

    def lap(self, name: str, now: float) -> wire.LapCompleted:
        """The laps so far of a car on track."""
        ...

    def standings(self, now: float) -> wire.CurrentStandings:
        """Everybody's laps, best first."""
        ...

    def stepped(self, events: Sequence[Event], now: float) -> list[Order]:
        """Note that a frame was simulated, and what happened in it."""
        ...

    def command(self, command: wire.SpectatorCommand, now: float) -> list[Order]:
        """Do what a spectator asks for."""
        ...


class FreePractice:
    """Everyone drives as they like, from the moment that they log in."""

    def __init__(self, laps: LapsOf) -> None:
        self.waiting = False
        self._laps = laps
        self._cars: dict[str, wire.CarInfo] = {}
        self._started = False
        self._motors = True

    def begin(self, now: float) -> list[Order]:
        """Nothing yet: practice starts with the first car."""
        return []

    def joined(self, car: wire.CarInfo, now: float) -> list[Order]:
        """Put the car on track at once."""
        orders: list[Order] = [Enter(car.name)]
        self._cars[car.name] = car
        if not self._started:
            self._started = True
            orders.append(wire.FreePracticeStart(timestamp=now))
        return [*orders, wire.CarConnected(car, timestamp=now), wire.CarAdded(car, timestamp=now)]

    def left(self, name: str, now: float) -> list[Order]:
        """Take the car off the track."""
        car = self._cars.pop(name)
        return [Leave(name), wire.CarRemoved(car, timestamp=now), wire.CarDisconnected(car, timestamp=now)]

    def lap(self, name: str, now: float) -> wire.LapCompleted:
        """The car's laps since it joined."""
        return lap_message(self._cars[name], self._laps(name), now)

    def standings(self, now: float) -> wire.CurrentStandings:
        """The best lap first; a car without one is not ahead of any that has one."""
        laps = [self.lap(name, now) for name in self._cars]
        return wire.CurrentStandings(sorted(laps, key=best_lap_first), qualifying=True, timestamp=now)

    def stepped(self, events: Sequence[Event], now: float) -> list[Order]:
        """Practice goes on whatever happens."""
        return []

    def command(self, command: wire.SpectatorCommand, now: float) -> list[Order]:
        """Toggle the motors, or put everyone back to where they started; there is no next phase."""
        if isinstance(command, wire.MotorsToggle):
            self._motors = not self._motors
            return [Motors(self._motors)]
        if isinstance(command, wire.ResetSimulator):
            self._motors = True
            places = [Place(name) for name in self._cars]
            return [Motors(True), *places, wire.FreePracticeStart(timestamp=now)]
        return []


def best_lap_first(lap: wire.LapCompleted) -> float:
    """What qualifying is sorted by."""
    return lap.best_lap or math.inf


def lap_message(car: wire.CarInfo, laps: LapTimes, now: float, began: float = 0.0) -> wire.LapCompleted:
    """A car's laps as spectators are told; ``began``: when the session did, from which total times count.

    On the wire, a time that is not known yet is 0.
    """
    total = laps.total_time - began if laps.lap_count >= 0 else 0.0
    times = (seconds if math.isfinite(seconds) else 0.0 for seconds in (laps.last_lap, laps.best_lap, total))
    return wire.LapCompleted(car, laps.lap_count, *times, timestamp=now)
