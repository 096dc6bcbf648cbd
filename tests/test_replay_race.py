"""A race log played again: in a fake time, then to real spectators and from the command line."""

from __future__ import annotations

import contextlib
import math
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from robo.config import ROOT
from robo.protocol import spectator as wire
from robo.simulation import replay_server
from robo.simulation.replay import LOOP_PAUSE, MAX_GAP, Counts, Player, is_race_log, read
from robo.simulation.replay_server import ReplayServer

PATIENCE = 10.0
ANY_PORT = ("127.0.0.1", 0)
EVERYTHING = 1 << 30


def parameters(time: float) -> bytes:
    return wire.encode(wire.RaceParameters(num_segments=30, track="esses", timestamp=time))


def car(kind: type, name: str, time: float) -> bytes:
    return wire.encode(kind(wire.CarInfo(name, timestamp=0.0), timestamp=time))


def tick(time: float) -> bytes:
    return wire.encode(wire.SecondsRemaining(7, timestamp=time))


def player(*lines: bytes, speed: float = 1.0, loop: bool = False) -> Player:
    player = Player(lambda: [b"".join(lines)], speed, loop=loop)
    player.start(100.0)
    return player


def deadlines(player: Player, count: int) -> list[float]:
    """When the next lines are due, each taken long after."""
    times = []
    for _ in range(count):
        times.append(100.0 + player.wait(100.0))
        assert player.take(times[-1] + 0.001, 1)
    return times


class TestPlayer:
    def test_lines_are_due_at_their_times(self) -> None:
        lines = [tick(t) for t in (5.0, 5.0, 5.5, 7.5)]
        assert deadlines(player(*lines), 4) == pytest.approx([100.0, 100.0, 100.5, 102.5])
        assert deadlines(player(*lines, speed=4), 4) == pytest.approx([100.0, 100.0, 100.125, 100.625])

    def test_nothing_comes_early_and_everything_due_comes(self) -> None:
        lines = [tick(t / 10) for t in range(10)]
        playing = player(*lines)
        assert playing.take(99.9, EVERYTHING) == b""
        assert playing.take(100.25, EVERYTHING) == b"".join(lines[:3])
        assert playing.wait(100.25) == pytest.approx(0.05)
        assert playing.take(200.0, EVERYTHING) == b"".join(lines[3:])
        assert playing.finished
        assert playing.wait(200.0) == math.inf

    def test_no_more_than_asked_for_at_a_time(self) -> None:
        lines = [tick(0.0)] * 10
        playing = player(*lines)
        assert playing.take(100.0, len(lines[0]) + 1) == b"".join(lines[:2])

    def test_a_long_race_does_not_drift(self) -> None:
        playing = player(*(tick(frame / 60) for frame in range(6001)), speed=2)
        assert deadlines(playing, 6001)[-1] == pytest.approx(150.0, abs=1e-6)

    def test_a_wild_timestamp_does_not_end_the_show(self) -> None:
        playing = player(*(tick(t) for t in (0.0, 1e300, 1.0, 2.0)))
        assert deadlines(playing, 4) == pytest.approx([100, 100 + MAX_GAP, 100 + MAX_GAP, 101 + MAX_GAP])

    def test_a_loop_begins_again(self) -> None:
        lines = [parameters(0.0), tick(2.0)]
        times = deadlines(player(*lines, loop=True), 5)
        again = 102 + LOOP_PAUSE
        assert times == pytest.approx([100, 102, again, again + 2, again + 2 + LOOP_PAUSE])

    def test_who_comes_late_is_told_who_is_on_track(self) -> None:
        lines = [
            parameters(0.0),
            car(wire.CarAdded, "ada", 1.0),
            car(wire.CarAdded, "bob", 2.0),
            car(wire.CarAdded, "cid", 3.0),
            car(wire.CarRemoved, "bob", 4.0),
            car(wire.CarDisconnected, "cid", 5.0),
            parameters(6.0),
        ]
        playing = player(*lines)

        def greeting(now: float) -> list[wire.SpectatorMessage]:
            playing.take(now, EVERYTHING)
            return [wire.decode(line) for line in playing.scene.greeting().splitlines()]

        assert greeting(99.0) == []
        told = greeting(103.0)
        assert [m.timestamp for m in told] == [3.0] * 4
        assert told[0].track == "esses"
        assert [m.car.name for m in told[1:]] == ["ada", "bob", "cid"]
        assert [m.car.name for m in greeting(105.0)[1:]] == ["ada"]
        assert [type(m) for m in greeting(106.0)] == [wire.RaceParameters]


