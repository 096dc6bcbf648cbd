"""The ground of a flat track, painted once: the floor's bands, the finish line and the walls' shadows.

A picture of palette indices seen from above, and the walls' lines. The floor is everything within 0.45 m of
the centre line and a wall stands wherever the nearest point of the centre line is 0.44 m away, so a bend that
is tighter than the floor is wide has no wall folded into it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.track import HALF_WIDTH

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

TEXEL = 0.003
MAX_TEXELS = 16_000_000
MARGIN = 0.05
WALL = 0.44
WALL_HEIGHT = 0.15

OUTSIDE, BLACK, RED, BLUE, GREEN, WHITE, SHADOWED = 0, 1, 2, 3, 4, 5, 8
"""Palette indices; a shadow adds SHADOWED."""
BANDS = (
    (0.055, BLACK),
    (0.31, RED),
    (0.33, BLACK),
    (0.59, BLUE),
    (0.61, BLACK),
    (0.945, GREEN),
    (1.0, BLACK),
)
"""Where each band of the floor ends, as a fraction of its width from the left, and its colour."""
LIT = {
    OUTSIDE: (110, 105, 92),
    BLACK: (8, 3, 2),
    RED: (255, 80, 103),
    BLUE: (64, 110, 165),
    GREEN: (50, 200, 140),
    WHITE: (225, 225, 225),
}
"""Red, green, blue as the camera shows them in the light."""
SHADE = 0.55

LEAST_COMPONENT = 0.05
"""A piece that runs along x less than this is asked about whole rows."""

STRIPE = 0.04
SQUARE = 0.02

LIGHT_AZIMUTH = math.radians(35.0)
LIGHT_ELEVATION = math.radians(60.0)
SHADOW_LENGTH = WALL_HEIGHT / math.tan(LIGHT_ELEVATION)
"""Length of a wall's shadow along the light, metres."""


def palette() -> Bytes:
    """Colours by palette index, uint8 [16, 3], blue, green, red."""
    colours = np.zeros((2 * SHADOWED, 3), np.uint8)
    for index, rgb in LIT.items():
        colours[index] = rgb[::-1]
        colours[index + SHADOWED] = np.round(np.array(rgb[::-1]) * SHADE)
    return colours


@dataclass(frozen=True)
class Ground:
    """What a camera over a flat track can see below the sky.

    ``picture``: uint8 [rows, columns] of palette indices, rows along z, columns along x; ``origin``: x, z of
    its first corner and ``texel`` its resolution, metres; ``walls``: float64 [M, 4], x0, z0, x1, z1 of
    straight pieces.
    """

    picture: Bytes
    origin: tuple[float, float]
    texel: float
    walls: Floats

    @classmethod
    def paint(cls, line: Floats, length: float) -> Ground:
        """Paint the ground of a centre line, float64 [N, 5]: x, z, dx, dz, distance of each piece's start."""
        low = line[:, :2].min(axis=0) - HALF_WIDTH - MARGIN
        size = line[:, :2].max(axis=0) + HALF_WIDTH + MARGIN - low
        texel = max(TEXEL, math.sqrt(size[0] * size[1] / MAX_TEXELS))
        columns, rows = (math.ceil(extent / texel) for extent in size)
        nearest = np.full((rows, columns), np.inf, np.float32)
        picture = np.zeros((rows, columns), np.uint8)
        ends = np.array([end for end, _ in BANDS])
        colours = np.array([colour for _, colour in BANDS], np.uint8)
        _paint_floor(picture, nearest, line, length, float(low[0]), float(low[1]), texel, ends, colours)
        back = SHADOW_LENGTH / texel
        _paint_shadows(
            picture, nearest, round(math.sin(LIGHT_AZIMUTH) * back), round(math.cos(LIGHT_AZIMUTH) * back)
        )
        return cls(picture, (float(low[0]), float(low[1])), texel, walls(line))


def walls(line: Floats) -> Floats:
    """The walls' inner faces beside a centre line, float64 [M, 4] of x0, z0, x1, z1."""
    pieces = []
    points, ahead = line[:, :2], line[:, 2:4]
    tangents = ahead / np.linalg.norm(ahead, axis=1)[:, None]
    tangents = tangents + np.roll(tangents, 1, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1)[:, None]
    right = np.stack([tangents[:, 1], -tangents[:, 0]], axis=1)
    for side in (-WALL, WALL):
        wall = points + side * right
        standing = _distances(wall, line) > WALL - 0.003
        after = np.roll(wall, -1, axis=0)
        keep = standing | np.roll(standing, -1)
        pieces.append(np.hstack([wall, after])[keep])
    return np.ascontiguousarray(np.concatenate(pieces))


