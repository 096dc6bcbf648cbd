"""Messages that no peer should send, for every socket of the protocol.

Every generator is endless and takes its random numbers from the caller's, so that a seed names its messages:

    mutated_frames       what a simulator may send to a car in place of a frame
    mutated_stream       what a simulator may send to a spectator in place of a message
    mutated_logins       what a car may send to a simulator in place of its first line
    mutated_commands     what a car may send after it
    mutated_orders       what a spectator may send to a simulator

Frames are bytes as they go over the wire. Lines end with a newline, so that what is sent next is whole
again, and may have others inside: then they are several. ``in_pieces`` cuts either of them up.
"""

from __future__ import annotations

import functools
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from robo.protocol import spectator as wire
from robo.protocol.car import (
    MAX_FRAME_BYTES,
    NAME_LIMIT,
    NO_OP,
    PNG_SIGNATURE,
    Restart,
    command_line,
    frame_message,
    login_line,
    restart_line,
)
from robo.protocol.lines import LINE_LIMIT
from robo.simulation.png import PngEncoder

HOSTILE_NAMES = 100_000
"""So many names of cars are made up."""
MOST_IN_A_CROWD = 150
"""Cars that one status names at most: more would be no line, but too long for one."""
DEEP = 5000
"""Brackets; a parser that takes one stack frame for each ends long before."""

Random = np.random.Generator


def in_pieces(random: Random, data: bytes, most: int = 4096) -> Iterator[bytes]:
    """The same bytes, cut anywhere into pieces of 1 to ``most`` bytes; every third piece is one byte."""
    start = 0
    while start < len(data):
        size = 1 if random.integers(3) == 0 else int(random.integers(1, most + 1))
        yield data[start : start + size]
        start += size


# Frames


def mutated_frames(random: Random, good: bytes) -> Iterator[bytes]:
    """What may come in a frame's place; ``good``: a picture as it is sent, a PNG or bare pixels.

    None is empty, or that picture at its right bounds. Some are framed as they should be and hold a damaged
    picture, or one of another size. Few have more than 65 KB, and none more than 200 KB. The bytes of a good
    frame sent after one of them are all there, though something else may claim them.
    """
    while True:
        yield _pick(random, _FRAMES)(random, good)


def _framed(length: int, picture: bytes) -> bytes:
    return struct.pack(">H", length % (MAX_FRAME_BYTES + 1)) + picture


def _any_length(random: Random, good: bytes) -> bytes:
    wrong = random.integers(1, MAX_FRAME_BYTES + 1)
    return _framed(len(good) + int(wrong), good)


def _near_length(random: Random, good: bytes) -> bytes:
    return _framed(len(good) + int(random.integers(1, 13)) * (1 if random.integers(2) else -1), good)


def _no_length(random: Random, good: bytes) -> bytes:
    return good


def _zero_length(random: Random, good: bytes) -> bytes:
    return bytes(2 * int(random.integers(1, 4)))


def _zero_length_and_a_picture(random: Random, good: bytes) -> bytes:
    return bytes(2) + good


def _cut_off(random: Random, good: bytes) -> bytes:
    message = frame_message(good)
    return message[: int(random.integers(1, len(message)))]


def _end_alone(random: Random, good: bytes) -> bytes:
    message = frame_message(good)
    return message[int(random.integers(1, len(message))) :]


def _cut_short(random: Random, good: bytes) -> bytes:
    return frame_message(good[: int(random.integers(1, len(good)))])


def _damaged(random: Random, good: bytes) -> bytes:
    return frame_message(_flipped(random, good))


def _rubbish(random: Random, good: bytes) -> bytes:
    return random.bytes(int(random.integers(1, 400)))


def _framed_rubbish(random: Random, good: bytes) -> bytes:
    return frame_message(random.bytes(int(random.integers(1, len(good) + 1))))


def _much_rubbish(random: Random, good: bytes) -> bytes:
    return random.bytes(int(random.integers(1, 200_000))) if random.integers(10) == 0 else b"\xff" * 200


def _signature_and_rubbish(random: Random, good: bytes) -> bytes:
    return frame_message(PNG_SIGNATURE + random.bytes(int(random.integers(400))))


def _signatures(random: Random, good: bytes) -> bytes:
    message = _framed(int(random.integers(MAX_FRAME_BYTES)), PNG_SIGNATURE)
    return message * int(random.integers(2, 60)) + random.bytes(int(random.integers(12)))


def _trailing(random: Random, good: bytes) -> bytes:
    return frame_message((good + random.bytes(int(random.integers(1, 40))))[-MAX_FRAME_BYTES:])


def _nothing_but_zeros(random: Random, good: bytes) -> bytes:
    return bytes(int(random.integers(1, 3000)))


def _other_picture(random: Random, good: bytes) -> bytes:
    return frame_message(_pick(random, _other_pictures()))


