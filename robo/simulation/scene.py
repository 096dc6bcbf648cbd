"""What a camera can see of a track in three dimensions: a mesh in chunks, and a picture for its floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.footing import centre, directions, lateral_at, normal
from robo.simulation.ground import (
    BANDS,
    HALF_WIDTH,
    LIGHT_AZIMUTH,
    LIGHT_ELEVATION,
    SHADOWED,
    WALL_HEIGHT,
    _colour,
)
from robo.simulation.surface import (
    EDGE,
    LEFT_EDGE,
    POSITION,
    RIGHT,
    RIGHT_EDGE,
    START,
    TANGENT,
    TWIST,
    UP,
)
from robo.simulation.vectors import Vector, add, dot

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

CHUNK = 8
"""Pieces in a chunk, drawn as 1, 2, 4 or 8 quads."""
STRIDES = (8, 4, 2, 1)
ALONG, ACROSS = 0.01, 0.003
"""Size of a texel of the floor's picture, metres."""
BELOW = 0.01
VERTICES = 6
FLOOR_LEFT, FLOOR_RIGHT, FOOT_LEFT, FOOT_RIGHT, TOP_LEFT, TOP_RIGHT = range(VERTICES)
"""Corners of a cross-section: the floor's edges, then the walls' lower and upper ends."""
STANDING = 0.003  # a wall stands where the floor reaches this near to its full width
LIGHT: Vector = (
    -math.cos(LIGHT_ELEVATION) * math.sin(LIGHT_AZIMUTH),
    math.sin(LIGHT_ELEVATION),
    -math.cos(LIGHT_ELEVATION) * math.cos(LIGHT_AZIMUTH),
)
"""Towards the light."""
OVERLAP = 0.02  # metres by which the floor's two sides overlap inside a tight bend, so that no gap shows


@dataclass(frozen=True)
class Scene:
    """A track's mesh.

    ``corners``: float64 [M + 1, 6, 3], corners of every cross-section, metres, the last one repeats the
    first; ``laterals``: float64 [M + 1, 2], where the floor's edges are; ``rows``: float64 [M + 1], rows of
    the floor's picture; ``standing``: bool [M, 2], whether a wall stands along each piece; ``chunks``:
    float64 [C, 9], first and last cross-section, x, y, z and radius of a sphere around it, then how far, in
    metres, drawing it as 1, 2 or 4 quads is off. ``floor``: uint8 [rows, columns] of palette indices,
    columns from the left edge of 0.90 m.
    """

    corners: Floats
    laterals: Floats
    rows: Floats
    standing: NDArray[np.bool_]
    chunks: Floats
    floor: Bytes

    @classmethod
    def build(cls, samples: Floats, length: float) -> Scene:
        """Build the mesh of ``surface.samples`` and paint the floor."""
        corners, laterals, full = _cross_sections(samples)
        floor = np.zeros((math.ceil(length / ALONG), math.ceil(2 * HALF_WIDTH / ACROSS)), np.uint8)
        ends = np.array([end for end, _ in BANDS])
        colours = np.array([colour for _, colour in BANDS], np.uint8)
        _paint(floor, samples, length, ends, colours, LIGHT)
        starts = np.append(samples[:, START], length)
        return cls(
            np.ascontiguousarray(corners),
            laterals,
            starts * (len(floor) / length),
            np.ascontiguousarray(full[:-1] | full[1:]),
            _chunks(corners),
            floor,
        )


def _cross_sections(samples: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Corners and edges as in Scene, and whether the floor reaches its full width, bool [M + 1, 2]."""
    closed = np.vstack([samples, samples[:1]])
    position, tangent, up, right = (closed[:, at : at + 3] for at in (POSITION, TANGENT, UP, RIGHT))
    edges = closed[:, [LEFT_EDGE, RIGHT_EDGE]]
    laterals = np.minimum(edges + OVERLAP, EDGE) * (-1.0, 1.0)
    corners = np.empty((len(closed), VERTICES, 3))
    for side in (0, 1):
        lateral = laterals[:, side : side + 1]
        edge = position + lateral * right
        leaning = up - lateral * closed[:, TWIST : TWIST + 1] * tangent
        leaning /= np.linalg.norm(leaning, axis=1)[:, None]
        corners[:, FLOOR_LEFT + side] = edge
        corners[:, FOOT_LEFT + side] = edge - BELOW * leaning
        corners[:, TOP_LEFT + side] = edge + WALL_HEIGHT * leaning
    return corners, laterals, edges > EDGE - STANDING


def _chunks(corners: Floats) -> Floats:
    """Bounding spheres of the chunks and how far off they are when drawn with fewer quads."""
    rows = []
    for first in range(0, len(corners) - 1, CHUNK):
        last = min(first + CHUNK, len(corners) - 1)
        part = corners[first : last + 1]
        middle = (part.reshape(-1, 3).min(axis=0) + part.reshape(-1, 3).max(axis=0)) / 2
        radius = float(np.linalg.norm(part.reshape(-1, 3) - middle, axis=1).max())
        errors = [_error(part, stride) for stride in STRIDES[:-1]]
        rows.append([first, last, *middle, radius, *errors])
    return np.array(rows)


def _error(part: Floats, stride: int) -> float:
    """The farthest that a cross-section's corner is from the quad that passes over it, metres."""
    worst, last = 0.0, len(part) - 1
    for first in range(0, last, stride):
        end = min(first + stride, last)
        for index in range(first + 1, end):
            share = (index - first) / (end - first)
            off = part[index] - (1.0 - share) * part[first] - share * part[end]
            worst = max(worst, float(np.linalg.norm(off, axis=1).max()))
    return worst


@njit(cache=True, nogil=True)
def _paint(  # noqa: PLR0917 numba kernels take their state as flat arguments
    floor: Bytes, samples: Floats, length: float, ends: Floats, colours: Bytes, light: Vector
) -> None:
    """Paint bands, finish line and the shadows that the walls throw on their own floor."""
    rows, columns = floor.shape
    index, count = 0, len(samples)
    for row in range(rows):
        along = (row + 0.5) * length / rows
        while index + 1 < count and samples[index + 1, START] <= along:
            index += 1
        end = samples[index + 1, START] if index + 1 < count else length
        share = (along - samples[index, START]) / (end - samples[index, START])
        tangent, up, right = directions(samples, index, share)
        middle = centre(samples, index, share)
        for column in range(columns):
            lateral = (column + 0.5) * 2.0 * HALF_WIDTH / columns - HALF_WIDTH
            colour = _colour(lateral, along, length, ends, colours)
            facing = dot(light, normal(samples, index, share, lateral, tangent, up))
            shadowed = facing <= 0.0
            if facing > 0.0 and abs(lateral) < EDGE:
                point = add(add(middle, right, lateral), light, WALL_HEIGHT / facing)
                towards, _ = lateral_at(samples, index, EDGE, point)
                shadowed = abs(towards) > EDGE
            floor[row, column] = colour + SHADOWED if shadowed else colour
