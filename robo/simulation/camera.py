"""The camera of a car on flat ground, compiled by numba: about 25 microseconds for a 128 x 80 picture.

The camera's height and pitch never change, so a row of the picture has one slope, and ground is seen in it
at one depth. A picture takes two steps: the depth of the nearest wall for each of a few hundred directions,
then, pixel by pixel, ground before the wall, the wall, or the sky above it. Walls are taller than the camera
stands, so the first wall hides whatever is behind.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.ground import WALL_HEIGHT, Ground, palette

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

HEIGHT = 0.0484 + 0.02
AHEAD = 0.095
PITCH = math.radians(11.0)
FIELD_OF_VIEW = math.radians(48.8)
ASPECT = 1.6
NEAR = 0.01
DIRECTIONS = 384
WALL_COLOUR = (5, 6, 10)
SKY_LOW, SKY_HIGH = 70.0, 110.0


class Camera:
    """Pictures of one width: uint8 [width * 80 // 128, width, 3], blue, green, red, rows from the top."""

    def __init__(self, width: int, ground: Ground, *, antialias: bool = False) -> None:
        """Prepare what all pictures of this width share; ``antialias``: average 2 x 2 samples a pixel."""
        height = width * 80 // 128
        if antialias:
            width, height = 2 * width, 2 * height
        self._antialias = antialias
        up = (1.0 - 2.0 * (np.arange(height) + 0.5) / height) * math.tan(FIELD_OF_VIEW / 2)
        depth = math.cos(PITCH) + up * math.sin(PITCH)
        self._slopes = (up * math.cos(PITCH) - math.sin(PITCH)) / depth
        edge = math.tan(FIELD_OF_VIEW / 2) * ASPECT
        self._lefts = -edge * (1.0 - 1.0 / width) / depth
        self._strides = 2.0 * edge / width / depth
        self._spread = float(edge / depth.min()) + 1e-6
        highest = max(float(self._slopes[0]), 1e-6)
        shades = SKY_LOW + (SKY_HIGH - SKY_LOW) * np.clip(self._slopes / highest, 0.0, 1.0)
        self._sky = np.round(shades).astype(np.uint8)
        self._shape = (height, width, 3)
        self._palette = palette()
        self._ground = ground
        self._walls = np.empty(DIRECTIONS)

    def picture(self, x: float, z: float, yaw: float) -> Bytes:
        """What the camera of a car at x, z (metres) and yaw (radians) sees."""
        sine, cosine = math.sin(yaw), math.cos(yaw)
        x, z = x + AHEAD * sine, z + AHEAD * cosine
        out = np.empty(self._shape, np.uint8)
        ground = self._ground
        _find_walls(self._walls, ground.walls, self._spread, x, z, sine, cosine)
        _colour_pixels(
            out,
            self._walls,
            self._spread,
            self._slopes,
            self._lefts,
            self._strides,
            self._sky,
            self._palette,
            ground.picture,
            (x - ground.origin[0]) / ground.texel,
            (z - ground.origin[1]) / ground.texel,
            sine / ground.texel,
            cosine / ground.texel,
        )
        return halved(out) if self._antialias else out


@njit(cache=True, nogil=True)
def halved(picture: Bytes) -> Bytes:
    """A picture of half the size: the mean of each 2 x 2 pixels."""
    out = np.empty((picture.shape[0] // 2, picture.shape[1] // 2, 3), np.uint8)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            for channel in range(3):
                total = np.int32(picture[2 * row, 2 * column, channel])
                total += picture[2 * row, 2 * column + 1, channel]
                total += picture[2 * row + 1, 2 * column, channel]
                total += picture[2 * row + 1, 2 * column + 1, channel]
                out[row, column, channel] = (total + 2) // 4
    return out


@njit(cache=True, nogil=True)
def _find_walls(  # noqa: PLR0917 numba kernels take their state as flat arguments
    walls: Floats, pieces: Floats, spread: float, x: float, z: float, sine: float, cosine: float
) -> None:
    """Fill float64 [DIRECTIONS] with 1 / depth of the nearest wall, 0 where there is none.

    Directions are evenly spaced in u = right / depth over -spread..spread; 1 / depth of a straight wall is
    linear in u.
    """
    walls[:] = 0.0
    per_bin = 2.0 * spread / len(walls)
    for index in range(len(pieces)):
        ax, az, bx, bz = (
            pieces[index, 0] - x,
            pieces[index, 1] - z,
            pieces[index, 2] - x,
            pieces[index, 3] - z,
        )
        a_depth, b_depth = ax * sine + az * cosine, bx * sine + bz * cosine
        if a_depth < NEAR and b_depth < NEAR:
            continue
        a_right, b_right = ax * cosine - az * sine, bx * cosine - bz * sine
        if a_depth < NEAR:
            a_right += (b_right - a_right) * (NEAR - a_depth) / (b_depth - a_depth)
            a_depth = NEAR
        elif b_depth < NEAR:
            b_right += (a_right - b_right) * (NEAR - b_depth) / (a_depth - b_depth)
            b_depth = NEAR
        a_inverse, b_inverse = 1.0 / a_depth, 1.0 / b_depth
        a_u, b_u = a_right * a_inverse, b_right * b_inverse
        if a_u > b_u:
            a_u, b_u, a_inverse, b_inverse = b_u, a_u, b_inverse, a_inverse
        if b_u <= -spread or a_u >= spread:
            continue
        first = max(math.ceil((a_u + spread) / per_bin - 0.5), 0)
        last = min(math.floor((b_u + spread) / per_bin - 0.5), len(walls) - 1)
        rise = (b_inverse - a_inverse) / max(b_u - a_u, 1e-12)
        for direction in range(first, last + 1):
            inverse = a_inverse + ((direction + 0.5) * per_bin - spread - a_u) * rise
            walls[direction] = max(walls[direction], inverse)


@njit(cache=True, nogil=True)
def _colour_pixels(  # noqa: PLR0917 numba kernels take their state as flat arguments
    out: Bytes,
    walls: Floats,
    spread: float,
    slopes: Floats,
    lefts: Floats,
    strides: Floats,
    sky: Bytes,
    colours: Bytes,
    ground: Bytes,
    x: float,
    z: float,
    sine: float,
    cosine: float,
) -> None:
    """Colour every pixel; x, z and the direction are in texels of the ground's picture."""
    height, width = out.shape[0], out.shape[1]
    rows, columns = ground.shape
    bins = len(walls) / (2.0 * spread)
    for row in range(height):
        slope = slopes[row]
        looks_down = slope < 0.0
        near = -slope / HEIGHT if looks_down else 0.0  # 1 / depth at which the row meets the ground
        over = slope / (WALL_HEIGHT - HEIGHT)  # a wall with less than this 1 / depth is under the row
        direction = (lefts[row] + spread) * bins
        per_pixel = strides[row] * bins
        depth = 1.0 / near if looks_down else 0.0
        ground_x = x + depth * (sine + lefts[row] * cosine)
        ground_z = z + depth * (cosine - lefts[row] * sine)
        ground_dx = depth * strides[row] * cosine
        ground_dz = -depth * strides[row] * sine
        for column in range(width):
            wall = walls[int(direction + column * per_pixel)]
            if looks_down and wall < near:
                texel_x = math.floor(ground_x + column * ground_dx)
                texel_z = math.floor(ground_z + column * ground_dz)
                index = 0
                if 0 <= texel_x < columns and 0 <= texel_z < rows:
                    index = ground[texel_z, texel_x]
                out[row, column, 0] = colours[index, 0]
                out[row, column, 1] = colours[index, 1]
                out[row, column, 2] = colours[index, 2]
            elif wall > 0.0 and wall >= over:
                out[row, column, 0] = WALL_COLOUR[0]
                out[row, column, 1] = WALL_COLOUR[1]
                out[row, column, 2] = WALL_COLOUR[2]
            else:
                out[row, column, 0] = sky[row]
                out[row, column, 1] = sky[row]
                out[row, column, 2] = sky[row]
