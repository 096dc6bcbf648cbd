"""The car socket's codecs: whatever pieces the bytes come in, and whatever they are."""

from __future__ import annotations

import math
import random

import pytest

from robo.protocol.car import (
    MAX_FRAME_BYTES,
    NO_OP,
    PNG_SIGNATURE,
    RESTART,
    Command,
    FrameDecoder,
    Login,
    Restart,
    command_line,
    frame_message,
    is_raw,
    login_line,
    parse_command,
    parse_login,
    parse_restart,
    restart_line,
)
from robo.protocol.lines import LineDecoder

DEEP = b"[" * 60_000
NONSENSE = [
    b"",
    b" ",
    b"null",
    b"true",
    b"[]",
    b'"text"',
    b"\x00\x01\x02\xff\xfe",
    b"{",
    b'{"action":}',
    b'{"action":"turn","value":NaN}',
    b'{"action":"turn","value":-Infinity}',
    b'{"action":"turn","value":1e999}',
    b'{"action":"turn","value":"1"}',
    b'{"action":"turn","value":true}',
    b'{"action":7}',
    b'{"action":"\xff"}',
    b'{"action":"\\ud800"}',
    b'{"value":' + b"9" * 60_000 + b"}",
    b'{"x":' + DEEP,
    DEEP,
]


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def test_bare_pixels_are_told_from_pngs() -> None:
    assert is_raw(bytes(64 * 40 * 3), 64)
    assert not is_raw(bytes(64 * 40 * 3), 128)
    assert not is_raw(PNG_SIGNATURE + bytes(64 * 40 * 3 - len(PNG_SIGNATURE)), 64)
    assert not is_raw(b"", 64)


class TestFrameDecoder:
    FRAMES = (b"first", b"", b"\x00\x05a\x00\n", bytes(range(256)) * 3)
    STREAM = b"".join(map(frame_message, FRAMES))

    def test_length_comes_first_and_big_endian(self) -> None:
        assert frame_message(b"x" * 258)[:2] == b"\x01\x02"

    def test_merged(self) -> None:
        assert FrameDecoder().feed(self.STREAM) == list(self.FRAMES)

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
    def test_in_pieces(self, size: int) -> None:
        decoder = FrameDecoder()
        frames = [frame for piece in in_pieces(self.STREAM, size) for frame in decoder.feed(piece)]
        assert tuple(frames) == self.FRAMES
        assert decoder.pending == 0

    def test_split_at_every_byte(self) -> None:
        for cut in range(len(self.STREAM) + 1):
            decoder = FrameDecoder()
            frames = decoder.feed(self.STREAM[:cut]) + decoder.feed(self.STREAM[cut:])
            assert tuple(frames) == self.FRAMES

    def test_truncated_yields_whole_frames_only_and_says_so(self) -> None:
        decoder = FrameDecoder()
        assert tuple(decoder.feed(self.STREAM[:-1])) == self.FRAMES[:-1]
        assert decoder.pending == len(self.FRAMES[-1]) + 1

    def test_largest(self) -> None:
        frame = random.Random(0).randbytes(MAX_FRAME_BYTES)
        assert FrameDecoder().feed(frame_message(frame)) == [frame]

    def test_too_large(self) -> None:
        with pytest.raises(ValueError, match="65536"):
            frame_message(bytes(MAX_FRAME_BYTES + 1))


class TestLineDecoder:
    STREAM = b'{"a":1}\n\n{"b":2}\r\nrest'
    LINES = (b'{"a":1}', b"", b'{"b":2}\r')

    def test_merged(self) -> None:
        assert tuple(LineDecoder().feed(self.STREAM)) == self.LINES

    def test_split_at_every_byte(self) -> None:
        for cut in range(len(self.STREAM) + 1):
            decoder = LineDecoder()
            lines = decoder.feed(self.STREAM[:cut]) + decoder.feed(self.STREAM[cut:])
            assert tuple(lines) == self.LINES
            assert decoder.feed(b"\n") == [b"rest"]

    @pytest.mark.parametrize("size", [1, 3, 8, 9, 10, 1000])
    def test_line_over_the_limit_is_dropped_alone(self, size: int) -> None:
        decoder = LineDecoder(limit=8)
        stream = b"12345678\n123456789\nnext\n" + b"x" * 50 + b"\n\nlast\n"
        lines = [line for piece in in_pieces(stream, size) for line in decoder.feed(piece)]
        assert lines == [b"12345678", b"next", b"", b"last"]
        assert decoder.dropped == 2

    def test_a_line_without_end_takes_no_memory(self) -> None:
        decoder = LineDecoder(limit=100)
        for _ in range(1000):
            assert decoder.feed(b"x" * 1000) == []
            assert len(decoder._rest) <= 100
        assert decoder.dropped == 1
        assert decoder.feed(b"\ngood\n") == [b"good"]

    def test_any_stream_in_any_pieces(self) -> None:
        rng = random.Random(1)
        for _ in range(300):
            stream = bytes(rng.choices(b"ab\n", k=rng.randrange(60)))
            expected = [line for line in stream.split(b"\n")[:-1] if len(line) <= 4]
            decoder, lines, rest = LineDecoder(limit=4), [], stream
            while rest:
                size = rng.randrange(1, 9)
                lines += decoder.feed(rest[:size])
                rest = rest[size:]
            assert lines == expected


