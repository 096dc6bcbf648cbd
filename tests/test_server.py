"""The simulator's server over real sockets, around a world with scripted events and numbered frames."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from robo import config
from robo.config import ROOT
from robo.errors import UserError
from robo.protocol import spectator as wire
from robo.protocol.car import (
    NO_OP,
    FrameDecoder,
    Restart,
    command_line,
    is_raw,
    login_line,
    raw_size,
    restart_line,
)
from robo.protocol.lines import LINE_LIMIT, LineDecoder
from robo.simulation import server as server_module
from robo.simulation import spectators as spectators_module
from robo.simulation.clocks import MAX_LAG_FRAMES, Lockstep, Realtime
from robo.simulation.connection import Connection
from robo.simulation.counters import Counters
from robo.simulation.laps import LapTimes
from robo.simulation.png import PngEncoder
from robo.simulation.server import LOGIN_SECONDS, Server
from robo.simulation.track import Track
from robo.simulation.tracks import Tracks
from robo.simulation.world import (
    Bumped,
    CarStatus,
    Crashed,
    Event,
    LapCompleted,
    Returned,
    SegmentCrossed,
    World,
)
from robo.simulation.worlds import Worlds

PATIENCE = 10.0
"""Seconds after which a test that still waits has failed."""
ANY_PORT = ("127.0.0.1", 0)
NEVER = 1000.0
"""An answer limit that no test reaches."""


class ScriptedWorld:
    """A world that notes what it is told; ``script`` holds the events of a frame by the frame's number."""

    def __init__(self, script: dict[int, list[Event]] | None = None) -> None:
        self.frame = 0
        self.cars: list[str] = []
        self.told: list[tuple] = []
        self.script = script or {}
        self.times: dict[str, LapTimes] = {}
        self._stepped = threading.Condition()

    @property
    def time(self) -> float:
        return self.frame / 60

    def add_car(self, name: str) -> None:
        self.cars.append(name)

    def remove_car(self, name: str) -> None:
        self.cars.remove(name)

    def hear(self, name: str) -> None:
        self.told.append((name, "heard"))

    def command(self, name: str, **controls: float) -> None:
        self.told.append((name, controls))

    def step(self) -> list[Event]:
        with self._stepped:
            self.frame += 1
            self._stepped.notify_all()
        return self.script.get(self.frame, [])

    def status(self, name: str) -> CarStatus:
        number = float(self.frame)
        return CarStatus((number, 0.0484, 2.0), (0.5, 0.0, 0.25), (0.0, 0.6, 0.0, 0.8), 12.5, 3)

    def render(self, name: str, width: int) -> np.ndarray:
        picture = np.zeros((width * 80 // 128, width, 3), np.uint8)
        picture[...] = (self.frame % 256, self.frame // 256, self.cars.index(name))
        return picture

    def laps(self, name: str) -> LapTimes:
        return self.times.get(name, LapTimes())

    def wait_for(self, frame: int) -> None:
        """Return once this frame was simulated."""
        with self._stepped:
            assert self._stepped.wait_for(lambda: self.frame >= frame, PATIENCE)


@contextlib.contextmanager
def serving(
    world: Any, clock: str = "lockstep", answer_limit_s: float = NEVER, **more: Any
) -> Iterator[Server]:
    """Run a server in a thread; whatever it raises is raised here."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            server.run(stop.is_set)
        except BaseException as error:
            failures.append(error)

    with Server(world, ANY_PORT, ANY_PORT, clock, answer_limit_s, **more) as server:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            socket.create_connection(server.car_address).close()  # wakes it at once
            thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not failures, failures


class Peer:
    """A client socket that fails its test rather than wait for ever."""

    def __init__(self, address: tuple[str, int], receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()

    def closed_by_server(self) -> bool:
        """Wait for the end of the connection, whatever comes before it."""
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(1 << 16):
                pass
        return True


class Car(Peer):
    """A car's client; its pictures are the frames' numbers."""

    def __init__(
        self, server: Server, name: str, width: int | None = None, raw_every: int | None = None
    ) -> None:
        super().__init__(server.car_address)
        self._pngs: list[bytes] = []
        self._width = width or 128
        self._decoder = FrameDecoder(raw_size(self._width) if raw_every else None)
        self.send(login_line(name, "team", "#336699", width, raw_every=raw_every))

    def picture(self) -> np.ndarray:
        while not self._pngs:
            data = self.socket.recv(1 << 16)
            assert data, "the server closed the connection"
            self._pngs += self._decoder.feed(data)
        picture = self._pngs.pop(0)
        pixels = np.frombuffer(picture, np.uint8)
        if is_raw(picture, self._width):
            return pixels.reshape(-1, self._width, 3)
        return cv2.imdecode(pixels, cv2.IMREAD_COLOR)

    def frame(self) -> int:
        """Wait for the next picture; return its frame's number."""
        low, high, _ = self.picture()[0, 0]
        return int(low) + 256 * int(high)

    def drive(self, frames: int, answer: bytes = NO_OP) -> int:
        """Answer so many frames; return the number of the last one received, which is not answered yet."""
        for _ in range(frames):
            self.send(answer)
            last = self.frame()
        return last

    def has_nothing(self) -> bool:
        """Whether no further frame has arrived; meaningful once another car has seen a later frame."""
        self.socket.setblocking(False)
        try:
            return not self._pngs and not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)


class Spectator(Peer):
    """A spectator's client."""

    def __init__(self, server: Server, **more: Any) -> None:
        super().__init__(server.spectator_address, **more)
        self._decoder = LineDecoder(1 << 20)
        self._lines: list[bytes] = []

    def message(self) -> wire.SpectatorMessage:
        while not self._lines:
            data = self.socket.recv(1 << 16)
            assert data, "the server closed the connection"
            self._lines += self._decoder.feed(data)
        message = wire.decode(self._lines.pop(0))
        assert message is not None
        return message

    def until(self, kind: type) -> list[wire.SpectatorMessage]:
        """Every message up to the first of this kind."""
        messages = [self.message()]
        while not isinstance(messages[-1], kind):
            messages.append(self.message())
        return messages


def settle(server: Server) -> None:
    """Return when the server has dealt with everything that was sent to it before."""
    peer = Peer(server.car_address)
    peer.send(b"not a login\n")
    assert peer.closed_by_server()
    peer.close()


def join(server: Server, *names: str) -> list[Car]:
    """Cars that have all been sent the same frame, number ``len(names)``, and owe an answer to it."""
    cars: list[Car] = []
    for name in names:
        car = Car(server, name)
        settle(server)  # it is on track before the others' answers make the next frame
        for other in cars:
            other.send(NO_OP)
        cars.append(car)
        for each in cars:
            each.frame()
    return cars


def names(messages: list[wire.SpectatorMessage]) -> list[str]:
    return [type(message).__name__ for message in messages]


# Cars


@pytest.mark.parametrize(
    "login",
    [
        b'{"teamId":"t","color":"#000000"}\n',
        b'{"name":"b","color":"#000000"}\n',
        b'{"name":"ada","teamId":"t"}\n',
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xfe\x00\n",
        b"[" * 60_000 + b"\n",
        b"x" * (LINE_LIMIT + 1) + b"\n{}\n",
    ],
    ids=["no name", "no team", "name taken", "empty", "http", "binary", "deep", "overlong"],
)
def test_a_refused_login_closes_the_socket_and_nothing_else(login: bytes) -> None:
    with serving(ScriptedWorld()) as server:
        ada = Car(server, "ada")
        ada.frame()
        other = Peer(server.car_address)
        other.send(login)
        assert other.closed_by_server()
        assert server.counters.refused_logins == 1
        assert ada.drive(3) == 4


def test_a_connection_that_never_logs_in_is_closed_and_nothing_else() -> None:
    now = [0.0]
    with serving(ScriptedWorld(), monotonic=lambda: now[0]) as server:
        mute, half = Peer(server.car_address), Peer(server.car_address)
        half.send(b'{"name": "half')
        ada = Car(server, "ada")
        ada.frame()
        now[0] = LOGIN_SECONDS - 0.1
        late = Car(server, "late")
        settle(server)
        assert server.counters.silent_connections == 0
        now[0] = LOGIN_SECONDS + 0.1
        assert mute.closed_by_server()
        assert half.closed_by_server()
        assert server.counters.silent_connections == 2
        assert ada.drive(1) == late.frame() == 2


def test_a_name_is_free_again_once_its_car_has_left() -> None:
    with serving(ScriptedWorld()) as server:
        ada = Car(server, "ada")
        ada.frame()
        ada.close()
        settle(server)
        assert Car(server, "ada").frame() == 2


@pytest.mark.parametrize(("width", "shape"), [(None, (80, 128)), (8, (5, 8)), (64, (40, 64)), (7, (80, 128))])
def test_image_size(width: int | None, shape: tuple[int, int]) -> None:
    with serving(ScriptedWorld()) as server:
        assert Car(server, "ada", width).picture().shape == (*shape, 3)


def test_a_login_in_pieces_with_commands_behind_it() -> None:
    world = ScriptedWorld()
    with serving(world) as server:
        ada = Peer(server.car_address)
        stream = login_line("ada", "t", "#000000") + command_line(throttle=0.5)
        for i in range(len(stream)):
            ada.send(stream[i : i + 1])
        settle(server)
    assert ("ada", {"throttle": 0.5}) in world.told


def test_without_an_answer_there_is_one_frame_and_two_lines_buy_one() -> None:
    with serving(ScriptedWorld(), answer_limit_s=0.05) as server:
        mute, eager, ada = join(server, "mute", "eager", "ada")
        eager.send(NO_OP + NO_OP)
        ada.drive(1)
        assert eager.frame() > 3
        ada.drive(10)
        assert mute.has_nothing()
        assert eager.has_nothing()


def test_any_line_is_an_answer() -> None:
    world = ScriptedWorld()
    with serving(world) as server:
        ada = Car(server, "ada")
        ada.frame()
        for number, line in enumerate((NO_OP, b"{}\n", b'{"action":"fly"}\n', b"nonsense\n", b"\n")):
            world.told.clear()
            assert ada.drive(1, line) == number + 2
            assert world.told == [("ada", "heard")]
        assert server.counters.malformed_lines == 2


def test_commands_reach_the_world() -> None:
    world = ScriptedWorld()
    with serving(world) as server:
        ada = Car(server, "ada")
        ada.frame()

        def told_by(line: bytes) -> list:
            world.told.clear()
            ada.drive(1, line)
            return [what for _, what in world.told if what != "heard"]

        assert told_by(command_line(throttle=0.25, turn=-1.0)) == [{"throttle": 0.25}, {"turn": -1.0}]
        assert told_by(b'{"action":"turn","value":1e300}\n') == [{"turn": 1e300}]  # the world clamps
        assert told_by(b'{"action":"reverse"}\n') == [{"throttle": 0.0}]
        assert told_by(command_line(brake=0.5)) == [{"brake": 0.5}]
        assert told_by(b'{"action":"reverse"}\n') == []  # zeroes the throttle alone: the brake stays
        assert told_by(command_line(throttle=0.1)) == [{"throttle": 0.1}]
        assert told_by(b'{"action":"reverse"}\n') == [{"throttle": 0.0}]
        assert told_by(b'{"action":"forward"}\n') == []
        for value in (b"NaN", b"Infinity", b'"1"', b"null", b"[]"):
            assert told_by(b'{"action":"forward","value":' + value + b"}\n") == []


def test_bad_input_disturbs_nobody() -> None:
    with serving(ScriptedWorld()) as server:
        bad, ada = join(server, "bad", "ada")
        for line in (b"\xff\xfe\x00", b"{" * 5000, b"[" * 60_000, b"x" * (LINE_LIMIT + 5), b"x" * 300_000):
            bad.send(line)  # in pieces: no line's end yet
            settle(server)
            bad.send(b"\n" + NO_OP)
            last = ada.drive(1)
            assert bad.frame() == last
        assert last == 2 + 5
        assert server.counters.overlong_lines == 2
        assert server.counters.malformed_lines == 3


def test_a_car_that_answers_but_does_not_read_is_kept_one_frame() -> None:
    with serving(ScriptedWorld()) as server:
        deaf, ada = join(server, "deaf", "ada")
        pending = 0
        while not pending:
            deaf.send(NO_OP)
            last = ada.drive(1)
            pending = server._cars["deaf"].connection.pending
        assert pending < 65538
        for _ in range(20):
            deaf.send(NO_OP)
            ada.drive(1)
        assert server._cars["deaf"].connection.pending == pending
        numbers = [deaf.frame()]
        while numbers[-1] < last:
            numbers.append(deaf.frame())
        assert numbers == list(range(3, last + 1))


def test_a_car_that_leaves_is_not_waited_for() -> None:
    world = ScriptedWorld()
    with serving(world) as server:
        gone, ada = join(server, "gone", "ada")
        ada.send(NO_OP)
        gone.close()
        ada.frame()
        ada.drive(3)
        assert world.cars == ["ada"]


# Lockstep


def test_lockstep_waits_for_every_car() -> None:
    world = ScriptedWorld()
    with serving(world) as server:
        ada, bob = join(server, "ada", "bob")
        ada.send(NO_OP)
        settle(server)
        assert world.frame == 2
        bob.send(NO_OP)
        assert ada.frame() == bob.frame() == 3
        assert server.counters.passed_over == 0


def test_lockstep_passes_over_a_car_until_it_answers() -> None:
    world = ScriptedWorld()
    with serving(world, answer_limit_s=0.2) as server:
        slow, ada = join(server, "slow", "ada")
        start = time.monotonic()
        last = ada.drive(30)
        assert 0.1 < time.monotonic() - start < 3.0  # it was waited for once, not 30 times
        assert server.counters.passed_over >= 1
        slow.send(NO_OP)
        settle(server)
        ada.send(NO_OP)
        assert slow.frame() > last


def test_lockstep_does_not_race_when_nobody_answers() -> None:
    world = ScriptedWorld()
    with serving(world, answer_limit_s=0.01) as server:
        mute = Car(server, "mute")
        mute.frame()
        start = time.monotonic()
        first = world.frame
        world.wait_for(first + 20)
        assert time.monotonic() - start > 10 / 60


def test_lockstep_stands_still_without_cars() -> None:
    world = ScriptedWorld()
    with serving(world) as server:
        settle(server)
        assert world.frame == 0
        ada = Car(server, "ada")
        ada.frame()
        last = ada.drive(3)
        ada.close()
        settle(server)
        settle(server)
        assert world.frame == last


def test_spared_frames_go_by_without_waiting_and_bare_pixels_are_the_picture() -> None:
    with serving(ScriptedWorld()) as server:
        ada = Car(server, "ada", 64, raw_every=3)
        assert ada.picture().shape == (40, 64, 3)
        assert ada.drive(1) == 6
        assert ada.drive(20) == 66
        settle(server)  # it counts a frame after it has sent it
        assert server.counters.images == 22
        assert server.counters.unanswered == 0


def test_cars_that_spare_frames_drive_beside_those_that_do_not() -> None:
    with serving(ScriptedWorld()) as server:
        ada, bob = Car(server, "ada"), None
        ada.frame()
        bob = Car(server, "bob", raw_every=3)
        settle(server)
        frames = [ada.drive(1), ada.drive(1)]
        assert frames == [2, 3]
        assert bob.frame() == 3
        ada.send(NO_OP)
        settle(server)
        assert ada.has_nothing()  # frame 3 was for both, and bob has not answered
        bob.send(NO_OP)
        assert ada.frame() == 4
        assert ada.drive(2) == 6
        assert bob.frame() == 6


def test_in_realtime_cars_that_spare_frames_take_turns() -> None:
    with serving(ScriptedWorld(), "realtime") as server:
        cars = [Car(server, name, raw_every=3) for name in ("ada", "bob", "cyd")]
        turns = [car.frame() % 3 for car in cars]
        assert sorted(turns) == [0, 1, 2]
        for car, turn in zip(cars, turns, strict=True):
            assert car.drive(5) % 3 == turn


class TestLockstepClock:
    def test_rules(self) -> None:
        counters = Counters()
        clock = Lockstep(0.5, counters)
        assert clock.wait(10.0, cars=0) == math.inf
        assert clock.wait(10.0, cars=2) == 0
        clock.stepped(10.0, ["a", "b"])
        clock.answered("a")
        assert clock.wait(10.2, cars=2) == pytest.approx(0.3)
        clock.answered("b")
        assert clock.wait(10.2, cars=2) == 0
        clock.stepped(10.2, ["a", "b"])
        clock.answered("a")
        assert clock.wait(10.7, cars=2) == 0
        assert counters.passed_over == 1
        clock.stepped(10.7, ["a"])
        assert clock.wait(10.7, cars=2) == pytest.approx(0.5)
        assert clock.wait(11.2, cars=2) == 0
        clock.stepped(11.2, [])
        assert clock.wait(11.2, cars=2) == pytest.approx(1 / 60)
        assert counters.passed_over == 2
        clock.stepped(12.0, [], due=False)
        assert clock.wait(12.0, cars=2) == 0


# Realtime


class TestRealtimeClock:
    def test_deadlines_are_absolute(self) -> None:
        clock = Realtime(Counters())
        now = 5.0
        assert clock.wait(now, cars=0) == 0
        for frame in range(1, 100_000):
            clock.stepped(now + 0.004, [])  # always late, by less than a frame
            now += 0.004
            wait = clock.wait(now, cars=0)
            now += wait
            assert now == pytest.approx(5.0 + frame / 60, abs=1e-6)

    def test_a_long_lag_is_dropped(self) -> None:
        counters = Counters()
        clock = Realtime(counters)
        clock.wait(0.0, cars=1)
        clock.stepped(0.0, [])
        clock.stepped(1.0, [])
        assert counters.dropped_frames == 58
        burst = 0
        while clock.wait(1.0, cars=1) <= 0:
            clock.stepped(1.0, [])
            burst += 1
        assert burst <= 1

    def test_a_short_lag_is_caught_up(self) -> None:
        counters = Counters()
        clock = Realtime(counters)
        clock.wait(0.0, cars=1)
        late = (MAX_LAG_FRAMES + 0.5) / 60
        clock.stepped(late, [])
        caught_up = 0
        while clock.wait(late, cars=1) <= 0:
            clock.stepped(late, [])
            caught_up += 1
        assert caught_up == MAX_LAG_FRAMES
        assert counters.dropped_frames == 0


def test_realtime_paces_by_the_wall() -> None:
    with serving(ScriptedWorld(), "realtime") as server:
        ada = Car(server, "ada")
        first = ada.frame()
        start = time.monotonic()
        last = first
        while last < first + 30:
            last = ada.drive(1)
        passed = time.monotonic() - start
        assert 0.5 / 2 < passed < 0.5 * 5


def test_realtime_waits_for_nobody() -> None:
    world = ScriptedWorld()
    with serving(world, "realtime") as server:
        world.wait_for(5)  # without cars
        mute, ada = Car(server, "mute"), Car(server, "ada")
        mute.frame()
        ada.frame()
        ada.drive(5)
        assert mute.has_nothing()


# Spectators


def test_the_stream_from_before_the_first_car() -> None:
    parameters = wire.RaceParameters(30, num_segments_between_cars=2, track="esses", timestamp=0.0)
    with serving(ScriptedWorld(), parameters=parameters) as server:
        spectator = Spectator(server)
        assert spectator.message() == parameters
        ada = Car(server, "ada")
        messages = spectator.until(wire.GameStatus)
        assert names(messages) == ["FreePracticeStart", "CarConnected", "CarAdded", "GameStatus"]
        info = wire.CarInfo("ada", team_id="team", color="#336699", timestamp=0.0)
        assert messages[1].car == messages[2].car == info
        ada.frame()
        ada.drive(2)
        ada.close()
        messages = spectator.until(wire.CarDisconnected)
        assert names(messages) == ["GameStatus", "GameStatus", "CarRemoved", "CarDisconnected"]
        assert [message.timestamp for message in messages] == pytest.approx([2 / 60, 3 / 60, 3 / 60, 3 / 60])
        assert messages[0].cars == [
            wire.CarStatus(
                "ada",
                wire.Vec3(2, 0.0484, 2),
                wire.Vec3(0.5, 0, 0.25),
                wire.Quaternion(0, 0.6, 0, 0.8),
                12.5,
                3,
            )
        ]


def test_the_stream_from_later_on() -> None:
    with serving(ScriptedWorld()) as server:
        ada, bob = join(server, "ada", "bob")
        first, second = Spectator(server), Spectator(server)
        for spectator in (first, second):
            messages = [spectator.message() for _ in range(3)]
            assert names(messages) == ["RaceParameters", "CarAdded", "CarAdded"]
            assert [message.car.name for message in messages[1:]] == ["ada", "bob"]
        ada.send(NO_OP)
        bob.send(NO_OP)
        assert first.message() == second.message()


def test_what_happens_on_track_is_told_in_order() -> None:
    world = ScriptedWorld(
        {
            2: [Crashed("ada"), SegmentCrossed("bob", 7, in_order=False)],
            3: [SegmentCrossed("bob", 0, in_order=True), LapCompleted("bob"), Returned("ada")],
        }
    )
    world.times["bob"] = LapTimes(1, 10.5, 9.5, 30.0)
    with serving(world) as server:
        spectator = Spectator(server)
        for car in (cars := join(server, "ada", "bob")):
            car.send(NO_OP)
        for car in cars:
            assert car.frame() == 3
        messages = [m for m in spectator.until(wire.CurrentStandings) if not isinstance(m, wire.GameStatus)]
        told = messages[names(messages).index("CarCrashed") :]
        assert names(told) == ["CarCrashed", "LapCompleted", "CarReturnedToTrack", "CurrentStandings"]
        crashed, lap, returned, standings = told
        assert (crashed.car.name, returned.car.name) == ("ada", "ada")
        assert (lap.car.name, lap.lap_count, lap.last_lap, lap.best_lap, lap.total_time) == (
            *("bob", 1, 10.5, 9.5, 30.0),
        )
        assert [(s.car.name, s.lap_count, s.best_lap) for s in standings.standings] == [
            ("bob", 1, 9.5),
            ("ada", -1, 0.0),  # not known yet: 0, as JSON has no NaN
        ]
        assert {m.timestamp for m in told} == {2 / 60, 3 / 60}


def test_a_bump_is_told_for_both_cars() -> None:
    with serving(ScriptedWorld({3: [Bumped("ada", "bob"), Bumped("bob", "ada")]})) as server:
        spectator = Spectator(server)
        cars = join(server, "ada", "bob")  # kept, or the first one would leave as soon as it has answered
        for car in cars:
            car.send(NO_OP)
        told = [spectator.until(wire.CarBumped)[-1] for _ in range(2)]
        assert [(bump.car.name, bump.other.name) for bump in told] == [("ada", "bob"), ("bob", "ada")]
        assert told[0].other.team_id == "team"


def test_spectators_are_told_before_cars_get_their_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    send = Connection.send

    def note(connection: Connection, data: bytes) -> None:
        sent.append(data)
        send(connection, data)

    with serving(ScriptedWorld()) as server:
        spectator = Spectator(server)
        spectator.message()
        cars = join(server, "ada", "bob")
        monkeypatch.setattr(Connection, "send", note)
        for car in cars:
            car.send(NO_OP)
        for car in cars:
            car.frame()
        assert [b"GameStatus" in data for data in sent] == [True, False, False]


def test_spectators_commands_are_taken_and_anything_else_ends_the_stream() -> None:
    with serving(ScriptedWorld()) as server:
        good = Spectator(server)
        for command in (wire.ProceedToNextPhase(), wire.MotorsToggle(), wire.ResetSimulator()):
            good.send(wire.encode(command))
        for line in (b"\n", b'{"type":"CarCrashed"}\n', b"\xff\n", b"x" * (LINE_LIMIT + 1)):
            other = Spectator(server)
            other.send(line)
            assert other.closed_by_server()
        assert server.counters.unruly_spectators == 4
        good.message()
        join(server, "ada")
        assert names(good.until(wire.GameStatus))[-1] == "GameStatus"


def test_a_spectator_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectators_module, "BACKLOG", 1 << 18)
    world = ScriptedWorld({frame: [Crashed("ada")] * 500 for frame in range(1, 2000)})
    with serving(world) as server:
        deaf, good = Spectator(server, receive_buffer=4096), Spectator(server)
        ada = Car(server, "ada")
        ada.frame()
        while not server.counters.slow_spectators and world.frame < 1500:
            ada.drive(1)
            good.until(wire.GameStatus)
        assert server.counters.slow_spectators == 1
        assert deaf.closed_by_server()
        ada.drive(1)
        good.until(wire.GameStatus)


# The server as a whole


def test_too_many_connections_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)
    with serving(ScriptedWorld()) as server:
        ada, spectator = Car(server, "ada"), Spectator(server)
        ada.frame()
        spectator.message()
        assert Peer(server.car_address).closed_by_server()
        assert server.counters.refused_connections == 1
        assert ada.drive(2) == 3


