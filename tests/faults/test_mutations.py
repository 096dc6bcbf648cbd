"""Ten thousand bad messages on every socket: counted, dropped, and the next good one is used."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec
import numpy as np
import psutil
import pytest
from test_server import Car, Peer, Spectator, serving, settle

from faults.mutations import (
    in_pieces,
    mutated_commands,
    mutated_frames,
    mutated_logins,
    mutated_orders,
    mutated_stream,
)
from robo import config
from robo.driving.state import CarState, pack, unpack
from robo.driving.stream import MOST_CARS, StreamState
from robo.protocol import spectator as wire
from robo.protocol.car import (
    MAX_FRAME_BYTES,
    NO_OP,
    PNG_SIGNATURE,
    FrameDecoder,
    frame_message,
    login_line,
    parse_command,
    parse_login,
    parse_restart,
    raw_size,
)
from robo.protocol.lines import LINE_LIMIT, LineDecoder
from robo.simulation.png import PngEncoder
from robo.simulation.race import Race
from robo.simulation.server import Server
from robo.simulation.tracks import Tracks
from robo.simulation.world import World
from robo.simulation.worlds import Worlds

MESSAGES = 10_000
MOST_GROWTH = 8 << 20
"""Bytes by which a process may grow over so many messages, after as many as it takes to warm up."""
PICTURES = 16
PARAMETERS = wire.RaceParameters(
    30,
    num_segments_between_cars=2,
    auto_start_qualifying_seconds=1,
    qualifying_duration_seconds=1,
    auto_start_race_seconds=1,
    race_timeout_seconds=1,
    timestamp=0.0,
)
TRACKS = Tracks.of(config.load(sets=["tracks.training=1", "tracks.evaluation=1", "tracks.length=12"]))


class Memory:
    """Of this process, and its open files."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._bytes = self._process.memory_info().rss
        self._files = self._process.num_fds()

    @property
    def growth(self) -> int:
        """Bytes since this was made."""
        return self._process.memory_info().rss - self._bytes

    @property
    def more_files(self) -> int:
        """Open since then."""
        return self._process.num_fds() - self._files


# The car socket, as a car sees it


def pictures(level: int) -> list[bytes]:
    """PNGs that differ: of 31 KB at level 0, of less than 1 KB at level 1."""
    encoder = PngEncoder(128, 80, level)
    random, flat = np.random.default_rng(0), np.zeros((80, 128, 3), np.uint8)
    return [
        encoder.encode(random.integers(0, 256, flat.shape, np.uint8) if level == 0 else flat + number)
        for number in range(PICTURES)
    ]


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("asked_for_pixels", [False, True])
def test_the_next_good_frame_is_found_behind_any(level: int, asked_for_pixels: bool) -> None:
    random = np.random.default_rng(1)
    good = pictures(level)
    messages = [mutated_frames(random, picture) for picture in good]
    decoder = FrameDecoder(raw_size(128) if asked_for_pixels else None)
    assert decoder.feed(frame_message(good[0])) == good[:1]
    taken = 0
    for number in range(MESSAGES):
        picture = good[number % PICTURES]
        sent = next(messages[number % 7]) + frame_message(picture)
        frames = []
        for piece in in_pieces(random, sent, 1 << 16):
            frames += decoder.feed(piece)
            assert decoder.pending < 2 + MAX_FRAME_BYTES
        assert frames.pop() == picture
        assert decoder.pending == 0
        taken += len(frames)
    assert decoder.bad + taken >= MESSAGES
    assert taken < MESSAGES / 5