@functools.cache
def _other_pictures() -> list[bytes]:
    """PNGs of other sizes and kinds, one of them of 48 MB, and one that says it is of 3 GB."""
    shapes = [(1, 1, 3), (5, 8, 3), (79, 127, 3), (81, 128, 3), (80, 128, 4), (80, 128)]
    pictures = [np.full(shape, 99, np.uint8) for shape in shapes] + [np.full((80, 128, 3), 9999, np.uint16)]
    huge = np.zeros((4000, 4000, 3), np.uint8)
    pngs = [
        PngEncoder(4000, 4000, 9).encode(huge),
        PngEncoder(32_000, 1, 1).encode(huge[:1, :1].repeat(32_000, 1)),
    ]
    size = pngs[1].index(b"IHDR")
    header = b"IHDR" + struct.pack(">II", 32_000, 32_000) + pngs[1][size + 12 : size + 17]
    pngs[1] = pngs[1][:size] + header + struct.pack(">I", zlib.crc32(header)) + pngs[1][size + 21 :]
    return pngs + [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]


def _text(random: Random, good: bytes) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


_FRAMES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_any_length, _near_length, _no_length, _zero_length, _zero_length_and_a_picture),
    *(_cut_off, _end_alone, _cut_short, _damaged, _rubbish, _framed_rubbish, _much_rubbish),
    *(_signature_and_rubbish, _signatures, _trailing, _nothing_but_zeros, _other_picture, _text),
)


# Lines


def mutated_stream(random: Random, *names: str) -> Iterator[bytes]:
    """What may come in place of a spectator's message; ``names``: cars that it is about, among others.

    A tenth is of cars that nobody has heard of, thousands in all, and another as it should be but for one
    number that can't be.
    """
    names = names or ("a", "b")
    lines = mutated_lines(random, real_stream(*names))
    while True:
        kind = random.integers(10)
        if kind == 0:
            yield _crowd(random)
        else:
            yield _impossible(random, names) if kind == 1 else next(lines)


def mutated_logins(random: Random) -> Iterator[bytes]:
    """What a car may send first. Some are logins all the same, with any name."""
    return mutated_lines(random, _LOGINS)


def mutated_commands(random: Random) -> Iterator[bytes]:
    """What a car may send after its login. Some are commands all the same, and restarts."""
    return mutated_lines(random, _COMMANDS)


def mutated_orders(random: Random) -> Iterator[bytes]:
    """What a spectator may send. Some are commands all the same."""
    return mutated_lines(random, _ORDERS)


def mutated_lines(random: Random, good: Sequence[bytes]) -> Iterator[bytes]:
    """These JSON lines, of objects, with something wrong in what they say, or in how it is written.

    Wrong types, missing, repeated and renamed members, numbers that are none or too large, deep nesting, text
    that is no text, cut lines, binary ones, and ones beyond LINE_LIMIT.
    """
    while True:
        kind = random.integers(10)
        if kind == 0:
            line = _pick(random, _NONSENSE)
        else:
            line = _pick(random, good).rstrip(b"\n")
            if kind < 8:
                line = _restructured(random, line)
            if kind >= 7:
                line = _pick(random, _SPOILERS)(random, line)
        yield line + b"\n"


class _Members(list):
    """A JSON object as its members, [name, value] each, so that a name can stand twice."""


def _restructured(random: Random, line: bytes) -> bytes:
    """The object with one to three changes anywhere in it."""
    whole = json.loads(line, object_pairs_hook=lambda pairs: _Members(map(list, pairs)))
    for _ in range(int(random.integers(1, 4))):
        containers = list(_containers(whole))
        if containers:
            _pick(random, _CHANGES)(random, _pick(random, containers))
    return _written(whole)


def _containers(value: Any) -> Iterator[list]:
    """Every object and array in a value that has anything in it."""
    if not isinstance(value, list) or not value:
        return
    yield value
    for item in value:
        yield from _containers(item[1] if isinstance(value, _Members) else item)


