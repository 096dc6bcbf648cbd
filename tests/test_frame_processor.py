"""What a frame's payload is taken for, before anything computes with it."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from processes.frame_processor import decode
from robo.simulation.png import PngEncoder

PICTURE = np.random.default_rng(0).integers(0, 255, (80, 128, 3), np.uint8)
PNG = cv2.imencode(".png", PICTURE)[1].tobytes()


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    size = struct.pack(">I", len(data) if length is None else length)
    return size + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(extra: bytes) -> bytes:
    """The picture with one more chunk behind its first."""
    first = 8 + 12 + 13
    return PNG[:first] + extra + PNG[first:]


@pytest.mark.parametrize(
    "png", [PNG, PngEncoder(128, 80, 0).encode(PICTURE), PngEncoder(128, 80, 9).encode(PICTURE)]
)
def test_a_camera_s_picture_is_decoded(png: bytes) -> None:
    np.testing.assert_array_equal(decode(png, 128), PICTURE)
    np.testing.assert_array_equal(decode(png, 64), PICTURE)  # a simulator may not know the login's width


def test_bare_pixels_are_taken_as_they_are() -> None:
    np.testing.assert_array_equal(decode(PICTURE.tobytes(), 128), PICTURE)
    assert decode(PICTURE.tobytes()[1:], 128) is None


def test_a_harmless_chunk_is_passed_over() -> None:
    np.testing.assert_array_equal(decode(with_chunk(chunk(b"tEXt", b"made by\0me")), 128), PICTURE)


@pytest.mark.parametrize(
    "png",
    [
        b"",
        b"x",
        PNG[:20],
        PNG[:-1],
        PNG + b"x",
        with_chunk(chunk(b"tEXt", b"x", length=0x7FFFFFFF)),  # for which OpenCV takes 2 GB
        with_chunk(chunk(b"acTL", struct.pack(">II", 1000, 0))),
        cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes(),
        cv2.imencode(".png", np.zeros((81, 128, 3), np.uint8))[1].tobytes(),
        cv2.imencode(".jpg", PICTURE)[1].tobytes(),
    ],
)
def test_anything_else_is_no_picture(png: bytes) -> None:
    assert decode(png, 128) is None
