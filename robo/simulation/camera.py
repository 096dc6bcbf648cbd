"""The camera of a car on flat ground, compiled by numba: about 25 microseconds for a 128 x 80 picture.

A camera's height and pitch never change, so a row of the picture has one slope, and ground is seen in it
at one depth. A picture takes two steps: the depth of the nearest wall for each of a few hundred directions,
then, pixel by pixel, ground before the wall, the wall, or the sky above it. Walls are taller than the camera
stands, so the first wall hides whatever is behind.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.boxes import Ints, Nearness, draw_box, find_bounds
from robo.simulation.ground import SHADOWED, WALL_HEIGHT, Ground, palette
from robo.simulation.look import NOMINAL, Look

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
WALL = 2 * SHADOWED
"""Index of the walls' colour, which follows the ground's palette."""
SKY_LOW, SKY_HIGH = 70.0, 110.0

CAR_HALVES = np.array((0.045, 0.03, 0.1))
"""Half the size of a car's body to the right, up and forward, metres; it stands on the ground."""
CAR_SHADES = np.array(((48, 48, 48), (56, 56, 56), (42, 42, 42)), np.uint8)
"""Of a car's flanks, top and ends."""
OBSTACLE_SHADES = np.array(((60, 160, 240), (110, 200, 255), (40, 130, 215)), np.uint8)
"""Of a box's flanks, top and ends: orange, which is none of the floor's bands."""
NO_OBSTACLES = np.empty((0, 4))
CAR_BEHIND = -0.02  # metres from its own middle behind which the camera, ahead of it, sees no car
CAR_FAR = 8.0  # metres; a car is less than a pixel there


class Camera:
    """Pictures of one width: uint8 [width * 80 // 128, width, 3], blue, green, red, rows from the top."""

    def __init__(
        self,
        width: int,
        ground: Ground,
        *,
        antialias: bool = False,
        look: Look = NOMINAL,
        obstacles: Floats = NO_OBSTACLES,
    ) -> None:
        """Prepare what all pictures of this width share; ``antialias``: average 2 x 2 samples a pixel.

        ``look``: its height stays above 0 and under the walls' tops. ``obstacles``: float64 [K, 4], x, z and
        yaw of boxes on the ground, and half their edges.
        """
        height = width * 80 // 128
        if antialias:
            width, height = 2 * width, 2 * height
        self._antialias = antialias
        up = (1.0 - 2.0 * (np.arange(height) + 0.5) / height) * math.tan(FIELD_OF_VIEW / 2)
        height_above, pitch = HEIGHT + look.height, PITCH + look.pitch
        depth = math.cos(pitch) + up * math.sin(pitch)
        slopes = _slopes(up, pitch)
        edge = math.tan(FIELD_OF_VIEW / 2) * ASPECT
        lefts = -edge * (1.0 - 1.0 / width) / depth
        strides = 2.0 * edge / width / depth
        spread = float(edge / depth.min()) + 1e-6
        highest = max(float(_slopes(up[:1], PITCH)[0]), 1e-6)
        sky = look.lit(SKY_LOW + (SKY_HIGH - SKY_LOW) * np.clip(slopes / highest, 0.0, 1.0))
        self._shape = (height, width, 3)
        self._walls = np.empty(DIRECTIONS)
        self.view = (
            spread,
            np.array((slopes / height_above, slopes / (WALL_HEIGHT - height_above))),
            lefts,
            strides,
            sky,
            look.painted(np.vstack([palette(), np.array([WALL_COLOUR], np.uint8)])),
            ground.walls,
            ground.picture,
            float(ground.origin[0]),
            float(ground.origin[1]),
            float(ground.texel),
        )
        """What ``draw`` needs to know of the camera and the ground."""
        shades = look.lit(np.array((CAR_SHADES, OBSTACLE_SHADES)))
        tangents = np.array((edge, math.tan(FIELD_OF_VIEW / 2)))
        self.box_view = (depth, tangents, height_above, pitch, shades, obstacles)
        """What ``draw_boxes`` needs to know beyond ``view``."""
        self._nearness = np.empty((height, width), np.float32)
        # The first call loads what draws cars, which takes milliseconds: now, rather than when one is seen.
        self._draw_boxes(np.empty(self._shape, np.uint8), 0, np.zeros((1, 3)))

    def picture(self, x: float, z: float, yaw: float, own: int = 0, cars: Floats | None = None) -> Bytes:
        """What the camera of a car at x, z (metres) and yaw (radians) sees.

        ``cars``: float64 [N, 3 or more], x, z and yaw of every car, of which this one is in row ``own``.
        """
        out = np.empty(self._shape, np.uint8)
        draw(out, self._walls, *self.view, x, z, yaw)
        if cars is not None:
            self._draw_boxes(out, own, cars)
        elif len(self.box_view[-1]):
            self._draw_boxes(out, 0, np.array([[x, z, yaw]]))
        return halved(out) if self._antialias else out

    def _draw_boxes(self, picture: Bytes, own: int, cars: Floats) -> None:
        """Draw obstacles and the other cars into the ``picture`` that was made just now."""
        draw_boxes(picture, self._nearness, self._walls, *self.view[:4], own, cars, *self.box_view)


