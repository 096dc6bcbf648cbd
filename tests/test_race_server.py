"""Races over real sockets, with a real world and cars that follow the colours; and the log of one played."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from processes.simulator import open_server
from robo import config
from robo.config import ROOT
from robo.driving.debug_policy import follow_colors
from robo.perception.color_mass import color_mass
from robo.protocol import spectator as wire
from robo.protocol.car import NO_OP, FrameDecoder, command_line, login_line
from robo.protocol.lines import LineDecoder
from robo.simulation.race import Race
from robo.simulation.replay_server import ReplayServer
from robo.simulation.server import Server
from robo.simulation.track import Track
from robo.simulation.world import World
from scripts.replay_race import open_player

PATIENCE = 20.0
ANY_PORT = ("127.0.0.1", 0)


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    """Run a server in a thread until the end of the block; whatever it raises is raised here."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with server:
                server.run(stop.is_set)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not failures, failures


class Spectator:
    """A client that keeps every line it gets."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.lines: list[bytes] = []
        self._decoder = LineDecoder(1 << 20)
        self._read = 0

    def receive(self) -> bool:
        """Wait for more; False at the end of the stream."""
        data = self.socket.recv(1 << 18)
        self.lines += self._decoder.feed(data)
        return bool(data)

    def until(self, wanted: Callable[[wire.SpectatorMessage], bool] | type) -> list[wire.SpectatorMessage]:
        """The next messages up to the first one that is wanted, or of that class."""
        messages = []
        while True:
            while self._read == len(self.lines):
                assert self.receive(), "the stream has ended"
            messages.append(wire.decode(self.lines[self._read]))
            self._read += 1
            if isinstance(messages[-1], wanted) if isinstance(wanted, type) else wanted(messages[-1]):
                return messages

    def send(self, command: wire.SpectatorCommand) -> None:
        self.socket.sendall(wire.encode(command))


class Car:
    """A client that answers every frame, in a thread, until the connection ends or it is told to stop."""

    def __init__(self, server: Server, name: str, drive: Callable[[np.ndarray], bytes]) -> None:
        self.frames = 0
        self.socket = socket.create_connection(server.car_address, PATIENCE)
        self.socket.sendall(login_line(name, "team", "#336699", 64))
        self._drive = drive
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        decoder = FrameDecoder()
        with contextlib.suppress(OSError):
            while data := self.socket.recv(1 << 16):
                for png in decoder.feed(data):
                    self.frames += 1
                    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
                    self.socket.sendall(self._drive(picture))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.socket.close()


@pytest.fixture
def cars() -> Iterator[list[Car]]:
    cars: list[Car] = []
    yield cars
    for car in cars:
        car.close()


def following(throttle: float) -> Callable[[np.ndarray], bytes]:
    def drive(picture: np.ndarray) -> bytes:
        _, turn = follow_colors(color_mass(picture))
        return command_line(throttle=throttle, turn=turn)

    return drive


def phases(messages: list[wire.SpectatorMessage]) -> list[str]:
    return [
        type(m).__name__
        for m in messages
        if isinstance(
            m,
            wire.RaceLobbyInit
            | wire.QualifyingStart
            | wire.QualifyingResults
            | wire.StartingGridInit
            | wire.RaceStart
            | wire.CarFinished
            | wire.RaceWon
            | wire.RaceFinished,
        )
    ]


def only(kind: type, messages: list[wire.SpectatorMessage]) -> list:
    return [message for message in messages if isinstance(message, kind)]


def test_a_race_from_the_lobby_to_the_results_and_its_replay(tmp_path: Path, cars: list[Car]) -> None:
    log, results = tmp_path / "race.log", tmp_path / "results.json"
    settings = config.load(
        sets=[
            *("simulator.car_port=0", "simulator.spectator_port=0", "simulator.mode=race"),
            "simulator.ghosts=true",  # the faster car starts behind and has no eye for the other
            f"simulator.race_log={log}",
            f"simulator.race.results_file={results}",
            *("simulator.race.lap_count=1", "simulator.race.auto_start_qualifying_seconds=1000"),
            *("simulator.race.qualifying_seconds=2", "simulator.race.auto_start_race_seconds=1"),
        ]
    )
    with running(open_server(settings)) as server:
        spectator = Spectator(server.spectator_address)
        spectator.until(wire.RaceParameters)
        cars.append(Car(server, "slow", following(0.04)))
        cars.append(Car(server, "fast", following(0.05)))
        lobby = spectator.until(lambda m: isinstance(m, wire.CarConnected) and m.car.name == "fast")
        assert only(wire.CarAdded, lobby) == []
        assert cars[0].frames == 0  # nobody is on track yet
        spectator.send(wire.ProceedToNextPhase())
        start = spectator.until(wire.QualifyingStart)
        assert [m.car.name for m in only(wire.CarAdded, start)] == ["slow", "fast"]
        messages = start + spectator.until(wire.RaceFinished)
        late = Spectator(server.spectator_address)
        greeting = late.until(wire.CarAdded) if server._cars else []
        assert [type(m) for m in greeting[:1]] in ([], [wire.RaceParameters])
        back = spectator.until(wire.RaceLobbyInit)

    assert phases(messages) == [
        *("QualifyingStart", "QualifyingResults", "StartingGridInit", "RaceStart"),
        *("CarFinished", "RaceWon", "CarFinished", "RaceFinished"),
    ]
    qualifying = [
        m.timestamp for m in messages if isinstance(m, wire.QualifyingStart | wire.QualifyingResults)
    ]
    assert qualifying[1] - qualifying[0] == pytest.approx(2.0)
    on_the_grid = messages[messages.index(*only(wire.StartingGridInit, messages)) :]
    grid = only(wire.GameStatus, on_the_grid)[30]
    assert all(math.hypot(car.velocity.x, car.velocity.z) < 0.01 for car in grid.cars)
    finished = messages[-1]
    assert [(r.car.name, r.lap_count, r.dnf) for r in finished.standings] == [
        ("fast", 1, False),
        ("slow", 1, False),
    ]
    assert 10 < finished.standings[0].best_lap < finished.standings[1].best_lap < 40
    assert len(only(wire.CarRemoved, messages + back)) == 2
    saved = json.loads(results.read_text())
    assert saved == json.loads(wire.encode(finished))

    logged = log.read_bytes().splitlines()
    assert [type(wire.decode(line)) for line in logged[:2]] == [wire.RaceParameters, wire.RaceLobbyInit]
    assert logged[2 : 1 + len(spectator.lines)] == spectator.lines[1:]
    with running(ReplayServer(open_player(log, 1e9, loop=False), ANY_PORT)) as replay:
        again = Spectator(replay.address)
        while again.receive():
            pass
    assert again.lines == logged


def test_a_name_is_taken_on_track_and_in_the_lobby_and_waiting_cars_come_and_go(cars: list[Car]) -> None:
    world = World(Track.load(ROOT / "configs" / "tracks" / "esses.json"))
    rules = wire.RaceParameters(num_segments=30, auto_start_qualifying_seconds=1000, timestamp=0.0)
    race = Race(rules, world.track.length, world.laps)
    with running(Server(world, ANY_PORT, ANY_PORT, session=race)) as server:
        spectator = Spectator(server.spectator_address)

        def refused(name: str) -> bool:
            with socket.create_connection(server.car_address, PATIENCE) as other:
                other.sendall(login_line(name, "team", "#000000"))
                return other.recv(1) == b""

        cars.append(Car(server, "ada", lambda picture: NO_OP))
        spectator.until(wire.CarConnected)
        assert refused("ada")
        spectator.send(wire.ProceedToNextPhase())
        spectator.until(wire.GameStatus)
        assert refused("ada")
        late = Car(server, "late", lambda picture: NO_OP)
        spectator.until(wire.CarConnected)
        assert refused("late")
        late.close()
        gone = spectator.until(wire.CarDisconnected)
        assert gone[-1].car.name == "late"
        assert only(wire.CarRemoved, gone) == []
        assert late.frames == 0
        cars[0].close()
        finished = spectator.until(wire.RaceFinished)  # at once: nobody is left
        assert [(r.car.name, r.dnf) for r in finished[-1].standings] == [("ada", True)]
        spectator.until(wire.RaceLobbyInit)
        assert server.counters.refused_logins == 3


class TestCommandsInFreePractice:
    @pytest.fixture
    def practice(self, cars: list[Car]) -> Iterator[Spectator]:
        world = World(Track.load(ROOT / "configs" / "tracks" / "esses.json"))
        with running(Server(world, ANY_PORT, ANY_PORT)) as server:
            spectator = Spectator(server.spectator_address)
            cars.append(Car(server, "ada", following(0.04)))
            spectator.until(lambda m: isinstance(m, wire.GameStatus) and speed(m) > 0.3)
            yield spectator

    def test_motors_go_off_and_on_again(self, practice: Spectator) -> None:
        practice.send(wire.MotorsToggle())
        halt = practice.until(lambda m: isinstance(m, wire.GameStatus) and speed(m) < 0.01)[-1].timestamp
        # Standing for long is no reason to be returned while the motors are off.
        messages = practice.until(lambda m: isinstance(m, wire.GameStatus) and m.timestamp > halt + 3)
        assert only(wire.CarReturnedToTrack, messages) == []
        assert speed(messages[-1]) < 0.01
        practice.send(wire.MotorsToggle())
        practice.until(lambda m: isinstance(m, wire.GameStatus) and speed(m) > 0.3)

    def test_reset_puts_cars_back_to_their_start(self, practice: Spectator) -> None:
        start = next(wire.decode(line) for line in practice.lines if b"GameStatus" in line).cars[0].position
        practice.send(wire.ResetSimulator())
        practice.until(wire.FreePracticeStart)
        status = practice.until(wire.GameStatus)[-1].cars[0]
        assert math.hypot(status.position.x - start.x, status.position.z - start.z) < 0.01
        assert status.track_segment == -1

    def test_there_is_no_next_phase(self, practice: Spectator) -> None:
        practice.send(wire.ProceedToNextPhase())
        practice.until(lambda m: isinstance(m, wire.GameStatus) and speed(m) > 0.3)


def speed(status: wire.GameStatus) -> float:
    return math.hypot(status.cars[0].velocity.x, status.cars[0].velocity.z)


class TestWorld:
    """What a race asks of the world."""

    TRACK = Track.load(ROOT / "configs" / "tracks" / "esses.json")

    def run(self, world: World, seconds: float) -> None:
        for _ in range(round(seconds * 60)):
            for name in world.cars:
                world.hear(name)
            world.step()

    def test_a_car_is_placed_at_rest_with_fresh_laps(self) -> None:
        world = World(self.TRACK)
        world.add_car("ada")
        start = world.status("ada")
        world.command("ada", throttle=0.1)
        self.run(world, 1)
        for distance in (5.0, -1.0, None):
            world.place("ada", distance)
            status = world.status("ada")
            expected = start.position if distance is None else self.TRACK.pose(distance)[:3]
            assert status.position[::2] == pytest.approx(expected[::2], abs=1e-6)
            assert math.hypot(*status.velocity) == 0.0
            assert status.track_segment == -1
            assert world.laps("ada").lap_count == -1
            self.run(world, 1)

    def test_without_motors_neither_throttle_nor_brake_do_anything(self) -> None:
        worlds = World(self.TRACK), World(self.TRACK)
        for world in worlds:
            world.add_car("ada")
            world.command("ada", throttle=0.1)
            self.run(world, 1)
        off, rolling = worlds
        off.motors = False
        off.command("ada", brake=1.0)
        rolling.command("ada", throttle=0.0)
        for world in worlds:
            self.run(world, 0.2)
        assert off.status("ada") == rolling.status("ada")