@njit(cache=True, nogil=True)
def _distances(points: Floats, line: Floats) -> Floats:
    """Distance of each point from the whole centre line."""
    least = np.empty(len(points))
    for index in range(len(points)):
        squared = np.inf
        for x, z, dx, dz, _ in line:
            px, pz = points[index, 0] - x, points[index, 1] - z
            along = min(max((px * dx + pz * dz) / (dx * dx + dz * dz), 0.0), 1.0)
            px, pz = px - along * dx, pz - along * dz
            squared = min(squared, px * px + pz * pz)
        least[index] = math.sqrt(squared)
    return least


@njit(cache=True, nogil=True)
def _paint_floor(  # noqa: PLR0917 numba kernels take their state as flat arguments
    picture: Bytes,
    nearest: NDArray[np.float32],
    line: Floats,
    length: float,
    low_x: float,
    low_z: float,
    texel: float,
    ends: Floats,
    colours: Bytes,
) -> None:
    """Paint every texel within the floor by the piece of the centre line that is nearest to it.

    What is nearest to an end of a piece lies in the wedge between its normal and the next piece's, so a
    piece need only be asked about as far beyond its ends as the wedges reach.
    """
    rows, columns = picture.shape
    for index in range(len(line)):
        x, z, dx, dz, start = line[index]
        piece = math.sqrt(dx * dx + dz * dz)
        tx, tz = dx / piece, dz / piece
        reach = texel + HALF_WIDTH * max(
            _bend(line[index - 1], line[index]), _bend(line[index], line[(index + 1) % len(line)])
        )
        first_row = max(int((min(z, z + dz) - HALF_WIDTH - low_z) / texel), 0)
        last_row = min(int((max(z, z + dz) + HALF_WIDTH - low_z) / texel) + 1, rows)
        first_column = max(int((min(x, x + dx) - HALF_WIDTH - low_x) / texel), 0)
        last_column = min(int((max(x, x + dx) + HALF_WIDTH - low_x) / texel) + 1, columns)
        for row in range(first_row, last_row):
            pz = low_z + (row + 0.5) * texel - z
            first, last = first_column, last_column
            if abs(tx) > LEAST_COMPONENT:
                ends_at = ((-reach - pz * tz) / tx, (piece + reach - pz * tz) / tx)
                first = max(first, int((min(ends_at) + x - low_x) / texel) - 1)
                last = min(last, int((max(ends_at) + x - low_x) / texel) + 2)
            for column in range(first, last):
                px = low_x + (column + 0.5) * texel - x
                along = px * tx + pz * tz
                beyond = along - min(max(along, 0.0), piece)
                lateral = px * tz - pz * tx
                squared = lateral * lateral + beyond * beyond
                if squared > HALF_WIDTH * HALF_WIDTH or squared >= nearest[row, column]:
                    continue
                nearest[row, column] = squared
                lateral = math.copysign(math.sqrt(squared), lateral)
                picture[row, column] = _colour(lateral, start + along, length, ends, colours)


@njit(cache=True, nogil=True)
def _bend(piece: Floats, after: Floats) -> float:
    """Sine of the angle between two pieces; 1 from a right angle on."""
    (dx, dz), (ex, ez) = (piece[2], piece[3]), (after[2], after[3])
    if dx * ex + dz * ez <= 0.0:
        return 1.0
    return abs(dx * ez - dz * ex) / math.sqrt((dx * dx + dz * dz) * (ex * ex + ez * ez))


@njit(cache=True, nogil=True)
def _colour(lateral: float, distance: float, length: float, ends: Floats, colours: Bytes) -> int:
    """Palette index of the floor at a place across (right positive) and along the track."""
    past = distance if distance < length / 2 else distance - length
    if abs(past) < STRIPE / 2:
        across = int((lateral + HALF_WIDTH) / SQUARE)
        return WHITE if (across + (past < 0.0)) % 2 else BLACK
    fraction = (lateral + HALF_WIDTH) / (2 * HALF_WIDTH)
    band = 0
    while band < len(ends) - 1 and fraction > ends[band]:
        band += 1
    return colours[band]


@njit(cache=True, nogil=True)
def _paint_shadows(picture: Bytes, nearest: NDArray[np.float32], back_x: int, back_z: int) -> None:
    """Darken the floor wherever a step of a shadow's length towards the light leads over a wall."""
    rows, columns = picture.shape
    for row in range(rows):
        for column in range(columns):
            if picture[row, column] == OUTSIDE or nearest[row, column] > WALL * WALL:
                continue
            towards_row = min(max(row - back_z, 0), rows - 1)
            towards_column = min(max(column - back_x, 0), columns - 1)
            if nearest[towards_row, towards_column] > WALL * WALL:
                picture[row, column] += SHADOWED
