"""Pictures for browsers: what cameras send is shown, and nothing else does any harm."""

from __future__ import annotations

import bisect
import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from monitoring import png, unpacked

from monitor.pictures import picture, to_jpeg
from monitor.rate import Rate
from robo.cache_values import Frame

PNG = png(90)
SIGNATURE = PNG[:8]


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return struct.pack(">I", size) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def test_a_picture_looks_the_same_as_jpeg() -> None:
    jpeg = to_jpeg(PNG)
    assert jpeg is not None
    assert jpeg.startswith(b"\xff\xd8\xff")
    shown, sent = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (jpeg, PNG))
    assert shown.shape == (80, 128, 3)
    assert np.abs(shown.astype(int) - sent.astype(int)).mean() < 4.0


def test_pictures_are_packed_as_the_protocol_tells() -> None:
    first, second = picture("robo1", Frame(1.5, 7, PNG)), picture("robo-eval1", Frame(2.5, 2**63, PNG))
    assert list(unpacked(first.packed + second.packed)) == [
        ("robo1", 1.5, 7, first.jpeg),
        ("robo-eval1", 2.5, 2**63, second.jpeg),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        SIGNATURE,
        PNG[:-1],
        PNG[:20],
        PNG + b"x",
        b"\xff\xd8\xff\xe0" + bytes(100),
        bytes(80 * 128 * 3),
        SIGNATURE + header(100_000, 100_000) + chunk(b"IEND", b""),
        SIGNATURE + header(0, 80) + chunk(b"IEND", b""),
        SIGNATURE + header(128, 80) + chunk(b"IDAT", b"x", 2**31 - 1) + chunk(b"IEND", b""),
        SIGNATURE + header(128, 80) + chunk(b"acTL", bytes(8)) + PNG[33:],
        SIGNATURE + chunk(b"IHDR", b"x") + chunk(b"IEND", b""),
        PNG.replace(b"IDAT", b"IDOT"),
    ],
)
def test_what_is_no_picture_is_not_shown(data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert to_jpeg(data) is None
    assert picture("robo1", Frame(1.0, 1, data)).packed == b""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_flipped_bits_do_no_harm() -> None:
    draw = np.random.default_rng(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2000):
        data = bytearray(PNG)
        for place in draw.integers(0, len(data), draw.integers(1, 4)):
            data[place] ^= 1 << draw.integers(0, 8)
        to_jpeg(bytes(data))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize(("hertz", "shown"), [(10.0, 100), (20.0, 200), (25.0, 200), (60.0, 200)])
def test_twenty_pictures_a_second_are_shown_and_no_more(hertz: float, shown: int) -> None:
    rate, draw = Rate(), np.random.default_rng(1)
    times = [number / hertz + draw.uniform(-0.005, 0.005) for number in range(int(10 * hertz))]
    taken, late = 0, []
    seen = -1
    for tick in range(1, 401):  # looked at 40 times a second
        now = tick / 40
        newest = bisect.bisect(times, now) - 1
        if newest > seen and rate.may_look(now) and rate.may_show(1e9 + times[newest], now):
            taken, seen = taken + 1, newest
            late.append(now - times[newest])
    assert 0.95 * shown <= taken <= shown + 2
    assert max(late) < 0.06


def test_a_clock_that_is_set_back_does_not_stop_the_pictures() -> None:
    rate = Rate()
    assert rate.may_show(1000.0, 0.0)
    assert rate.may_show(500.0, 0.1)
    assert not rate.may_show(500.01, 0.11)
    assert rate.may_show(500.06, 0.16)


def test_a_picture_that_came_too_soon_is_shown_if_no_other_one_comes() -> None:
    rate = Rate()
    assert rate.may_show(10.0, 0.0)
    assert not rate.may_show(10.01, 0.02)
    assert not rate.may_show(10.01, 0.04)
    assert rate.may_show(10.01, 0.06)


def test_it_is_looked_for_a_picture_when_there_may_be_one() -> None:
    rate = Rate()
    assert rate.may_look(5.0)
    rate.may_show(1.0, 5.0)
    assert not rate.may_look(5.01)
    assert rate.may_look(5.025)