def _written(value: Any) -> bytes:
    """A value as JSON; bytes stand for themselves."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, _Members):
        return b"{" + b",".join(_written(name) + b":" + _written(held) for name, held in value) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_written, value)) + b"]"
    return json.dumps(value).encode()


def _set(container: list, place: int, value: Any) -> None:
    if isinstance(container, _Members):
        container[place] = [container[place][0], value]
    else:
        container[place] = value


def _held(container: list, place: int) -> Any:
    return container[place][1] if isinstance(container, _Members) else container[place]


def _replace(random: Random, container: list) -> None:
    _set(container, int(random.integers(len(container))), _pick(random, _VALUES))


def _leave_out(random: Random, container: list) -> None:
    del container[int(random.integers(len(container)))]


def _say_twice(random: Random, container: list) -> None:
    place = int(random.integers(len(container)))
    container.insert(int(random.integers(len(container) + 1)), container[place])
    _set(container, int(random.integers(len(container))), _pick(random, _VALUES))


def _rename(random: Random, container: list) -> None:
    place = int(random.integers(len(container)))
    if isinstance(container, _Members):
        container[place] = [_pick(random, _NAMES), container[place][1]]
    else:
        container[place] = [container[place]]


def _exchange(random: Random, container: list) -> None:
    one, other = (int(place) for place in random.integers(len(container), size=2))
    held = _held(container, one)
    _set(container, one, _held(container, other))
    _set(container, other, held)


def _repeat(random: Random, container: list) -> None:
    container.extend(container[-1:] * int(random.integers(1, 20)))


_CHANGES = (_replace, _replace, _replace, _leave_out, _say_twice, _rename, _exchange, _repeat)
_VALUES = (
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e308", b"-1e308", b"1e-320", b"-0.0"),
    *(b"0", b"-1", b"1", b"0.5", b"-7", b"30", b"2147483648", b"9007199254740993"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616"),
    *(b"9" * 100, b"-" + b"9" * 400, b"9" * 5000, b"1" + b"0" * 308, b"1e", b"01", b"+1", b".5", b"0x10"),
    *(b"true", b"null", b'""', b'"text"', b'"7"', b'"NaN"', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"'),
    *(b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\x00"', b'"\t"', b'"open', b'"GameStatus"'),
    *(b'"' + b"n" * NAME_LIMIT + b'"', b'"' + b"n" * (NAME_LIMIT + 1) + b'"', b'"' + b"n" * 20_000 + b'"'),
    *(b"[]", b"{}", b"[[]]", b"[null]", b'{"x":1}', b"[1,2,3]", b"[" * DEEP + b"]" * DEEP, b"[" * DEEP, b""),
    b'{"x":' * DEEP + b"1" + b"}" * DEEP,
)
"""What may stand where a value should, as it is written."""
_NAMES = (b'""', b'"type"', b'"timestamp"', b'"name"', b'"x"', b'"\\u0000"', b'"\xff"', b"7", b"null", b"")


def _flipped(random: Random, data: bytes) -> bytes:
    """One to four bytes of these are others."""
    flipped = bytearray(data or b"\0")
    places = random.choice(len(flipped), min(len(flipped), int(random.integers(1, 5))), replace=False)
    for place in places:
        flipped[place] ^= int(random.integers(1, 256))
    return bytes(flipped)


def _cut_line(random: Random, line: bytes) -> bytes:
    return line[: int(random.integers(len(line)))]


def _begun_late(random: Random, line: bytes) -> bytes:
    return line[int(random.integers(1, len(line))) :]


def _split(random: Random, line: bytes) -> bytes:
    return _with(random, line, b"\n")


def _with_null_bytes(random: Random, line: bytes) -> bytes:
    return _with(random, line, bytes(int(random.integers(1, 9))))


def _with_rubbish(random: Random, line: bytes) -> bytes:
    return _with(random, line, random.bytes(int(random.integers(1, 40))))


def _with(random: Random, line: bytes, inserted: bytes) -> bytes:
    place = int(random.integers(len(line)))
    return line[:place] + inserted + line[place:]


def _twice_on_a_line(random: Random, line: bytes) -> bytes:
    return line + line


def _overlong(random: Random, line: bytes) -> bytes:
    return line + b" " * (LINE_LIMIT + int(random.integers(20_000)))


def _nested(random: Random, line: bytes) -> bytes:
    depth = int(random.integers(1, DEEP))
    return b"[" * depth + line + b"]" * depth


def _other_encoding(random: Random, line: bytes) -> bytes:
    return line.decode("utf-8", "replace").encode("utf-16-le" if random.integers(2) else "utf-16")


_SPOILERS = (
    *(_flipped, _flipped, _cut_line, _begun_late, _split, _with_null_bytes, _with_rubbish),
    *(_twice_on_a_line, _overlong, _nested, _other_encoding),
)
_NONSENSE = (
    *(
        b"",
        b" ",
        b"\r",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"7",
        b"NaN",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe\x00",
    ),
    *(bytes(100), b"[" * DEEP, b"{" * DEEP, b'{"a":' * DEEP, b"9" * 5000, b"GET / HTTP/1.1\r"),
    *(b'{"type":"CarExploded","timestamp":1}', b'{"action":', b'{"type":"CarInfo","timestamp":1,"name":"a"}'),
)


# What is mutated


def real_stream(*names: str) -> list[bytes]:
    """A line of every kind of message, about these cars; of some kinds, several."""
    cars = [wire.CarInfo(name, team_id="team", color="#336699", track=0, timestamp=1.0) for name in names]
    laps = [wire.LapCompleted(car, 2, 10.5, 9.25, 30.0, timestamp=2.0) for car in cars]
    rules = wire.RaceParameters(30, num_segments_between_cars=2, cars=cars, track="esses", timestamp=0.0)
    messages: list[wire.Message] = [
        *(_status(names, 1.5, segment) for segment in (-1, 0, 1, 2, 1, 28, 29, 0)),
        *([rules] * 3),
        *(laps[:1] * 3),
        wire.CurrentStandings(laps, timestamp=2.0),
        *(
            kind(cars[0], timestamp=2.0)
            for kind in (
                *(wire.CarConnected, wire.CarAdded, wire.CarAdded, wire.CarRemoved, wire.CarDisconnected),
                *(wire.CarCrashed, wire.CarReturnedToTrack, wire.CarFinished, wire.RaceWon),
            )
        ),
        wire.CarBumped(cars[0], cars[-1], timestamp=2.0),
        wire.FreePracticeStart(timestamp=2.0),
        wire.RaceLobbyInit(rules, timestamp=2.0),
        wire.QualifyingStart(cars, timestamp=2.0),
        wire.QualifyingResults(laps, timestamp=2.0),
        wire.StartingGridInit(cars, timestamp=2.0),
        wire.RaceStart(timestamp=2.0),
        wire.SecondsRemaining(9, timestamp=2.0),
        wire.RaceFinished([wire.RaceResult(cars[0], 5, 9.25, 50.0)], timestamp=2.0),
    ]
    return [wire.encode(message) for message in messages]


def _status(names: Sequence[str], time: float, segment: int, **others: Any) -> wire.GameStatus:
    """Where cars are; ``others``: fields of their CarStatus that are not as usual."""
    usual = {
        "position": wire.Vec3(1.0, 0.05, -3.5),
        "velocity": wire.Vec3(0.1, 0.0, 1.7),
        "rotation": wire.Quaternion(0.0, 0.6, 0.0, 0.8),
        "track_angle": 12.5,
        "track_segment": segment,
    }
    return wire.GameStatus([wire.CarStatus(name, **(usual | others)) for name in names], timestamp=time)


def _impossible(random: Random, names: Sequence[str]) -> bytes:
    """A message that says something that can't be."""
    number, whole = _pick(random, _NUMBERS), _pick(random, _WHOLE_NUMBERS)
    name = _pick(random, names)
    car = wire.CarInfo(name, track=whole, timestamp=1.0)
    numbers = [_pick(random, (0.0, number, -number)) for _ in range(4)]
    messages = (
        wire.RaceParameters(whole, timestamp=0.0),
        wire.CarAdded(car, timestamp=number),
        wire.LapCompleted(car, whole, number, number, number, timestamp=number),
        _status([name], _pick(random, (number, -number, 1.5)), 0),
        _status([name], 1.5, whole),
        _status([name], 1.5, 0, position=wire.Vec3(*numbers[:3])),
        _status([name], 1.5, 0, velocity=wire.Vec3(*numbers[:3])),
        _status([name], 1.5, 0, rotation=wire.Quaternion(*numbers)),
        _status([name], 1.5, 0, track_angle=number),
    )
    return wire.encode(_pick(random, messages))