def test_a_port_in_use_is_an_error_of_one_line() -> None:
    with Server(ScriptedWorld(), ANY_PORT, ANY_PORT) as server:
        for car, spectator in ((server.car_address, ANY_PORT), (ANY_PORT, server.car_address)):
            with pytest.raises(UserError, match=f"{server.car_address[1]}.*in use") as error:
                Server(ScriptedWorld(), car, spectator)
            assert "\n" not in str(error.value)
    Server(ScriptedWorld(), server.car_address, ANY_PORT).close()  # free again


def test_it_stops_when_idle() -> None:
    stop = threading.Event()
    with Server(ScriptedWorld(), ANY_PORT, ANY_PORT) as server:
        thread = threading.Thread(target=server.run, args=(stop.is_set,))
        thread.start()
        settle(server)
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("width", [8, 9, 127, 128])
def test_png_holds_the_picture(level: int, width: int) -> None:
    height = width * 80 // 128
    encoder = PngEncoder(width, height, level)
    for seed in range(3):
        picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        png = encoder.encode(picture)
        assert np.array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), picture)
        assert len(png) < 65536


def test_a_real_world_is_driven_and_watched() -> None:
    world = World(Track.load(ROOT / "configs" / "tracks" / "esses.json"))
    with serving(world) as server:
        spectator, ada = Spectator(server), Car(server, "ada")
        assert ada.picture().shape == (80, 128, 3)
        for _ in range(60):
            ada.send(command_line(throttle=0.1, turn=0.0))
            ada.picture()
        statuses = []
        while len(statuses) < 60:
            statuses += [m for m in spectator.until(wire.GameStatus) if isinstance(m, wire.GameStatus)]
        velocity = statuses[-1].cars[0].velocity
        assert math.hypot(velocity.x, velocity.z) > 0.5
        assert statuses[-1].timestamp == pytest.approx(1.0)


