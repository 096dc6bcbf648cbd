"""The camera of a car on a track in three dimensions: real geometry, rasterised with a depth buffer.

A picture takes three steps: which chunks of the track are in view and how fine each has to be; their quads,
nearest chunk first, each drawn where nothing nearer is; then, where nothing was drawn, ground and sky. Pixels
are palette indices until the last step.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.camera import (
    AHEAD,
    ASPECT,
    CAR_HALVES,
    CAR_SHADES,
    FIELD_OF_VIEW,
    NEAR,
    OBSTACLE_SHADES,
    PITCH,
    SKY_HIGH,
    SKY_LOW,
    WALL_COLOUR,
    halved,
)
from robo.simulation.ground import HALF_WIDTH, OUTSIDE, palette
from robo.simulation.look import NOMINAL, Look
from robo.simulation.raster import OUTLINE_SHAPE, fill_quad, fill_textured
from robo.simulation.scene import (
    FLOOR_LEFT,
    FLOOR_RIGHT,
    FOOT_LEFT,
    FOOT_RIGHT,
    STRIDES,
    TOP_LEFT,
    TOP_RIGHT,
    VERTICES,
    Scene,
)
from robo.simulation.surface_physics import HALF, REST_HEIGHT
from robo.simulation.vectors import Vector, add, cross, dot, load, minus

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

ABOVE = 0.02
FAR = 20.0
GROUND = -0.01
WALL, UNDERSIDE, CAR, OBSTACLE, SKY, SHADES = 16, 17, 18, 21, 32, 48
"""Palette indices beyond those of the ground; a box's three and the sky's shades follow one another."""
LOWER = CAR_HALVES[1] - REST_HEIGHT
"""Metres from a car's origin up to the middle of its body, which stands on the floor."""
NO_OBSTACLES = np.empty((0, 10))
OFF_BY = 0.4
"""Pixels by which a chunk may be off."""


class SceneCamera:
    """Pictures of one width: uint8 [width * 80 // 128, width, 3], blue, green, red, rows from the top."""

    def __init__(
        self,
        width: int,
        scene: Scene,
        *,
        antialias: bool = False,
        look: Look = NOMINAL,
        obstacles: Floats = NO_OBSTACLES,
    ) -> None:
        """Prepare what all pictures of this width share; ``antialias``: average 2 x 2 samples a pixel.

        ``obstacles``: float64 [K, 10], middle, forward and up of boxes, and half their edges.
        """
        self._obstacles = obstacles
        rows, columns = width * 80 // 128, width
        if antialias:
            rows, columns = 2 * rows, 2 * columns
        self._antialias = antialias
        tangent = math.tan(FIELD_OF_VIEW / 2)
        self._focal = (columns / 2 / (tangent * ASPECT), rows / 2 / tangent)
        right = (np.arange(columns) + 0.5 - columns / 2) / self._focal[0]
        up = (rows / 2 - np.arange(rows) - 0.5) / self._focal[1]
        self._shorten = (1.0 / np.sqrt(1.0 + up[:, None] ** 2 + right[None, :] ** 2)).astype(np.float32)
        self._above, self._pitch = ABOVE + look.height, PITCH + look.pitch
        self._palette = look.painted(_palette())
        self._indices = np.zeros((rows, columns), np.uint8)
        self._depths = np.zeros((rows, columns), np.float32)
        self._mesh = (scene.corners, scene.laterals, scene.rows, scene.standing, scene.floor)
        self._chunks = scene.chunks
        self._order = (np.zeros(len(scene.chunks)), np.zeros(len(scene.chunks), np.int64))
        self._scratch = (np.zeros((2, VERTICES, 3)), np.zeros(OUTLINE_SHAPE))

    def picture(self, place: Vector, forward: Vector, up: Vector, others: Floats) -> Bytes:
        """What the camera of a car at ``place`` (metres) sees.

        ``forward``, ``up``: of the car, length 1. ``others``: float64 [K, 9], place, forward and up of each
        other car.
        """
        view = _view(place, forward, up, self._above, self._pitch)
        _draw(
            self._indices,
            self._depths,
            self._focal,
            view,
            self._mesh,
            self._chunks,
            self._order,
            self._scratch,
            others,
            self._obstacles,
        )
        _fill_rest(self._indices, self._depths, self._focal, view, self._shorten)
        out = np.empty((*self._indices.shape, 3), np.uint8)
        _colour(out, self._indices, self._palette)
        return halved(out) if self._antialias else out


def _palette() -> Bytes:
    colours = np.zeros((SKY + SHADES, 3), np.uint8)
    ground = palette()
    colours[: len(ground)] = ground
    colours[WALL] = colours[UNDERSIDE] = WALL_COLOUR
    colours[CAR : CAR + len(CAR_SHADES)] = CAR_SHADES
    colours[OBSTACLE : OBSTACLE + len(OBSTACLE_SHADES)] = OBSTACLE_SHADES
    colours[SKY:] = np.round(np.linspace(SKY_LOW, SKY_HIGH, SHADES))[:, None]
    return colours


