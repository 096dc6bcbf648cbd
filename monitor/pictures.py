"""Camera pictures for browsers: from PNG to JPEG, a few KB each, once for all who watch."""

from __future__ import annotations

import struct
from typing import NamedTuple

import cv2
import numpy as np

from robo.cache_values import Frame
from robo.protocol.car import PNG_SIGNATURE
from robo.simulation.png import holds

QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]
LONGEST_SIDE = 1024
"""Pixels."""
_HEADER_BYTES = 13
_FRAMING_BYTES = 12
"""Of every chunk of a PNG: its length, its kind and its checksum."""
_SIZE = struct.Struct(">II")
_ABOUT = struct.Struct("<dQI")


class Picture(NamedTuple):
    """A car's picture, or that it had one that is none."""

    at: float
    """Unix time, seconds, when it left the simulator."""
    number: int
    """Of the frames of one connection of the car."""
    jpeg: bytes
    """Empty: it could not be understood."""
    packed: bytes
    """As it goes to a page; empty with it."""


def picture(car: str, frame: Frame) -> Picture:
    """A frame as it is shown."""
    jpeg = to_jpeg(frame.png) or b""
    return Picture(frame.at, frame.number, jpeg, pack(car, frame, jpeg) if jpeg else b"")


def pack(car: str, frame: Frame, jpeg: bytes) -> bytes:
    """``u8 n``, n bytes of the car's name, ``f64 at, u64 number, u32 size``, the JPEG; little endian."""
    name = car.encode("ascii", "replace")[:255]
    return b"".join((bytes((len(name),)), name, _ABOUT.pack(frame.at, frame.number, len(jpeg)), jpeg))


def to_jpeg(png: bytes) -> bytes | None:
    """The picture as JPEG; None of what is no PNG, or is one that no camera makes."""
    if not _is_sound(png):
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            return None
        done, jpeg = cv2.imencode(".jpg", pixels, QUALITY)
    except cv2.error:
        return None
    return jpeg.tobytes() if done else None


def _is_sound(png: bytes) -> bool:
    """Whether a PNG is small and whole; OpenCV takes as much memory as its header, and its chunks, say."""
    place = len(PNG_SIGNATURE)
    if not png.startswith(PNG_SIGNATURE) or png[place + 4 : place + 8] != b"IHDR":
        return False
    if len(png) < place + _FRAMING_BYTES + _HEADER_BYTES:
        return False
    if not all(0 < side <= LONGEST_SIDE for side in _SIZE.unpack_from(png, place + 8)):
        return False
    return holds(png)
