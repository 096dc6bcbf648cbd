"""The car socket's codecs: whatever pieces the bytes come in, and whatever they are."""

from __future__ import annotations

import math
import random
import struct
import time
from types import MappingProxyType

import numpy as np
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
    raw_size,
    restart_line,
)
from robo.protocol.lines import LineDecoder
from robo.simulation.png import PngEncoder

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


def png(number: int, level: int = 1) -> bytes:
    """A picture unlike those of other numbers."""
    pixels = np.random.default_rng(number).integers(0, 256, (5, 8, 3), np.uint8)
    return PngEncoder(8, 5, level).encode(pixels)


def fed(decoder: FrameDecoder, *pieces: bytes) -> list[bytes]:
    return [frame for piece in pieces for frame in decoder.feed(piece)]


class TestFrameDecoder:
    FRAMES = tuple(png(number, number % 2) for number in range(4))
    STREAM = b"".join(map(frame_message, FRAMES))

    def test_length_comes_first_and_big_endian(self) -> None:
        assert frame_message(b"x" * 258)[:2] == b"\x01\x02"

    def test_merged(self) -> None:
        assert FrameDecoder().feed(self.STREAM) == list(self.FRAMES)

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
    def test_in_pieces(self, size: int) -> None:
        decoder = FrameDecoder()
        assert tuple(fed(decoder, *in_pieces(self.STREAM, size))) == self.FRAMES
        assert (decoder.pending, decoder.bad) == (0, 0)

    def test_split_at_every_byte(self) -> None:
        for cut in range(len(self.STREAM) + 1):
            decoder = FrameDecoder()
            assert tuple(fed(decoder, self.STREAM[:cut], self.STREAM[cut:])) == self.FRAMES
            assert decoder.bad == 0

    def test_truncated_yields_whole_frames_only_and_says_so(self) -> None:
        decoder = FrameDecoder()
        assert tuple(decoder.feed(self.STREAM[:-1])) == self.FRAMES[:-1]
        assert decoder.pending == len(self.FRAMES[-1]) + 1

    def test_largest(self) -> None:
        middle = random.Random(0).randbytes(MAX_FRAME_BYTES - len(self.FRAMES[0]))
        frame = self.FRAMES[0][:20] + middle + self.FRAMES[0][20:]
        assert FrameDecoder().feed(frame_message(frame)) == [frame]

    def test_too_large(self) -> None:
        with pytest.raises(ValueError, match="65536"):
            frame_message(bytes(MAX_FRAME_BYTES + 1))


