"""Boxes drawn into a picture, hidden by what is nearer; compiled by numba.

A camera is an ``eye``, float64 [3] (metres), a ``view``, float64 [3, 3], whose rows are its right, up and
forward as unit vectors, and ``edge``, float64 [2]: the tangents of half its horizontal and vertical field of
view. A box is a ``centre``, float64 [3], ``axes``, float64 [3, 3], whose rows are its right, up and forward,
and ``halves``, float64 [3]: half its size along each. A ``nearness`` is a depth buffer, float32 [H, W]: for
each pixel 1 / depth along the camera's forward of what is drawn there, 0 for the sky.

Rays meet boxes by the slab method (T. Kay, J. Kajiya, Ray Tracing Complex Scenes, 1986). Its arithmetic is in
1 / depth, which is linear across the picture for each face, so that a pixel takes no division.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Nearness = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)
def find_bounds(  # noqa: PLR0917 numba kernels take their state as flat arguments
    bounds: Ints,
    height: int,
    width: int,
    near: float,
    eye: Floats,
    view: Floats,
    edge: Floats,
    centre: Floats,
    axes: Floats,
    halves: Floats,
) -> bool:
    """Fill ``bounds``, int64 [4]: rows from and to (exclusive), then columns, where a box may be seen.

    Whether it may be seen at all. ``near``: depth in metres up to which nothing is seen.
    """
    corners = np.empty((8, 3))
    for corner in range(8):
        right = halves[0] if corner & 1 else -halves[0]
        up = halves[1] if corner & 2 else -halves[1]
        ahead = halves[2] if corner & 4 else -halves[2]
        x = centre[0] + right * axes[0, 0] + up * axes[1, 0] + ahead * axes[2, 0] - eye[0]
        y = centre[1] + right * axes[0, 1] + up * axes[1, 1] + ahead * axes[2, 1] - eye[1]
        z = centre[2] + right * axes[0, 2] + up * axes[1, 2] + ahead * axes[2, 2] - eye[2]
        for axis in range(3):
            corners[corner, axis] = x * view[axis, 0] + y * view[axis, 1] + z * view[axis, 2]
    left = top = math.inf
    right_end = bottom = -math.inf
    for corner in range(8):
        for bit in range(3):
            other = corner ^ (1 << bit)
            depth, other_depth = corners[corner, 2], corners[other, 2]
            if depth < near:
                if other_depth < near:
                    continue
                # The part of this edge that is in front of the camera starts here.
                share = (near - depth) / (other_depth - depth)
                x = corners[corner, 0] + share * (corners[other, 0] - corners[corner, 0])
                y = corners[corner, 1] + share * (corners[other, 1] - corners[corner, 1])
                depth = near
            else:
                x, y = corners[corner, 0], corners[corner, 1]
            left, right_end = min(left, x / depth), max(right_end, x / depth)
            top, bottom = min(top, -y / depth), max(bottom, -y / depth)
    if left >= edge[0] or right_end <= -edge[0] or top >= edge[1] or bottom <= -edge[1]:
        return False
    bounds[0] = max(int((top / edge[1] + 1.0) * 0.5 * height), 0)
    bounds[1] = min(int(min((bottom / edge[1] + 1.0) * 0.5, 1.0) * height) + 1, height)
    bounds[2] = max(int((left / edge[0] + 1.0) * 0.5 * width), 0)
    bounds[3] = min(int(min((right_end / edge[0] + 1.0) * 0.5, 1.0) * width) + 1, width)
    return True


@njit(cache=True, nogil=True)
def draw_box(  # noqa: PLR0917 numba kernels take their state as flat arguments
    out: Bytes,
    nearness: Nearness,
    bounds: Ints,
    eye: Floats,
    view: Floats,
    edge: Floats,
    centre: Floats,
    axes: Floats,
    halves: Floats,
    shades: Bytes,
) -> None:
    """Draw a box into ``out``, uint8 [H, W, 3], and ``nearness`` within ``bounds``, where nothing is nearer.

    ``shades``: uint8 [3, 3], the colours of its flanks, its top and bottom, and its ends. A camera inside
    the box does not see it.
    """
    height, width = out.shape[0], out.shape[1]
    # For each axis, as 1 / distance: the face that can be seen, if any, and those that a ray can leave by.
    seen, enter, leave, leave_too = np.zeros(3, np.bool_), np.zeros(3), np.zeros(3), np.zeros(3)
    constant, per_row, per_column = np.empty(3), np.empty(3), np.empty(3)
    for axis in range(3):
        place = across = upward = ahead = 0.0
        for i in range(3):
            place += axes[axis, i] * (eye[i] - centre[i])
            across += axes[axis, i] * view[0, i]
            upward += axes[axis, i] * view[1, i]
            ahead += axes[axis, i] * view[2, i]
        if abs(place) > halves[axis]:
            seen[axis] = True
            enter[axis] = 1.0 / (math.copysign(halves[axis], place) - place)
            leave[axis] = leave_too[axis] = 1.0 / (-math.copysign(halves[axis], place) - place)
        else:
            leave[axis] = 1.0 / max(halves[axis] - place, 1e-9)
            leave_too[axis] = 1.0 / min(-halves[axis] - place, -1e-9)
        # Direction of a pixel's ray along this axis.
        constant[axis] = (
            ahead + across * edge[0] * (1.0 / width - 1.0) + upward * edge[1] * (1.0 - 1.0 / height)
        )
        per_row[axis] = -2.0 * upward * edge[1] / height
        per_column[axis] = 2.0 * across * edge[0] / width
    if not (seen[0] or seen[1] or seen[2]):
        return
    for row in range(bounds[0], bounds[1]):
        for column in range(bounds[2], bounds[3]):
            met, left, face = math.inf, -math.inf, 0
            for axis in range(3):
                way = constant[axis] + row * per_row[axis] + column * per_column[axis]
                left = max(left, way * leave[axis], way * leave_too[axis])
                if seen[axis] and way * enter[axis] < met:
                    met, face = way * enter[axis], axis
            if met > 0.0 and met >= left and met > nearness[row, column]:
                nearness[row, column] = met
                out[row, column, 0] = shades[face, 0]
                out[row, column, 1] = shades[face, 1]
                out[row, column, 2] = shades[face, 2]
