"""How much of each colour lies where in a camera picture: 24 numbers that a policy can drive by."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

THRESHOLD = 100
"""A pixel counts only if its largest channel exceeds this."""
GROUPS = 4
SHAPE = (2 * GROUPS, 3)
"""Shape of an observation: 4 column groups from the left, 4 row groups from the top; red, green, blue."""


@njit(cache=True, nogil=True)
def color_mass(frame_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average colours of a picture's columns and rows, each scaled to 0..1 by its least and largest channel.

    ``frame_bgr``: uint8 [H, W, 3], blue, green, red, of 5 rows and 4 columns or more; the top quarter of the
    rows is left out. A pixel counts for those of its channels that equal its largest, if that exceeds 100.
    Returns float32 [8, 3], red, green, blue: means over 4 groups of columns left to right, then over 4 groups
    of rows top to bottom. A column or row whose channels are all equal counts as 0.
    """
    height, width = frame_bgr.shape[0], frame_bgr.shape[1]
    top = height // 4
    columns = np.zeros((width, 3), np.int32)
    rows = np.zeros((height - top, 3), np.int32)
    for row in range(top, height):
        row_blue = row_green = row_red = 0
        for column in range(width):
            blue, green, red = frame_bgr[row, column, 0], frame_bgr[row, column, 1], frame_bgr[row, column, 2]
            largest = max(blue, green, red)
            if largest <= THRESHOLD:
                continue
            is_red, is_green, is_blue = int(red == largest), int(green == largest), int(blue == largest)
            columns[column, 0] += is_red
            columns[column, 1] += is_green
            columns[column, 2] += is_blue
            row_red += is_red
            row_green += is_green
            row_blue += is_blue
        rows[row - top, 0] = row_red
        rows[row - top, 1] = row_green
        rows[row - top, 2] = row_blue
    out = np.zeros((2 * GROUPS, 3), np.float32)
    _average(columns, out[:GROUPS])
    _average(rows, out[GROUPS:])
    return out


@njit(cache=True, nogil=True)
def _average(counts: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Scale each line's three counts by their least and largest, and average the lines in 4 groups."""
    lines = len(counts)
    for group in range(GROUPS):
        first, last = group * lines // GROUPS, (group + 1) * lines // GROUPS
        for line in range(first, last):
            least = min(counts[line, 0], counts[line, 1], counts[line, 2])
            largest = max(counts[line, 0], counts[line, 1], counts[line, 2])
            if largest == least:
                continue
            for channel in range(3):
                out[group, channel] += (counts[line, channel] - least) / (largest - least)
        for channel in range(3):
            out[group, channel] /= last - first