def _slopes(up: Floats, pitch: float) -> Floats:
    """Rise over run of the rows at heights ``up`` in a picture at depth 1, for a camera that looks down."""
    return (up * math.cos(pitch) - math.sin(pitch)) / (math.cos(pitch) + up * math.sin(pitch))


@njit(cache=True, nogil=True)
def draw(  # noqa: PLR0917 numba kernels take their state as flat arguments
    out: Bytes,
    walls: Floats,
    spread: float,
    slopes: Floats,
    lefts: Floats,
    strides: Floats,
    sky: Bytes,
    colours: Bytes,
    pieces: Floats,
    ground: Bytes,
    origin_x: float,
    origin_z: float,
    texel: float,
    x: float,
    z: float,
    yaw: float,
) -> None:
    """Fill ``out`` with what the camera of a car at x, z and yaw sees, other cars left out.

    ``walls``: float64 [DIRECTIONS], overwritten; what is between it and ``x``: ``Camera.view``. ``slopes``:
    float64 [2, rows], each row's slope over the camera's height and over how much higher the walls are.
    """
    sine, cosine = math.sin(yaw), math.cos(yaw)
    x += AHEAD * sine
    z += AHEAD * cosine
    _find_walls(walls, pieces, spread, x, z, sine, cosine)
    _colour_pixels(
        out,
        walls,
        spread,
        slopes,
        lefts,
        strides,
        sky,
        colours,
        ground,
        (x - origin_x) / texel,
        (z - origin_z) / texel,
        sine / texel,
        cosine / texel,
    )


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
        looks_down = slopes[0, row] < 0.0
        near = -slopes[0, row] if looks_down else 0.0  # 1 / depth at which the row meets the ground
        over = slopes[1, row]  # a wall with less than this 1 / depth is under the row
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
                out[row, column, 0] = colours[WALL, 0]
                out[row, column, 1] = colours[WALL, 1]
                out[row, column, 2] = colours[WALL, 2]
            else:
                out[row, column, 0] = sky[row]
                out[row, column, 1] = sky[row]
                out[row, column, 2] = sky[row]