def test_bare_pixels_come_whole_or_the_connection_is_given_up() -> None:
    """Or more is waited for, in vain, and the connection is given up for its silence."""
    random = np.random.default_rng(2)
    size = raw_size(64)
    good = random.bytes(size)
    found = lost = 0
    for message in islice(mutated_frames(random, good), MESSAGES):
        decoder = FrameDecoder(size)
        frames = decoder.feed(frame_message(good))
        for piece in in_pieces(random, message + 2 * frame_message(good), 1 << 16):
            frames += decoder.feed(piece)
            assert decoder.pending < 2 + MAX_FRAME_BYTES
        assert all(len(frame) == size or frame.startswith(PNG_SIGNATURE) for frame in frames)
        if frames[-2:] == [good, good] and not decoder.pending:
            found += 1
        else:
            assert decoder.lost_sync or decoder.pending
            lost += 1
    assert min(found, lost) > MESSAGES / 20


def test_frames_take_no_memory() -> None:
    random = np.random.default_rng(3)
    good = pictures(0)[0]
    decoder, messages = FrameDecoder(), mutated_frames(random, good)
    for number in range(MESSAGES // 2):
        if number == MESSAGES // 10:
            memory = Memory()
        decoder.feed(next(messages))
        if number % 2:
            decoder.feed(frame_message(good))
    assert memory.growth < MOST_GROWTH


# The stream, as a spectator sees it


def stand(name: str, time: float) -> wire.CarStatus:
    place = wire.Vec3(time, 0.05, -time)
    rotation = wire.Quaternion(0.0, 0.6, 0.0, 0.8)
    return wire.CarStatus(name, place, wire.Vec3(0.1, 0.0, 1.7), rotation, 12.5, int(time) % 30)


def check(stream: StreamState) -> None:
    """Every state that has changed can go where states go."""
    for name in stream.changed:
        state = stream.cars[name]
        assert name.encode()
        assert unpack(pack(state)) == state
        assert msgspec.json.decode(msgspec.json.encode(state), type=CarState) == state
    stream.changed.clear()


@pytest.mark.parametrize("seed", range(2))
def test_a_stream_may_say_anything(seed: int) -> None:
    random = np.random.default_rng(seed)
    messages = mutated_stream(random, "ada", "bob")
    lines, stream = LineDecoder(), StreamState(1, own=["ada", "bob"])
    malformed = 0
    for number in range(MESSAGES):
        if number == MESSAGES // 5:
            memory = Memory()
        time = number / 60
        good = wire.GameStatus([stand("ada", time), stand("bob", time)], timestamp=time)
        for piece in in_pieces(random, next(messages) + wire.encode(good), LINE_LIMIT):
            for line in lines.feed(piece):
                message = wire.decode(line)
                if message is None:
                    malformed += 1
                else:
                    wire.encode(message)
                    stream.apply(message)
            check(stream)
        assert stream.cars["ada"].time == stream.cars["bob"].time == time
        assert stream.cars["ada"].position == stream.cars["bob"].position == (time, 0.05, -time)
        assert len(stream.cars) <= MOST_CARS + 2
    assert malformed > MESSAGES / 4
    assert stream.ignored > MESSAGES
    assert lines.dropped > MESSAGES / 500
    assert memory.growth < MOST_GROWTH


# Both ports, as the simulator sees them


@pytest.mark.parametrize(
    ("messages", "parse"),
    [
        (mutated_logins, parse_login),
        (mutated_commands, parse_command),
        (mutated_commands, parse_restart),
        (mutated_orders, wire.decode_command),
    ],
)
def test_anything_is_parsed_or_is_none(
    messages: Callable[[np.random.Generator], Iterator[bytes]], parse: Callable[[bytes], object]
) -> None:
    parsed = [
        parse(line)
        for message in islice(messages(np.random.default_rng(4)), MESSAGES)
        for line in LineDecoder().feed(message)
    ]
    assert parsed.count(None) > MESSAGES / 20
    assert len(parsed) - parsed.count(None) > MESSAGES / 20


@contextlib.contextmanager
def racing() -> Iterator[Server]:
    """A server of races, in which nobody waits long for anything."""
    world = World(TRACKS[0])
    session = Race(PARAMETERS, TRACKS[0].length, world.laps)
    with serving(world, answer_limit_s=0.2, parameters=PARAMETERS, session=session) as server:
        yield server


class Watched:
    """A good car, and a good spectator who sees it move on with every frame."""

    def __init__(self, server: Server) -> None:
        self._spectator = Spectator(server)
        self._car = Car(server, "ada")
        self._car.picture()
        self._time = -1.0

    def drive(self) -> None:
        self._car.send(NO_OP)
        self._car.picture()
        status = self._spectator.until(wire.GameStatus)[-1]
        assert "ada" in [car.name for car in status.cars]
        assert status.timestamp > self._time
        self._time = status.timestamp


def drain(peer: Peer) -> bool:
    """Take what has come; whether the connection is still open."""
    peer.socket.setblocking(False)
    try:
        while peer.socket.recv(1 << 20):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        peer.socket.setblocking(True)


def test_the_car_port_takes_anything() -> None:
    """A quarter of what comes are logins, on a connection each; the others are commands of one car."""
    random = np.random.default_rng(5)
    logins, commands = mutated_logins(random), mutated_commands(random)
    worlds = Worlds(TRACKS, lambda number: World(TRACKS[number]))
    worlds.prepare()
    with serving(worlds, answer_limit_s=0.2) as server:
        watched, mallory = Watched(server), Peer(server.car_address)
        mallory.send(login_line("eve", "team", "#000000"))
        for number in range(MESSAGES // 20):
            if number == MESSAGES // 100:
                settle(server)
                memory = Memory()
            strangers = [Peer(server.car_address) for _ in range(5)]
            for stranger in strangers:
                with contextlib.suppress(OSError):  # refused before it has said all
                    stranger.send(next(logins))
            for message in islice(commands, 15):
                for piece in in_pieces(random, message, LINE_LIMIT):
                    mallory.send(piece)
            watched.drive()
            assert drain(mallory)
            for stranger in strangers:
                stranger.close()
        settle(server)
        assert memory.growth < MOST_GROWTH
        assert memory.more_files <= 0
        counters = server.counters
        assert counters.refused_logins > MESSAGES / 4 / 4
        assert counters.malformed_lines > MESSAGES / 10
        assert counters.overlong_lines > MESSAGES / 500
        mallory.close()
        watched.drive()


def test_the_spectator_port_takes_anything() -> None:
    random = np.random.default_rng(6)
    orders = mutated_orders(random)
    worlds = Worlds(TRACKS, lambda number: World(TRACKS[number]))
    with serving(worlds, answer_limit_s=0.2) as server:
        watched = Watched(server)
        for number in range(MESSAGES // 20):
            if number == MESSAGES // 100:
                settle(server)
                memory = Memory()
            strangers = [Peer(server.spectator_address) for _ in range(20)]
            for stranger in strangers:
                with contextlib.suppress(OSError):
                    for piece in in_pieces(random, next(orders), LINE_LIMIT):
                        stranger.send(piece)
            settle(server)
            watched.drive()
            for stranger in strangers:
                stranger.close()
        settle(server)
        assert memory.growth < MOST_GROWTH
        assert memory.more_files <= 0
        assert server.counters.unruly_spectators > MESSAGES / 2
        watched.drive()


def test_a_race_takes_any_order() -> None:
    """A spectator who sends nothing but what it may, while cars come, say anything, and go."""
    random = np.random.default_rng(7)
    commands = mutated_commands(random)
    kinds = (wire.ProceedToNextPhase(), wire.MotorsToggle(), wire.ResetSimulator())
    with racing() as server:
        spectator, ada = Spectator(server), Peer(server.car_address)
        ada.send(login_line("ada", "team", "#000000"))
        for number in range(MESSAGES // 10):
            spectator.send(wire.encode(kinds[int(random.integers(3))]))
            mallory = Peer(server.car_address)
            mallory.send(login_line(f"mallory{number % 7}", "team", "#000000") + next(commands))
            ada.send(NO_OP)
            settle(server)
            assert drain(ada)
            assert drain(spectator)
            mallory.close()
        assert server.counters.logins > MESSAGES / 20
        assert server.counters.unruly_spectators == 0
        assert Spectator(server).until(wire.GameStatus)