View = tuple[Vector, Vector, Vector, Vector]
"""Of a camera: its place, and the directions right, up and forward of its picture."""


@njit(cache=True, nogil=True)
def _view(place: Vector, forward: Vector, up: Vector, above: float, pitch: float) -> View:
    eye = add(add(place, up, above), forward, AHEAD)
    sine, cosine = math.sin(pitch), math.cos(pitch)
    zero = (0.0, 0.0, 0.0)
    top = add(add(zero, up, cosine), forward, sine)
    ahead = add(add(zero, forward, cosine), up, -sine)
    return eye, cross(up, forward), top, ahead


@njit(cache=True, nogil=True)
def _seen(view: View, point: Vector) -> Vector:
    """A point in the camera's axes."""
    eye, right, up, ahead = view
    off = minus(point, eye)
    return dot(off, right), dot(off, up), dot(off, ahead)


@njit(cache=True, nogil=True)
def _draw(  # noqa: PLR0917 numba kernels take their state as flat arguments
    indices: Bytes,
    depths: Singles,
    focal: tuple[float, float],
    view: View,
    mesh: tuple[Floats, Floats, Floats, Bytes, Bytes],
    chunks: Floats,
    order: tuple[Floats, Ints],
    scratch: tuple[Floats, Floats],
    others: Floats,
    obstacles: Floats,
) -> None:
    """Draw cars, obstacles and track."""
    depths[:] = 0.0
    right, up, ahead = CAR_HALVES[0], CAR_HALVES[1], CAR_HALVES[2]
    for other in range(len(others)):
        car = others[other]
        _draw_box(indices, depths, focal, view, car, LOWER, (right, up, ahead), CAR, scratch[1])
    for obstacle in range(len(obstacles)):
        box = obstacles[obstacle]
        half = box[HALF]
        _draw_box(indices, depths, focal, view, box, 0.0, (half, half, half), OBSTACLE, scratch[1])
    count = _in_view(chunks, order, focal, view, depths.shape)
    for place in range(count):
        chunk = chunks[order[1][place]]
        fine = OFF_BY * max(order[0][place] - chunk[5], NEAR) / max(focal[0], focal[1])
        stride = 0
        while stride < len(STRIDES) - 1 and chunk[6 + stride] > fine:
            stride += 1
        _draw_chunk(
            indices, depths, focal, view, mesh, int(chunk[0]), int(chunk[1]), STRIDES[stride], scratch
        )


@njit(cache=True, nogil=True)
def _in_view(
    chunks: Floats, order: tuple[Floats, Ints], focal: tuple[float, float], view: View, shape: tuple[int, int]
) -> int:
    """Write distance and index of the chunks that may be in the picture, nearest first; their number."""
    distances, numbers = order
    edge_x, edge_y = 0.5 * shape[1] / focal[0], 0.5 * shape[0] / focal[1]
    along_x, along_y = math.sqrt(1.0 + edge_x * edge_x), math.sqrt(1.0 + edge_y * edge_y)
    count = 0
    for number in range(len(chunks)):
        radius = chunks[number, 5]
        x, y, z = _seen(view, load(chunks[number], 2))
        if z + radius < NEAR or z - radius > FAR:
            continue
        if abs(x) - z * edge_x > radius * along_x or abs(y) - z * edge_y > radius * along_y:
            continue
        distance = math.sqrt(x * x + y * y + z * z)
        at = count
        while at > 0 and distances[at - 1] > distance:
            distances[at], numbers[at] = distances[at - 1], numbers[at - 1]
            at -= 1
        distances[at], numbers[at] = distance, number
        count += 1
    return count


