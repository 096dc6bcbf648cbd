"""Which colour of the floor lies where in a camera picture: 144 numbers that say where the track bends."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

COLUMNS = 8
EDGES = (0.29, 0.325, 0.36, 0.42, 0.5, 0.65, 1.0)
"""Where the bands of rows begin and end, as shares of the height from the top.

The first begins at the horizon. On level ground they end 2, 1, 0.55, 0.35, 0.2 and 0.1 m ahead of the camera:
what lies far off is small, and it is there that a bend shows first.
"""
DARK = 40
"""A pixel whose largest channel is less has no colour: a wall, or the lines between the floor's bands."""
COLOURED = 4
"""Nor has one whose channels differ by less than one part in so many of the largest: sky, ground, cars."""
SHAPE = ((len(EDGES) - 1) * COLUMNS, 3)
"""Shape of an observation: cells, the farthest band's first, each band's left to right; red, green, blue."""


@njit(cache=True, nogil=True)
def color_grid(frame_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of each cell's pixels that are red, green and blue, float32 [48, 3], 0..1.

    ``frame_bgr``: uint8 [H, W, 3], blue, green, red, of 32 rows and 8 columns or more. A pixel is of the
    colour of its largest channel, however dark a shadow it lies in, unless it has none (DARK, COLOURED).
    """
    height, width = frame_bgr.shape[0], frame_bgr.shape[1]
    out = np.zeros(SHAPE, np.float32)
    for cell in range(SHAPE[0]):
        band, column = divmod(cell, COLUMNS)
        top, bottom = int(EDGES[band] * height), int(EDGES[band + 1] * height)
        left, right = column * width // COLUMNS, (column + 1) * width // COLUMNS
        for y in range(top, bottom):
            for x in range(left, right):
                blue, green, red = frame_bgr[y, x, 0], frame_bgr[y, x, 1], frame_bgr[y, x, 2]
                largest, least = max(blue, green, red), min(blue, green, red)
                if largest >= DARK and (largest - least) * COLOURED >= largest:
                    out[cell, 0 if red == largest else 1 if green == largest else 2] += 1
        out[cell] /= (bottom - top) * (right - left)
    return out
