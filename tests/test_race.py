"""Races in a fake time: scripted events into the state machine, and the orders that come out of it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from robo.protocol import spectator as wire
from robo.simulation.laps import LapTimes
from robo.simulation.race import CEREMONY_SECONDS, LEAST_GRID_GAP, ROLL_OUT_SECONDS, Phase, Race
from robo.simulation.session import Enter, FreePractice, Leave, Motors, Order, Place, Retire, Save
from robo.simulation.world import LapCompleted

LENGTH = 12.0
RULES = wire.RaceParameters(
    timestamp=0.0,
    num_segments=30,
    num_segments_between_cars=2,
    lap_count=2,
    auto_start_qualifying_seconds=5,
    qualifying_duration_seconds=30,
    auto_start_race_seconds=3,
    race_timeout_seconds=100,
    race_timeout_after_winner_seconds=20,
    mode="race",
)


class Script:
    """A race, and the time and laps that it is told. ``log`` holds what it orders, in order."""

    def __init__(self, *cars: str, rules: wire.RaceParameters = RULES) -> None:
        self.frame = 0
        self.times: dict[str, LapTimes] = {}
        self.on_track: set[str] = set()
        self.race = Race(rules, LENGTH, self.laps)
        self.log: list[Order] = []
        self.take(self.race.begin(self.now))
        for car in cars:
            self.join(car)

    @property
    def now(self) -> float:
        return self.frame / 60

    def laps(self, name: str) -> LapTimes:
        assert name in self.on_track
        return self.times.get(name, LapTimes())

    def take(self, orders: list[Order]) -> list[Order]:
        """Follow orders as the server would; what was ordered."""
        for order in orders:
            if isinstance(order, Enter):
                assert order.car not in self.on_track
                self.on_track.add(order.car)
            elif isinstance(order, Leave):
                self.on_track.remove(order.car)
            elif isinstance(order, Place | Retire):
                assert order.car in self.on_track
            if isinstance(order, Enter | Place):
                self.times.pop(order.car, None)
        self.log += orders
        return orders

    def join(self, name: str) -> list[Order]:
        return self.take(self.race.joined(wire.CarInfo(name, team_id="t", timestamp=self.now), self.now))

    def leave(self, name: str) -> list[Order]:
        return self.take(self.race.left(name, self.now))

    def run(self, seconds: float) -> list[Order]:
        """Let time pass; what was ordered in it."""
        orders: list[Order] = []
        for _ in range(round(seconds * 60)):
            self.frame += 1
            orders += self.take(self.race.stepped([], self.now))
        return orders

    def lap(self, *cars: str) -> list[Order]:
        """One frame in which these cars complete a lap, each a millisecond after the one before."""
        self.frame += 1
        for place, name in enumerate(cars):
            self.times[name] = self._next(self.times.get(name), self.now - 0.016 + place / 1000)
        return self.take(self.race.stepped([LapCompleted(name) for name in sorted(cars)], self.now))

    def _next(self, before: LapTimes | None, time: float) -> LapTimes:
        if before is None:
            return LapTimes(1, 5.0, 5.0, time)
        lap = time - before.total_time
        return LapTimes(before.lap_count + 1, lap, min(lap, before.best_lap), time)

    def proceed(self, *phases: Phase) -> list[Order]:
        """Go on, phase by phase, and see that these follow."""
        orders: list[Order] = []
        for phase in phases:
            orders = self.take(self.race.command(wire.ProceedToNextPhase(), self.now))
            assert self.race.phase is phase
        return orders


def kinds(orders: list[Order]) -> list[str]:
    return [type(order).__name__ for order in orders]


def of(kind: type, orders: list[Order]) -> list:
    return [order for order in orders if isinstance(order, kind)]


def remaining(orders: list[Order]) -> list[int]:
    return [message.seconds_remaining for message in of(wire.SecondsRemaining, orders)]


def racing(*cars: str, rules: wire.RaceParameters = RULES) -> Script:
    script = Script(*cars, rules=rules)
    script.proceed(Phase.QUALIFYING, Phase.GRID, Phase.RACE)
    return script


class TestLobby:
    def test_an_empty_lobby_waits_for_ever(self) -> None:
        script = Script()
        assert kinds(script.log) == ["Motors", "RaceLobbyInit"]
        assert of(wire.RaceLobbyInit, script.log)[0].race_parameters == RULES
        assert not script.race.waiting
        assert script.run(100) == []
        assert script.proceed(Phase.LOBBY) == []

    def test_the_countdown_starts_with_the_first_car(self) -> None:
        script = Script()
        script.run(10)
        assert kinds(script.join("ada")) == ["CarConnected", "SecondsRemaining"]
        assert script.race.waiting
        script.run(1.5)
        assert kinds(script.join("bob")) == ["CarConnected"]
        orders = script.run(3.5)
        assert script.race.phase is Phase.QUALIFYING
        assert remaining(script.log)[:6] == [5, 4, 3, 2, 1, 0]
        times = [m.timestamp for m in of(wire.SecondsRemaining, script.log)[:6]]
        assert times == pytest.approx([10, 11, 12, 13, 14, 15])
        assert [car.name for car in of(wire.QualifyingStart, orders)[0].cars] == ["ada", "bob"]

    def test_it_stops_with_the_last_and_starts_anew(self) -> None:
        script = Script("ada")
        script.run(4)
        assert kinds(script.leave("ada")) == ["CarDisconnected"]
        assert script.run(100) == []
        assert remaining(script.join("bob")) == [5]
        script.run(4.9)
        assert script.race.phase is Phase.LOBBY

    def test_reset_starts_it_anew(self) -> None:
        script = Script("ada")
        script.run(4)
        orders = script.take(script.race.command(wire.ResetSimulator(), script.now))
        assert kinds(orders) == ["Motors", "RaceLobbyInit", "SecondsRemaining"]
        assert remaining(orders) == [5]


class TestQualifying:
    def test_cars_come_on_track_evenly_spread(self) -> None:
        script = Script("ada", "bob", "cid")
        orders = script.proceed(Phase.QUALIFYING)
        assert kinds(orders) == [
            *["Enter", "CarAdded"] * 3,
            *("Motors", "QualifyingStart", "CurrentStandings", "SecondsRemaining"),
        ]
        distances = [order.distance for order in of(Enter, orders)]
        assert distances == pytest.approx([11.8, 7.8, 3.8])
        assert of(wire.CurrentStandings, orders)[0].qualifying

    def test_it_ends_with_the_best_laps(self) -> None:
        script = Script("ada", "bob", "cid")
        script.proceed(Phase.QUALIFYING)
        script.times["bob"] = LapTimes(3, 9.0, 8.0, 29.0)
        script.times["cid"] = LapTimes(2, 7.5, 7.5, 20.0)
        assert [lap.car.name for lap in script.race.standings(script.now).standings] == ["cid", "bob", "ada"]
        orders = script.run(30)
        assert remaining(orders)[:30] == list(range(29, -1, -1))
        assert script.race.phase is Phase.GRID
        results = of(wire.QualifyingResults, orders)[0].results
        assert [(lap.car.name, lap.best_lap) for lap in results] == [("cid", 7.5), ("bob", 8.0), ("ada", 0.0)]

    def test_a_car_that_logs_in_waits_for_the_next_lobby(self) -> None:
        script = racing("ada")
        assert kinds(script.join("late")) == ["CarConnected"]
        script.proceed(Phase.FINISHED, Phase.LOBBY)
        orders = script.proceed(Phase.QUALIFYING)
        assert [order.car for order in of(Enter, orders)] == ["ada", "late"]

    def test_who_leaves_keeps_a_place_in_the_results_but_not_on_the_grid(self) -> None:
        script = Script("ada", "bob")
        script.proceed(Phase.QUALIFYING)
        script.times["ada"] = LapTimes(1, 7.0, 7.0, 7.0)
        orders = script.leave("ada")
        assert kinds(orders) == ["Leave", "CarRemoved", "CarDisconnected", "CurrentStandings"]
        orders = script.proceed(Phase.GRID)
        results = of(wire.QualifyingResults, orders)[0].results
        assert [(lap.car.name, lap.best_lap, lap.dnf) for lap in results] == [
            ("ada", 7.0, True),
            ("bob", 0.0, False),
        ]
        assert [order.car for order in of(Place, orders)] == ["bob"]

    def test_when_all_leave_the_race_is_over_at_once(self) -> None:
        script = Script("ada", "bob")
        script.proceed(Phase.QUALIFYING)
        script.leave("ada")
        orders = script.leave("bob")
        assert script.race.phase is Phase.FINISHED
        assert [result.dnf for result in of(wire.RaceFinished, orders)[0].standings] == [True, True]
        script.run(CEREMONY_SECONDS)
        assert script.race.phase is Phase.LOBBY
        assert not script.race.waiting


class TestGrid:
    def test_cars_line_up_in_order_with_the_motors_off(self) -> None:
        script = Script("ada", "bob", "cid")
        script.proceed(Phase.QUALIFYING)
        script.times["cid"] = LapTimes(1, 7.0, 7.0, 7.0)
        orders = script.proceed(Phase.GRID)
        assert kinds(orders) == [
            *("Motors", "QualifyingResults", "StartingGridInit"),
            *["Place"] * 3,
            *("CurrentStandings", "SecondsRemaining"),
        ]
        assert of(Motors, orders) == [Motors(False)]
        assert [car.name for car in of(wire.StartingGridInit, orders)[0].cars] == ["cid", "ada", "bob"]
        gap = 2 * LENGTH / 30
        assert [(order.car, order.distance) for order in of(Place, orders)] == [
            ("cid", pytest.approx(LENGTH - gap)),
            ("ada", pytest.approx(LENGTH - 2 * gap)),
            ("bob", pytest.approx(LENGTH - 3 * gap)),
        ]
        standings = of(wire.CurrentStandings, orders)[0]
        assert not standings.qualifying
        assert [(lap.lap_count, lap.best_lap) for lap in standings.standings] == [(-1, 0.0)] * 3

    def test_forty_cars_fit_on_the_grid_and_none_stands_on_another(self) -> None:
        script = Script(*(f"car{i}" for i in range(40)))
        places = [order.distance for order in of(Place, script.proceed(Phase.QUALIFYING, Phase.GRID))]
        assert len(set(places)) == 40
        assert min(a - b for a, b in pairwise(places)) == pytest.approx(LENGTH / 40)

    def test_cars_stand_apart_even_with_no_segments_between_them(self) -> None:
        rules = wire.RaceParameters(timestamp=0.0, num_segments=30, num_segments_between_cars=0)
        script = Script("ada", "bob", rules=rules)
        places = [order.distance for order in of(Place, script.proceed(Phase.QUALIFYING, Phase.GRID))]
        assert places == pytest.approx([LENGTH - LEAST_GRID_GAP, LENGTH - 2 * LEAST_GRID_GAP])

    def test_the_race_starts_when_the_time_is_up(self) -> None:
        script = Script("ada")
        script.proceed(Phase.QUALIFYING, Phase.GRID)
        orders = script.run(3)
        assert remaining(orders) == [2, 1, 0, 100]
        assert kinds(orders)[-4:] == ["Motors", "RaceStart", "CurrentStandings", "SecondsRemaining"]
        assert of(Motors, orders) == [Motors(True)]


class TestRace:
    def test_to_the_last_car(self) -> None:
        script = racing("ada", "bob")
        started = script.now
        script.run(10)
        assert of(wire.CarFinished, script.lap("ada", "bob")) == []
        script.run(10)
        orders = script.lap("bob")
        assert kinds(orders) == ["Retire", "CarFinished", "RaceWon", "SecondsRemaining"]
        assert remaining(orders) == [20]
        assert orders[1].car.name == orders[2].car.name == "bob"
        orders = script.run(ROLL_OUT_SECONDS)
        assert of(Leave, orders) == [Leave("bob")]
        assert [m.car.name for m in of(wire.CarRemoved, orders)] == ["bob"]
        orders = script.lap("ada")
        assert kinds(orders) == ["Retire", "CarFinished", "Motors", "RaceFinished", "Save"]
        finished = of(wire.RaceFinished, orders)[0]
        assert of(Save, orders) == [Save(finished)]
        assert [(r.car.name, r.lap_count, r.dnf) for r in finished.standings] == [
            ("bob", 2, False),
            ("ada", 2, False),
        ]
        total = finished.standings[0].total_time
        assert total == pytest.approx(20, abs=0.1)
        assert total < script.now - started
        orders = script.run(CEREMONY_SECONDS)
        assert kinds(orders) == [
            *("Leave", "CarRemoved", "Motors", "RaceLobbyInit", "SecondsRemaining"),
        ]
        assert script.race.waiting
        assert script.on_track == set()

    def test_who_crosses_first_in_the_same_frame_wins(self) -> None:
        script = racing("ada", "bob")
        script.lap("bob", "ada")
        orders = script.lap("bob", "ada")
        assert [m.car.name for m in of(wire.RaceWon, orders)] == ["bob"]
        assert [m.car.name for m in of(wire.CarFinished, orders)] == ["bob", "ada"]

    def test_after_the_winner_everyone_finishes_at_the_line(self) -> None:
        script = racing("ada", "bob", "cid")
        script.lap("ada")
        script.lap("ada")
        script.run(5)
        orders = script.lap("bob")
        assert [m.car.name for m in of(wire.CarFinished, orders)] == ["bob"]
        assert of(wire.RaceWon, orders) == []
        orders = script.run(30)
        assert script.race.phase is not Phase.RACE
        results = of(wire.RaceFinished, orders)[0].standings
        assert [(r.car.name, r.lap_count, r.dnf) for r in results] == [
            ("ada", 2, False),
            ("bob", 1, False),
            ("cid", -1, True),
        ]

    def test_it_ends_some_time_after_the_winner(self) -> None:
        script = racing("ada", "bob")
        script.lap("ada")
        script.lap("ada")
        won = script.now
        finished = of(wire.RaceFinished, script.run(30))[0]
        assert finished.timestamp == pytest.approx(won + 20)
        assert remaining(script.log).count(20) == 1

    def test_it_times_out(self) -> None:
        script = racing("ada", "bob")
        script.run(99.9)
        assert script.race.phase is Phase.RACE
        script.lap("bob")
        orders = script.run(0.1)
        assert remaining(orders) == [0]
        assert kinds(orders)[-3:] == ["Motors", "RaceFinished", "Save"]
        results = of(wire.RaceFinished, orders)[0].standings
        assert [(r.car.name, r.lap_count, r.dnf) for r in results] == [("bob", 1, True), ("ada", -1, True)]

    def test_a_spectator_can_end_it(self) -> None:
        script = racing("ada")
        orders = script.proceed(Phase.FINISHED)
        assert [r.dnf for r in of(wire.RaceFinished, orders)[0].standings] == [True]
        assert kinds(script.proceed(Phase.LOBBY)) == [
            *("Leave", "CarRemoved", "Motors", "RaceLobbyInit", "SecondsRemaining"),
        ]

    def test_who_leaves_did_not_finish(self) -> None:
        script = racing("ada", "bob")
        script.lap("ada")
        orders = script.leave("ada")
        assert kinds(orders) == ["Leave", "CarRemoved", "CarDisconnected", "CurrentStandings"]
        script.lap("bob")
        orders = script.lap("bob")
        results = of(wire.RaceFinished, orders)[0].standings
        assert [(r.car.name, r.lap_count, r.dnf) for r in results] == [("bob", 2, False), ("ada", 1, True)]

    def test_who_leaves_after_finishing_has_finished(self) -> None:
        script = racing("ada", "bob")
        script.lap("ada")
        script.lap("ada")
        script.run(2)
        assert kinds(script.leave("ada")) == ["CarDisconnected", "CurrentStandings"]
        orders = script.leave("bob")
        results = of(wire.RaceFinished, orders)[0].standings
        assert [(r.car.name, r.dnf) for r in results] == [("ada", False), ("bob", True)]

    def test_a_name_may_come_back_and_waits(self) -> None:
        script = racing("ada", "bob")
        script.leave("ada")
        script.join("ada")
        assert kinds(script.leave("ada")) == ["CarDisconnected"]
        script.join("ada")
        script.proceed(Phase.FINISHED, Phase.LOBBY)
        orders = script.proceed(Phase.QUALIFYING)
        assert [order.car for order in of(Enter, orders)] == ["bob", "ada"]

    def test_reset_takes_everyone_back_to_the_lobby(self) -> None:
        script = racing("ada", "bob")
        script.run(3)
        orders = script.take(script.race.command(wire.ResetSimulator(), script.now))
        assert kinds(orders) == [
            *["Leave", "CarRemoved"] * 2,
            *("Motors", "RaceLobbyInit", "SecondsRemaining"),
        ]
        assert of(wire.RaceFinished, script.log) == []
        assert remaining(script.run(5))[:5] == [4, 3, 2, 1, 0]
        assert script.race.phase is Phase.QUALIFYING

    def test_motors_toggle(self) -> None:
        script = racing("ada")
        toggle = wire.MotorsToggle()
        assert script.race.command(toggle, script.now) == [Motors(False)]
        assert script.race.command(toggle, script.now) == [Motors(True)]

    def test_standings_by_laps_then_by_who_had_them_first(self) -> None:
        script = racing("ada", "bob", "cid", "dan")
        script.times["bob"] = LapTimes(0, math.nan, math.nan, 4.0)
        script.times["cid"] = LapTimes(1, 9.0, 9.0, 12.0)
        script.times["dan"] = LapTimes(1, 8.0, 8.0, 11.0)
        standings = script.race.standings(script.now)
        assert not standings.qualifying
        assert [lap.car.name for lap in standings.standings] == ["dan", "cid", "ada", "bob"]

    def test_one_race_after_another(self) -> None:
        script = Script("ada", "bob")
        for _ in range(3):
            script.run(5 + 30 + 3)
            assert script.race.phase is Phase.RACE
            script.lap("ada", "bob")
            script.lap("ada", "bob")
            assert script.race.phase is Phase.FINISHED
            script.run(CEREMONY_SECONDS)
        assert len(of(Save, script.log)) == 3
        assert remaining(script.log)[:7] == [5, 4, 3, 2, 1, 0, 30]


class TestFreePractice:
    def practice(self) -> tuple[FreePractice, list[str]]:
        practice = FreePractice(lambda name: LapTimes())
        assert practice.begin(0.0) == []
        orders = practice.joined(wire.CarInfo("ada", timestamp=0.0), 0.0)
        orders += practice.joined(wire.CarInfo("bob", timestamp=0.0), 1.0)
        return practice, kinds(orders)

    def test_cars_come_and_go(self) -> None:
        practice, told = self.practice()
        assert told == [
            *("Enter", "FreePracticeStart", "CarConnected", "CarAdded"),
            *("Enter", "CarConnected", "CarAdded"),
        ]
        assert practice.stepped([LapCompleted("ada")], 2.0) == []
        assert kinds(practice.left("ada", 2.0)) == ["Leave", "CarRemoved", "CarDisconnected"]
        assert not practice.waiting

    def test_commands(self) -> None:
        practice, _ = self.practice()
        assert practice.command(wire.ProceedToNextPhase(), 2.0) == []
        assert practice.command(wire.MotorsToggle(), 2.0) == [Motors(False)]
        assert practice.command(wire.ResetSimulator(), 3.0) == [
            Motors(True),
            Place("ada"),
            Place("bob"),
            wire.FreePracticeStart(timestamp=3.0),
        ]
        assert practice.command(wire.MotorsToggle(), 4.0) == [Motors(False)]