@njit(cache=True, nogil=True)
def _draw_chunk(  # noqa: PLR0917 numba kernels take their state as flat arguments
    indices: Bytes,
    depths: Singles,
    focal: tuple[float, float],
    view: View,
    mesh: tuple[Floats, Floats, Floats, Bytes, Bytes],
    first: int,
    last: int,
    stride: int,
    scratch: tuple[Floats, Floats],
) -> None:
    """Draw the floor, seen from above or from below, and the walls between two cross-sections."""
    corners, laterals, rows, standing, floor = mesh
    sections, outline = scratch
    texels = floor.shape[1] / (2.0 * HALF_WIDTH)
    _cross_section(sections[0], view, corners[first])
    old = 0
    here = first
    while here < last:
        after = min(here + stride, last)
        a, b = sections[old], sections[1 - old]
        _cross_section(b, view, corners[after])
        left, right = load(a[FLOOR_LEFT], 0), load(a[FLOOR_RIGHT], 0)
        left_after, right_after = load(b[FLOOR_LEFT], 0), load(b[FLOOR_RIGHT], 0)
        rise_left, rise_right = minus(load(a[TOP_LEFT], 0), left), minus(load(a[TOP_RIGHT], 0), right)
        if dot(rise_left, left) + dot(rise_right, right) <= 0.0:
            left_column = (laterals[here, 0] + HALF_WIDTH) * texels
            right_column = (laterals[here, 1] + HALF_WIDTH) * texels
            left_then = (laterals[after, 0] + HALF_WIDTH) * texels
            right_then = (laterals[after, 1] + HALF_WIDTH) * texels
            fill_textured(
                indices,
                depths,
                outline,
                focal,
                (left, right, right_after),
                (left_column, right_column, right_then),
                (rows[here], rows[here], rows[after]),
                floor,
            )
            fill_textured(
                indices,
                depths,
                outline,
                focal,
                (left, right_after, left_after),
                (left_column, right_then, left_then),
                (rows[here], rows[after], rows[after]),
                floor,
            )
        else:
            _fill_between(indices, depths, outline, focal, a, b, FOOT_LEFT, FOOT_RIGHT, UNDERSIDE)
        if standing[here, 0]:
            _fill_between(indices, depths, outline, focal, a, b, FOOT_LEFT, TOP_LEFT, WALL)
        if standing[here, 1]:
            _fill_between(indices, depths, outline, focal, a, b, FOOT_RIGHT, TOP_RIGHT, WALL)
        old = 1 - old
        here = after


@njit(cache=True, nogil=True)
def _cross_section(out: Floats, view: View, corners: Floats) -> None:
    for corner in range(VERTICES):
        x, y, z = _seen(view, load(corners[corner], 0))
        out[corner, 0], out[corner, 1], out[corner, 2] = x, y, z


@njit(cache=True, nogil=True)
def _fill_between(  # noqa: PLR0917 numba kernels take their state as flat arguments
    indices: Bytes,
    depths: Singles,
    outline: Floats,
    focal: tuple[float, float],
    a: Floats,
    b: Floats,
    one: int,
    other: int,
    colour: int,
) -> None:
    """Fill the quad that two corners make between two cross-sections."""
    corners = (load(a[one], 0), load(a[other], 0), load(b[other], 0), load(b[one], 0))
    fill_quad(indices, depths, outline, focal, corners, colour)


@njit(cache=True, nogil=True)
def _draw_box(  # noqa: PLR0917 numba kernels take their state as flat arguments
    indices: Bytes,
    depths: Singles,
    focal: tuple[float, float],
    view: View,
    box: Floats,
    higher: float,
    halves: Vector,
    colour: int,
    outline: Floats,
) -> None:
    """Draw a box of these half sizes to the right, up and forward, ``higher`` metres above its place."""
    place, forward, up = load(box, 0), load(box, 3), load(box, 6)
    axes = (cross(up, forward), up, forward)
    place = add(place, up, higher)
    for axis in range(3):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1.0, 1.0):
            middle = add(place, axes[axis], side * halves[axis])
            low = add(middle, axes[one], -halves[one])
            high = add(middle, axes[one], halves[one])
            corners = (
                _seen(view, add(low, axes[other], -halves[other])),
                _seen(view, add(low, axes[other], halves[other])),
                _seen(view, add(high, axes[other], halves[other])),
                _seen(view, add(high, axes[other], -halves[other])),
            )
            fill_quad(indices, depths, outline, focal, corners, colour + axis)


@njit(cache=True, nogil=True)
def _fill_rest(
    indices: Bytes, depths: Singles, focal: tuple[float, float], view: View, shorten: Singles
) -> None:
    """Ground where nothing above it is nearer, and sky, lighter towards the height that a level car sees."""
    eye, right, up, ahead = view
    rows, columns = depths.shape
    over = max(eye[1] - GROUND, 1e-6)
    per_shade = (SHADES - 1) / math.sin(0.5 * FIELD_OF_VIEW - PITCH)
    step = right[1] / focal[0]
    for row in range(rows):
        slope = ahead[1] + up[1] * (0.5 * rows - row - 0.5) / focal[1] + (0.5 - 0.5 * columns) * step
        for column in range(columns):
            if -slope > over * depths[row, column]:
                indices[row, column] = OUTSIDE
            elif depths[row, column] == 0.0:
                shade = slope * shorten[row, column] * per_shade + 0.5
                indices[row, column] = SKY + int(min(max(shade, 0.0), SHADES - 1.0))
            slope += step


@njit(cache=True, nogil=True)
def _colour(out: Bytes, indices: Bytes, colours: Bytes) -> None:
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            index = indices[row, column]
            out[row, column, 0] = colours[index, 0]
            out[row, column, 1] = colours[index, 1]
            out[row, column, 2] = colours[index, 2]
