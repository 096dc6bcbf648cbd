"""Many cars' decisions at once, compiled by numba; every car has the flat track to itself.

The kernels let go of Python's lock, so threads can share the rows of the cars among them.

What a car is: its state and memory as ``robo.simulation.physics`` has them, its distance along the centre
line, how many frames it has driven, and its ``race``, int64 [4].
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.perception.color_mass import color_mass
from robo.simulation import physics
from robo.simulation.camera import draw, draw_boxes, halved
from robo.simulation.physics import Floats, Ints
from robo.simulation.track import NEAR_WINDOW

Bytes = NDArray[np.uint8]

SEGMENT, STARTED, LAPS, CRASHES = 0, 1, 2, 3
RACE_SIZE = 4
"""Of a car: the segment it is in, -1 before the first; whether it has crossed the finish line; the laps and
the crashes since its episode began."""


@njit(cache=True, nogil=True)
def drive_all(  # noqa: PLR0917 numba kernels take their state as flat arguments
    rows: Ints,
    states: Floats,
    memories: Ints,
    races: Ints,
    distances: Floats,
    frames: Ints,
    places: Floats,
    gained: Floats,
    returned: NDArray[np.bool_],
    controls: Floats,
    repeat: int,
    line: Floats,
    length: float,
    segments: int,
    boxes: Floats,
) -> None:
    """Hold the ``controls`` (float64 [N, 2], throttle, turn) of these rows for ``repeat`` frames in place.

    ``places``: where on the track the car is, as ``Track.distance`` finds it (``distances`` are the world's,
    which follow the car, and may be some other place in the inside of a tight bend); ``gained``: metres along
    the track since the last decision, as ``robo.driving.rewards`` has them; ``returned``: whether a car has
    to be put back on the track, and the rest of its frames is left out.
    """
    for car in rows:
        returned[car] = False
        for _ in range(repeat):
            frame = frames[car]
            steps = (frame + 1) * 25 // 3 - frame * 25 // 3
            happened, distance = physics.drive(
                states[car], memories[car], line, steps, controls[car, 0], 0.0, controls[car, 1], boxes
            )
            gain = _shortest(distance - distances[car], length)
            _follow(races[car], distances[car], gain, length / (segments + 1), segments)
            distances[car] = distance
            frames[car] = frame + 1
            if happened & physics.CRASHED:
                races[car, CRASHES] += 1
            if happened & physics.RETURN:
                returned[car] = True
                break
        before = places[car]
        places[car], near = _locate(line, length, states[car, physics.X], states[car, physics.Z], before)
        gained[car] = 0.0 if returned[car] else _shortest(near - before, length)


@njit(cache=True, nogil=True)
def _locate(line: Floats, length: float, x: float, z: float, near: float) -> tuple[float, float]:
    """The distance of the track's place that is nearest to a point: of all, and of those near ``near``."""
    least = least_near = math.inf
    place = place_near = 0.0
    for index in range(len(line)):
        squared, where = physics.project(line, index, x, z)
        if squared >= least_near:
            continue
        distance = physics.distance_at(line, index, where)
        if squared < least:
            least, place = squared, distance
        if abs(_shortest(distance - near, length)) <= NEAR_WINDOW:
            least_near, place_near = squared, distance
    return place % length, place_near % length


@njit(cache=True, nogil=True)
def _shortest(difference: float, length: float) -> float:
    """A difference of distances, the short way round."""
    return (difference + length / 2) % length - length / 2


@njit(cache=True, nogil=True)
def _follow(race: Ints, before: float, gain: float, spacing: float, segments: int) -> None:
    """Count laps as ``robo.simulation.laps.Laps`` does."""
    after = before + gain
    if after >= before:
        first, last, way = math.floor(before / spacing) + 1, math.floor(after / spacing) + 1, 1
    else:
        first, last, way = math.ceil(before / spacing) - 1, math.ceil(after / spacing) - 1, -1
    for trigger in range(first, last, way):
        segment = max(trigger % (segments + 1) - 1, 0)
        if segment == race[SEGMENT]:
            continue
        in_order = segment == (race[SEGMENT] + 1) % segments
        race[SEGMENT] = segment
        if in_order and segment == 0:
            race[LAPS] += race[STARTED]
            race[STARTED] = 1


@njit(cache=True, nogil=True)
def look_all(  # noqa: PLR0917 numba kernels take their state as flat arguments
    rows: Ints,
    states: Floats,
    samples: Bytes,
    pictures: Bytes,
    masses: NDArray[np.float32],
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
    depths: Floats,
    edge: Floats,
    camera_height: float,
    pitch: float,
    shades: Bytes,
    obstacles: Floats,
) -> None:
    """Fill the pictures and masses of the cars in these rows; from ``spread`` on: ``view``, ``box_view``.

    ``samples``: of the camera, a picture a car; it is ``pictures`` itself without antialiasing. ``masses``:
    float32 [N, 8, 3], their color_mass. ``walls``: float64 [N, DIRECTIONS], overwritten.
    """
    nearness = np.empty(samples.shape[1:3], np.float32)
    for car in rows:
        draw(
            samples[car],
            walls[car],
            spread,
            slopes,
            lefts,
            strides,
            sky,
            colours,
            pieces,
            ground,
            origin_x,
            origin_z,
            texel,
            states[car, physics.X],
            states[car, physics.Z],
            states[car, physics.YAW],
        )
        if len(obstacles) > 0:
            own = states[car : car + 1]
            draw_boxes(
                samples[car],
                nearness,
                walls[car],
                spread,
                slopes,
                lefts,
                strides,
                0,
                own,
                depths,
                edge,
                camera_height,
                pitch,
                shades,
                obstacles,
            )
        if samples.shape[1] != pictures.shape[1]:
            pictures[car] = halved(samples[car])
        masses[car] = color_mass(pictures[car])
