"""Camera frames as PNG, fast: one filter, one allocation, no search for the best encoding.

The format: PNG specification, third edition (W3C, 2025), sections 5, 9 and 10.
"""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from robo.protocol.car import PNG_SIGNATURE

_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
_RGB8 = (8, 2, 0, 0, 0)  # bits a channel, colour type RGB, deflate, the five standard filters, not interlaced


_FRAMING_BYTES = 12
"""Of every chunk: four of length, four of kind, the data, a checksum of four."""
_ANIMATED = (b"acTL", b"fcTL", b"fdAT")


class PngEncoder:
    """Encodes frames of one size, uint8 [height, width, 3] BGR, as 8-bit RGB PNGs.

    level: zlib's, 0 to 9. At 0 the pixels are stored as they are: the fastest to write and to read, and
    right for a loopback connection, where bytes cost nothing; 1 is for a network.
    """

    def __init__(self, width: int, height: int, level: int = 0) -> None:
        self._level = level
        header = struct.pack(">IIBBBBB", width, height, *_RGB8)
        self._head = PNG_SIGNATURE + _chunk(b"IHDR", header)
        # Every row is a filter's number, 0 for none, and the pixels.
        self._rows = np.zeros((height, 1 + 3 * width), np.uint8)
        self._pixels = self._rows[:, 1:].reshape(height, width, 3)

    def encode(self, frame: np.ndarray) -> bytes:
        """The frame, uint8 [height, width, 3] BGR, as a PNG."""
        cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=self._pixels)
        return b"".join((self._head, _chunk(b"IDAT", zlib.compress(self._rows, self._level)), _END))


def holds(png: bytes) -> bool:
    """Whether a PNG's chunks fill it exactly, as long as they say that they are, and none is an animation's.

    OpenCV believes what they say, and takes as much memory: gigabytes for a flipped bit.
    """
    place = len(PNG_SIGNATURE)
    while place < len(png):
        if png[place + 4 : place + 8] in _ANIMATED:
            return False
        place += _FRAMING_BYTES + int.from_bytes(png[place : place + 4], "big")
    return place == len(png)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)))