class TestBadFrames:
    """Whatever comes in a frame's place, the next good frame is handed out, and at once."""

    GOOD = png(0)
    NEXT = png(1)

    BAD = MappingProxyType(
        {
            "no length": GOOD,
            "length 0": b"\0\0",
            "length 0, then the picture": b"\0\0" + GOOD,
            "too small": struct.pack(">H", len(GOOD) - 1) + GOOD,
            "much too small": struct.pack(">H", 3) + GOOD,
            "too large by 1": struct.pack(">H", len(GOOD) + 1) + GOOD,
            "too large by 1 frame": struct.pack(">H", 2 * len(GOOD)) + GOOD,
            "much too large": b"\xff\xff" + GOOD,
            "cut off in its length": b"\0",
            "cut off in its signature": frame_message(GOOD)[:7],
            "cut off after its signature": frame_message(GOOD)[:10],
            "cut off in the middle": frame_message(GOOD)[:50],
            "cut off before its end": frame_message(GOOD)[:-1],
            "without its begin": frame_message(GOOD)[30:],
            "a picture cut short": frame_message(GOOD[:-20]),
            "rubbish, framed": frame_message(bytes(range(256))),
            "rubbish of one byte": b"\x89",
            "rubbish": bytes(range(256)),
            "a text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "signatures": frame_message(PNG_SIGNATURE) * 5 + (b"\xff\xff" + PNG_SIGNATURE) * 5,
            "a signature too late": frame_message(b"\0" + GOOD),
            "more than a picture": frame_message(GOOD + b"more"),
            "a signature and then nothing": frame_message(PNG_SIGNATURE),
        }
    )

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
    def test_the_next_good_one_is_found(self, bad: bytes) -> None:
        first, then = frame_message(self.GOOD) + bad, frame_message(self.NEXT)
        for size in (1, 2, 9, 10**6):
            decoder = FrameDecoder()
            assert fed(decoder, *in_pieces(first, size)) == [self.GOOD]
            assert fed(decoder, *in_pieces(then, size)) == [self.NEXT]
            assert decoder.bad >= 1
            assert decoder.pending == 0
            assert not decoder.lost_sync

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
    def test_split_at_every_byte(self, bad: bytes) -> None:
        stream = bad + frame_message(self.NEXT)
        for cut in range(len(stream) + 1):
            assert fed(FrameDecoder(), stream[:cut], stream[cut:]) == [self.NEXT]

    def test_a_length_that_is_too_large_is_known_as_soon_as_the_picture_ends(self) -> None:
        decoder = FrameDecoder()
        assert decoder.feed(b"\xff\xff" + self.GOOD) == []
        assert (decoder.bad, decoder.pending < 10) == (1, True)

    def test_a_length_that_is_too_large_costs_no_frame_of_those_that_it_claims(self) -> None:
        decoder = FrameDecoder()
        many = b"".join(frame_message(png(number)) for number in range(2, 500))
        assert decoder.feed(struct.pack(">H", 60_000) + self.GOOD[:-1] + many[:-1])[:1] == [png(2)]
        assert fed(decoder, many[-1:]) == [png(499)]
        assert decoder.bad == 1

    def test_rubbish_without_end_takes_no_memory(self) -> None:
        decoder, rubbish = FrameDecoder(), random.Random(3).randbytes(1 << 17)
        for _ in range(100):
            assert decoder.feed(rubbish) == []
            assert decoder.pending < 10
        assert decoder.bad == 1
        assert decoder.feed(frame_message(self.NEXT)) == [self.NEXT]

    def test_what_is_held_is_less_than_a_frame(self) -> None:
        decoder, endless = FrameDecoder(), b"\xff\xff" + PNG_SIGNATURE
        for _ in range(1000):
            decoder.feed(endless * 10)
            assert decoder.pending < 2 + MAX_FRAME_BYTES

    def test_bad_frames_take_no_time(self) -> None:
        """A thousand of the worst kind, each of which looks like the begin of a picture, in a receive."""
        stream = (struct.pack(">H", 3) + PNG_SIGNATURE) * 13_000
        start = time.perf_counter()
        FrameDecoder().feed(stream)
        assert time.perf_counter() - start < 1.0


class TestBarePixels:
    WIDTH = 8
    PIXELS = bytes(range(raw_size(8)))
    PNG = png(0)

    def test_they_are_taken_where_they_were_asked_for(self) -> None:
        message = frame_message(self.PIXELS) * 2 + frame_message(self.PNG) + frame_message(self.PIXELS)
        decoder = FrameDecoder(raw_size(self.WIDTH))
        assert fed(decoder, *in_pieces(message, 7)) == [self.PIXELS, self.PIXELS, self.PNG, self.PIXELS]
        assert (decoder.bad, decoder.lost_sync) == (0, False)
        decoder = FrameDecoder()
        assert decoder.feed(message) == [self.PNG]
        assert (decoder.bad, decoder.lost_sync) == (2, False)

    @pytest.mark.parametrize(
        "bad", [b"\0\0", frame_message(PIXELS[1:]), b"\0\x79" + PIXELS, PIXELS, frame_message(PNG[:-1])]
    )
    def test_a_bad_frame_among_them_is_said_to_need_a_new_connection(self, bad: bytes) -> None:
        decoder = FrameDecoder(raw_size(self.WIDTH))
        assert decoder.feed(frame_message(self.PIXELS)) == [self.PIXELS]
        decoder.feed(bad)
        assert (decoder.bad, decoder.lost_sync) == (1, True)
        assert decoder.feed(frame_message(self.PIXELS) * 3) == []
        assert (decoder.bad, decoder.lost_sync, decoder.pending < 10) == (1, True, True)

    def test_a_simulator_that_sends_pngs_all_the_same_is_found_again(self) -> None:
        decoder = FrameDecoder(raw_size(self.WIDTH))
        assert decoder.feed(frame_message(self.PNG)) == [self.PNG]
        assert decoder.feed(b"rubbish") == []
        assert (decoder.bad, decoder.lost_sync) == (1, False)
        assert decoder.feed(frame_message(self.PNG)) == [self.PNG]

    def test_a_cut_off_picture_is_taken_for_the_next_ones_begin(self) -> None:
        """Nothing tells; the frame after it is bad."""
        decoder = FrameDecoder(raw_size(self.WIDTH))
        stream = frame_message(self.PIXELS)[:-5] + frame_message(self.PIXELS)
        assert decoder.feed(stream) == [self.PIXELS[:-5] + stream[-len(self.PIXELS) - 2 :][:5]]
        assert decoder.lost_sync


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