def test_the_command_line() -> None:
    command = [sys.executable, "-m", "scripts.simulator", "--car-port", "0", "--spectator-port"]
    process = subprocess.Popen([*command, "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("listening: cars on 127.0.0.1:")
        port = line.split("spectators on 127.0.0.1:")[1].split(",")[0]
        second = subprocess.run([*command, port], cwd=ROOT, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert second.stderr.startswith("error: ")
        assert second.stderr.count("\n") == 1
        assert port in second.stderr
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# Restarts


RESTARTS = Tracks.of(config.load(sets=["tracks.training=1", "tracks.evaluation=1", "tracks.length=12"]))


def test_a_car_is_put_where_it_asks_to_be() -> None:
    worlds = Worlds(RESTARTS, lambda number: World(RESTARTS[number]))
    with serving(worlds) as server:
        spectator = Spectator(server)
        [car] = join_unseen(server, "ada")
        spectator.until(wire.GameStatus)
        car.send(restart_line(Restart(2, 0.5, speed=1.0)))
        car.picture()
        *_, removed, added, status = spectator.until(wire.GameStatus)
        assert (removed.car.track, added.car.track) == (msgspec.UNSET, 2)
        assert isinstance(removed, wire.CarRemoved)
        assert isinstance(added, wire.CarAdded)
        x, _, z, _ = RESTARTS[2].pose(0.5 * RESTARTS[2].length)
        position = status.cars[0].position
        assert math.dist((position.x, position.z), (x, z)) < 0.05
        # Who comes later is told of the track, too.
        late = Spectator(server).until(wire.CarAdded)
        assert late[-1].car.track == 2


@pytest.mark.parametrize("line", [b'{"action":"restart","track":9}\n', b'{"action":"restart","at":7}\n'])
def test_a_restart_that_can_not_be_is_counted(line: bytes) -> None:
    worlds = Worlds(RESTARTS, lambda number: World(RESTARTS[number]))
    with serving(worlds) as server:
        [car] = join_unseen(server, "ada")
        before = worlds.status("ada").position
        car.send(line)
        car.picture()
        assert server.counters.malformed_lines == 1
        assert math.dist(before, worlds.status("ada").position) < 0.01


def test_a_single_world_does_as_a_real_simulator_and_nothing_about_it() -> None:
    world = ScriptedWorld()
    with serving(world) as server:
        [car] = join(server, "ada")
        car.send(restart_line(Restart(0, 0.5)))
        assert car.frame() == 2
        assert server.counters.malformed_lines == 0
        assert world.told == [("ada", "heard")]


def join_unseen(server: Server, name: str) -> list[Car]:
    """A car that has seen a picture and owes an answer to it."""
    car = Car(server, name)
    car.picture()
    return [car]