class TestReading:
    def test_bad_lines_are_counted_and_skipped(self) -> None:
        good = [tick(0.0), tick(1.0).replace(b"7", b"8"), tick(2.0)]
        bad = [b"nonsense\n", b'{"type":"Unknown","timestamp":1}\n', b"\xff\x00\n", b"x" * 3_000_000 + b"\n"]
        bad.append(b'{"type":"SecondsRemaining","secondsRemaining":1,"timestamp":NaN}\n')
        stream = good[0] + b"".join(bad) + b"\n \n" + good[1] + good[2].rstrip()
        for size in (1 << 16, 7):
            counts = Counts()
            pieces = [stream[i : i + size] for i in range(0, len(stream), size)] if size > 7 else [stream]
            assert [line.data for line in read(pieces, counts)] == good
            assert counts.skipped == len(bad)

    def test_a_line_keeps_what_it_says_beyond_what_is_known(self) -> None:
        line = b'{"timestamp": 1.50, "type":"SecondsRemaining","secondsRemaining":3,"more":[NaN]}\n'
        assert [line.data for line in read([line], Counts())] == [line]

    def test_what_is_a_race_log(self) -> None:
        assert is_race_log([b"garbage\n", tick(1.0)])
        assert not is_race_log([])
        assert not is_race_log([b"\n\n"])
        assert not is_race_log([b"{}\n" * 5000, tick(1.0)])
        zeros, read_chunks = bytes(1 << 16), []
        assert not is_race_log(read_chunks.append(1) or zeros for _ in range(10_000))
        assert len(read_chunks) < 100


@contextlib.contextmanager
def serving(player: Player) -> Iterator[ReplayServer]:
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            server.run(stop.is_set)
        except BaseException as error:
            failures.append(error)
        finally:
            server.__exit__()

    with ReplayServer(player, ANY_PORT) as server:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not failures, failures


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, PATIENCE)


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while chunk := sock.recv(1 << 16):
        data += chunk
    return bytes(data)


class TestServer:
    def test_the_stream_and_then_its_end(self) -> None:
        lines = [tick(i / 60) for i in range(2000)]
        with serving(Player(lambda: [b"".join(lines)], speed=1e9)) as server:
            assert read_all(connect(server.address)) == b"".join(lines)

    def test_more_than_sockets_hold_arrives_whole(self) -> None:
        lines = [car(wire.CarCrashed, "a" * 200, i / 60) for i in range(60_000)]
        log = b"".join(lines)
        with serving(Player(lambda: [log], speed=1e9)) as server:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            sock.settimeout(PATIENCE)
            sock.connect(server.address)
            assert read_all(sock) == log
            assert server.counters.slow_spectators == 0

    def test_who_does_not_read_is_dropped_in_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay_server, "PATIENCE", 0.2)
        log = b"".join(car(wire.CarCrashed, "a" * 200, i / 60) for i in range(60_000))
        with serving(Player(lambda: [log], speed=1e9)) as server:
            deaf = connect(server.address)
            assert read_all(connect(server.address)).endswith(log[-100_000:])
            assert server.counters.slow_spectators == 1
            deaf.close()

    def test_it_begins_with_the_first_and_greets_those_who_come_later(self) -> None:
        lines = [parameters(0.0), car(wire.CarAdded, "ada", 0.0), tick(60.0)]
        with serving(Player(lambda: [b"".join(lines)])) as server:
            first = connect(server.address)
            assert first.recv(1 << 16) in (lines[0] + lines[1], lines[0])
            second = connect(server.address)
            with second.makefile("rb") as stream:
                assert [stream.readline(), stream.readline()] == lines[:2]

    def test_commands_are_taken_and_anything_else_ends_the_stream(self) -> None:
        with serving(Player(lambda: [tick(0.0), tick(60.0)])) as server:
            good, bad = connect(server.address), connect(server.address)
            good.sendall(wire.encode(wire.ProceedToNextPhase()))
            bad.sendall(b"nonsense\n")
            read_all(bad)
            assert server.counters.unruly_spectators == 1
            assert good.recv(1 << 16) == tick(0.0)


class TestCommandLine:
    COMMAND = (sys.executable, "-m", "scripts.replay_race")

    def start(self, *arguments: str) -> subprocess.Popen:
        command = [*self.COMMAND, "--port", "0", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def test_it_plays_a_log_and_says_what_it_did(self, tmp_path: Path) -> None:
        log = tmp_path / "race.log"
        log.write_bytes(parameters(0.0) + b"bad\n" + tick(0.25))
        process = self.start(str(log), "--speed", "2.5")
        try:
            port = int(process.stdout.readline().split("127.0.0.1:")[1].split(",")[0])
            assert read_all(connect(("127.0.0.1", port))) == parameters(0.0) + tick(0.25)
            assert process.wait(PATIENCE) == 0
            assert process.stdout.read() == "2 lines played, 1 bad ones skipped\n"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            (["nowhere.log"], "nowhere.log"),
            ([str(ROOT / "configs" / "tracks" / "esses.json")], "esses.json"),
            ([str(ROOT)], str(ROOT)),
            ([""], "LOG="),
            (["x.log", "--speed", "0"], "--speed"),
            (["x.log", "--speed", "nan"], "--speed"),
        ],
    )
    def test_bad_input_is_an_error_of_one_line(self, arguments: list[str], names: str) -> None:
        result = subprocess.run(
            [*self.COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert result.returncode == 2
        assert result.stderr.startswith("error: ")
        assert names in result.stderr
        assert result.stderr.count("\n") == 1