@njit(cache=True, nogil=True)
def draw_boxes(  # noqa: PLR0917 numba kernels take their state as flat arguments
    out: Bytes,
    nearness: Nearness,
    walls: Floats,
    spread: float,
    slopes: Floats,
    lefts: Floats,
    strides: Floats,
    own: int,
    cars: Floats,
    depths: Floats,
    edge: Floats,
    height: float,
    pitch: float,
    shades: Bytes,
    obstacles: Floats,
) -> None:
    """Draw every obstacle and other car that may be seen, behind walls and whatever is nearer.

    ``out``, ``walls``: as ``draw`` left them; ``nearness``: float32 [H, W], overwritten; ``spread`` to
    ``strides``: the first of ``Camera.view``; ``own``: the row of ``cars``, float64 [N, 3 or more] of x, z
    and yaw, that the camera is on; the rest: ``Camera.box_view``.
    """
    x, z = cars[own, 0], cars[own, 1]
    sine, cosine = math.sin(cars[own, 2]), math.cos(cars[own, 2])
    seen = np.empty(len(cars) + len(obstacles), np.int64)
    count = 0
    for car in range(len(cars)):
        dx, dz = cars[car, 0] - x, cars[car, 1] - z
        ahead, aside = dx * sine + dz * cosine, abs(dx * cosine - dz * sine)
        if car != own and CAR_BEHIND < ahead < CAR_FAR and aside < spread * ahead + 2.0 * CAR_HALVES[2]:
            seen[count] = car
            count += 1
    for obstacle in range(len(obstacles)):
        dx, dz = obstacles[obstacle, 0] - x, obstacles[obstacle, 1] - z
        reach = 1.5 * obstacles[obstacle, 3]
        ahead, aside = dx * sine + dz * cosine + reach - AHEAD, abs(dx * cosine - dz * sine) - reach
        if ahead > 0.0 and aside < spread * ahead:
            seen[count] = len(cars) + obstacle
            count += 1
    if count == 0:
        return
    eye = np.array((x + AHEAD * sine, height, z + AHEAD * cosine))
    sine_down, cosine_down = math.sin(pitch), math.cos(pitch)
    view = np.array(
        (
            (cosine, 0.0, -sine),
            (sine * sine_down, cosine_down, cosine * sine_down),
            (sine * cosine_down, -sine_down, cosine * cosine_down),
        )
    )
    bounds = np.zeros((count, 4), np.int64)
    centre, axes, halves = np.empty(3), np.zeros((3, 3)), np.empty(3)
    # Twice over all: the walls' nearness must be there for every box before the first one is drawn.
    for drawing in (False, True):
        for index in range(count):
            is_car = seen[index] < len(cars)
            box = cars[seen[index]] if is_car else obstacles[seen[index] - len(cars)]
            for axis in range(3):
                halves[axis] = CAR_HALVES[axis] if is_car else box[3]
            centre[0], centre[1], centre[2] = box[0], halves[1], box[1]
            sine_box, cosine_box = math.sin(box[2]), math.cos(box[2])
            axes[0, 0], axes[0, 2], axes[1, 1] = cosine_box, -sine_box, 1.0
            axes[2, 0], axes[2, 2] = sine_box, cosine_box
            area = bounds[index]
            if drawing:
                draw_box(out, nearness, area, eye, view, edge, centre, axes, halves, shades[int(not is_car)])
            elif find_bounds(area, out.shape[0], out.shape[1], NEAR, eye, view, edge, centre, axes, halves):
                _fill_nearness(nearness, area, walls, spread, slopes[1], depths, lefts, strides)


@njit(cache=True, nogil=True)
def _fill_nearness(  # noqa: PLR0917 numba kernels take their state as flat arguments
    nearness: Nearness,
    area: Ints,
    walls: Floats,
    spread: float,
    overs: Floats,
    depths: Floats,
    lefts: Floats,
    strides: Floats,
) -> None:
    """The walls' 1 / depth along the camera's axis in an area, 0 above them; boxes hide the ground anyway."""
    bins = len(walls) / (2.0 * spread)
    for row in range(area[0], area[1]):
        direction = (lefts[row] + spread) * bins
        per_pixel = strides[row] * bins
        for column in range(area[2], area[3]):
            nearness[row, column] = walls[int(direction + column * per_pixel)] * depths[row]
        over = overs[row]
        if over <= 0.0:
            continue
        for column in range(area[2], area[3]):
            if nearness[row, column] < over * depths[row]:
                nearness[row, column] = 0.0
