"""Filling triangles and quads into a picture of palette indices with a depth buffer, compiled by numba.

Points are in the camera's axes: x right, y up, z forward, metres. Depths are 1 / z; what is flat in space has
1 / z, and any linear measure on it over z, linear in the picture: both come from the corners by homogeneous
interpolation (M. Olano, T. Greer, Triangle Scan Conversion using 2D Homogeneous Coordinates, 1997), so that
cutting at the near plane only touches the outline.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.camera import NEAR
from robo.simulation.vectors import Vector, add, cross, dot, minus

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bytes = NDArray[np.uint8]

OUTLINE_SHAPE = (8, 3)
"""Of the scratch for an outline: x, y in pixels and the slope dx/dy to the next corner."""
OVERLAP = 1e-6  # pixels by which neighbours overlap, so that rounding leaves no gap
EDGE_ON = 1e-12


@njit(cache=True, nogil=True)
def fill_quad(  # noqa: PLR0917 numba kernels take their state as flat arguments
    indices: Bytes,
    depths: Singles,
    outline: Floats,
    focal: tuple[float, float],
    corners: tuple[Vector, Vector, Vector, Vector],
    colour: int,
) -> None:
    """Fill a quad, flat or nearly so, with one colour."""
    a, b, c, d = corners
    count = _project(outline, focal, a, b, c, d, 4, depths.shape)
    if count == 0:
        return
    facing = cross(minus(c, a), minus(d, b))
    offset = 0.25 * (dot(facing, a) + dot(facing, b) + dot(facing, c) + dot(facing, d))
    if abs(offset) < EDGE_ON:
        return
    depth, across, down = _over_picture(facing, 1.0 / offset, focal, depths.shape)
    for row in range(*_rows(outline, count, depths.shape[0])):
        first, last = _span(outline, count, row + 0.5, depths.shape[1])
        inverse = depth + row * down + first * across
        for column in range(first, last):
            if inverse > depths[row, column]:
                depths[row, column] = inverse
                indices[row, column] = colour
            inverse += across


@njit(cache=True, nogil=True)
def fill_textured(  # noqa: PLR0917 numba kernels take their state as flat arguments
    indices: Bytes,
    depths: Singles,
    outline: Floats,
    focal: tuple[float, float],
    corners: tuple[Vector, Vector, Vector],
    columns: Vector,
    rows: Vector,
    texture: Bytes,
) -> None:
    """Fill a triangle with a texture; ``columns`` and ``rows``: where in it each corner is, in texels."""
    a, b, c = corners
    over_a, over_b, over_c = cross(b, c), cross(c, a), cross(a, b)
    volume = dot(a, over_a)
    if abs(volume) < EDGE_ON:
        return
    count = _project(outline, focal, a, b, c, c, 3, depths.shape)
    if count == 0:
        return
    one = add(add(over_a, over_b, 1.0), over_c, 1.0)
    depth, across, down = _over_picture(one, 1.0 / volume, focal, depths.shape)
    side = add(add(add((0.0, 0.0, 0.0), over_a, columns[0]), over_b, columns[1]), over_c, columns[2])
    way = add(add(add((0.0, 0.0, 0.0), over_a, rows[0]), over_b, rows[1]), over_c, rows[2])
    side_at, side_across, side_down = _over_picture(side, 1.0 / volume, focal, depths.shape)
    way_at, way_across, way_down = _over_picture(way, 1.0 / volume, focal, depths.shape)
    last_row, last_column = texture.shape[0] - 1, texture.shape[1] - 1
    for row in range(*_rows(outline, count, depths.shape[0])):
        first, last = _span(outline, count, row + 0.5, depths.shape[1])
        inverse = depth + row * down + first * across
        side_over = side_at + row * side_down + first * side_across
        way_over = way_at + row * way_down + first * way_across
        for column in range(first, last):
            if inverse > depths[row, column]:
                depths[row, column] = inverse
                z = 1.0 / inverse
                texel_row = min(max(int(way_over * z), 0), last_row)
                texel_column = min(max(int(side_over * z), 0), last_column)
                indices[row, column] = texture[texel_row, texel_column]
            inverse += across
            side_over += side_across
            way_over += way_across


@njit(cache=True, nogil=True)
def _over_picture(
    over: Vector, scale: float, focal: tuple[float, float], shape: tuple[int, int]
) -> tuple[float, float, float]:
    """A function linear in x / z, y / z and 1, as its value at pixel 0, 0 and its steps across and down."""
    across, down = over[0] * scale / focal[0], -over[1] * scale / focal[1]
    start = over[2] * scale + (0.5 - 0.5 * shape[1]) * across + (0.5 - 0.5 * shape[0]) * down
    return start, across, down


@njit(cache=True, nogil=True)
def _project(  # noqa: PLR0917 numba kernels take their state as flat arguments
    outline: Floats,
    focal: tuple[float, float],
    a: Vector,
    b: Vector,
    c: Vector,
    d: Vector,
    count: int,
    shape: tuple[int, int],
) -> int:
    """Write the outline of a triangle or quad in pixels, cut at the near plane; the number of its corners.

    0 where nothing of it is in the picture.
    """
    written = 0
    for index in range(count):
        here = a if index == 0 else b if index == 1 else c if index == 2 else d
        after = b if index == 0 else c if index == 1 else d if index == 2 else a
        if index == count - 1:
            after = a
        if here[2] >= NEAR:
            _corner(outline, written, focal, here, shape)
            written += 1
        if (here[2] >= NEAR) != (after[2] >= NEAR):
            share = (NEAR - here[2]) / (after[2] - here[2])
            cut = add(here, minus(after, here), share)
            _corner(outline, written, focal, (cut[0], cut[1], NEAR), shape)
            written += 1
    if written < 3:
        return 0
    low_x = low_y = math.inf
    high_x = high_y = -math.inf
    for index in range(written):
        x, y = outline[index, 0], outline[index, 1]
        low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
        after_x, after_y = outline[(index + 1) % written, 0], outline[(index + 1) % written, 1]
        outline[index, 2] = (after_x - x) / (after_y - y) if after_y != y else 0.0
    if high_x <= 0.0 or low_x >= shape[1] or high_y <= 0.0 or low_y >= shape[0]:
        return 0
    return written


@njit(cache=True, nogil=True)
def _corner(
    outline: Floats, index: int, focal: tuple[float, float], point: Vector, shape: tuple[int, int]
) -> None:
    outline[index, 0] = 0.5 * shape[1] + focal[0] * point[0] / point[2]
    outline[index, 1] = 0.5 * shape[0] - focal[1] * point[1] / point[2]


@njit(cache=True, nogil=True)
def _rows(outline: Floats, count: int, height: int) -> tuple[int, int]:
    """First row whose middle is within the outline, and the one after the last."""
    low, high = math.inf, -math.inf
    for index in range(count):
        low, high = min(low, outline[index, 1]), max(high, outline[index, 1])
    return math.ceil(max(low, 0.0) - 0.5), math.floor(min(high, height) - 0.5) + 1


@njit(cache=True, nogil=True)
def _span(outline: Floats, count: int, middle: float, width: int) -> tuple[int, int]:
    """First column of a row that is within a convex outline, and the one after the last."""
    left, right = math.inf, -math.inf
    for index in range(count):
        after = index + 1 if index + 1 < count else 0
        y = outline[index, 1]
        if (y <= middle) != (outline[after, 1] <= middle):
            x = outline[index, 0] + (middle - y) * outline[index, 2]
            left, right = min(left, x), max(right, x)
    if left > right:
        return 0, 0
    left, right = max(left, 0.0), min(right, float(width))
    return math.ceil(left - 0.5 - OVERLAP), math.floor(right - 0.5 + OVERLAP) + 1