_NUMBERS = (1e3, 1e9, 1e20, 1e155, 1e308, -1.0, -1e308, 1e-308)
_WHOLE_NUMBERS = (0, -1, -2, -(2**63), -(2**63) - 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**1000)


def _crowd(random: Random) -> bytes:
    """A message about cars with any names, some of which are none."""
    count = int(random.integers(1, MOST_IN_A_CROWD))
    names = [f"stranger{number}" for number in random.integers(HOSTILE_NAMES, size=count)]
    names += ["", "n" * int(random.integers(1, 2 * NAME_LIMIT)), "\0"]
    kind = _pick(random, (wire.CarAdded, wire.CarReturnedToTrack, wire.CarCrashed, wire.CarRemoved, None))
    if kind is None:
        return wire.encode(_status(names, 1.5, 3))
    return b"".join(wire.encode(kind(wire.CarInfo(name, timestamp=1.0), timestamp=1.0)) for name in names)


_LOGINS = (
    login_line("mallory", "team", "#336699", 64),
    login_line("mallory", "team", "#336699", 128, raw_every=3),
    login_line("mällory", "team", "", 8),
)
_COMMANDS = (
    NO_OP,
    *(command_line(throttle=0.1), command_line(turn=-0.5), command_line(brake=1.0)),
    *(b'{"action":"reverse"}\n', restart_line(Restart(1, 0.5, 0.1, -0.2, 1.0)), restart_line(Restart())),
)
_ORDERS = tuple(map(wire.encode, (wire.ProceedToNextPhase(), wire.MotorsToggle(), wire.ResetSimulator())))


def _pick(random: Random, options: Sequence[Any]) -> Any:
    return options[int(random.integers(len(options)))]