class TestLogin:
    def test_there_and_back(self) -> None:
        line = login_line("rosö", "team", "#ff0000", 64)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert parse_login(line) == Login("rosö", "team", "#ff0000", 64)

    def test_default_width(self) -> None:
        assert b"imageWidth" not in login_line("a", "t", "#000000")
        assert parse_login(login_line("a", "t", "#000000")).image_width == 128

    @pytest.mark.parametrize(
        ("width", "means"),
        [
            *(("8", 8), ("128", 128), ("7", 128), ("129", 128), ("0", 128), ("-5", 128)),
            *(("64.5", 128), ("NaN", 128), ("1e300", 128), ('"64"', 128), ("true", 128), ("null", 128)),
        ],
    )
    def test_width_outside_its_range_means_128(self, width: str, means: int) -> None:
        login = parse_login(f'{{"name":"a","teamId":"t","imageWidth":{width}}}'.encode())
        assert login == Login("a", "t", "", means)

    def test_bare_pixels_and_every_nth_frame(self) -> None:
        login = parse_login(login_line("a", "t", "#000000", raw_every=3))
        assert login == Login("a", "t", "#000000", raw=True, every=3)
        assert b"picture" not in login_line("a", "t", "#000000")

    @pytest.mark.parametrize("every", ["0", "16", "-3", "2.0", "true", '"3"', "null", "NaN"])
    def test_an_interval_outside_its_range_means_every_frame(self, every: str) -> None:
        line = f'{{"name":"a","teamId":"t","pictureEvery":{every},"pictureFormat":"jpeg"}}'
        assert parse_login(line.encode()) == Login("a", "t")

    @pytest.mark.parametrize(
        "line",
        [
            *NONSENSE,
            b'{"teamId":"t"}',
            b'{"name":"a"}',
            b'{"name":"","teamId":"t"}',
            b'{"name":"a","teamId":5}',
            b'{"name":null,"teamId":"t"}',
            b'{"name":"\\ud800","teamId":"t"}',
            b'{"name":"' + b"a" * 257 + b'","teamId":"t"}',
        ],
    )
    def test_refused(self, line: bytes) -> None:
        assert parse_login(line) is None


class TestCommand:
    def test_there_and_back(self) -> None:
        lines = LineDecoder().feed(command_line(throttle=0.25, turn=-1.0))
        assert [parse_command(line) for line in lines] == [Command("forward", 0.25), Command("turn", -1.0)]
        assert parse_command(command_line(brake=1.0)) == Command("brake", 1.0)

    def test_nothing_is_still_an_answer(self) -> None:
        assert command_line() == NO_OP
        assert parse_command(NO_OP) == Command(None, None)

    def test_unknown_action_is_a_command(self) -> None:
        assert parse_command(b'{"action":"jump","height":3}') == Command("jump", None)

    def test_values_are_taken_as_they_are_if_finite(self) -> None:
        assert parse_command(b'{"action":"turn","value":1e300}') == Command("turn", 1e300)
        assert parse_command(b'{"action":"turn","value":1}') == Command("turn", 1.0)

    @pytest.mark.parametrize("line", NONSENSE)
    def test_malformed(self, line: bytes) -> None:
        assert parse_command(line) is None

    def test_noise_never_raises_nor_gives_a_value_that_is_not_finite(self) -> None:
        rng = random.Random(2)
        good = command_line(throttle=0.1)[:-1]
        for _ in range(3000):
            line = bytearray(good)
            for _ in range(rng.randrange(1, 4)):
                line[rng.randrange(len(line))] = rng.randrange(256)
            command = parse_command(bytes(line))
            assert command is None or command.value is None or math.isfinite(command.value)


class TestRestart:
    def test_there_and_back(self) -> None:
        restart = Restart(3, 0.25, -0.1, 0.5, 1.5)
        line = restart_line(restart)
        assert parse_command(line).action == RESTART
        assert parse_restart(line) == restart
        assert parse_restart(b'{"action":"restart"}') == Restart()

    @pytest.mark.parametrize(
        "fields",
        [
            '"track":-1',
            '"track":1.5',
            '"at":1.1',
            '"at":"0"',
            '"lateral":9',
            '"heading":2',
            '"speed":-1',
            '"at":NaN',
        ],
    )
    def test_what_can_not_be_is_refused(self, fields: str) -> None:
        assert parse_restart(b'{"action":"restart",%s}' % fields.encode()) is None
