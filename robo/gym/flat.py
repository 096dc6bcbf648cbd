"""Many cars on a flat track at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.config import Config
from robo.gym.course import ANGLE, VELOCITY, YAW, Course, angle_off, heading
from robo.gym.fleet import Cars, Fleet
from robo.gym.races import arrive, follow, set_out, steps_in
from robo.simulation import physics
from robo.simulation.camera import DIRECTIONS, Camera, draw, draw_boxes, halved
from robo.simulation.physics import Floats, Ints
from robo.simulation.surface_physics import REST_HEIGHT
from robo.simulation.terrain import FlatTerrain
from robo.simulation.track import Track
from robo.simulation.vectors import store

Bytes = NDArray[np.uint8]


class FlatFleet(Fleet):
    """Cars on a flat track."""

    def __init__(self, count: int, track: Track, settings: Config, *, sees: bool) -> None:
        """As Cars."""
        width, antialias = settings.cars.image_width, settings.simulator.antialias
        terrain = FlatTerrain(track, ghosts=True, antialias=antialias)
        height = float(track.points[0, 1]) + REST_HEIGHT
        cars = Cars(count, track, settings, sees=sees)
        super().__init__(cars, terrain, _drive_all, (terrain.line, height, terrain.boxes), settings)
        camera = Camera(width, terrain.ground, antialias=antialias, obstacles=terrain.boxes)
        self._view, self._box_view = camera.view, camera.box_view
        self._width = width
        self._samples = cars.pictures
        if antialias:
            _, rows, columns, _ = cars.pictures.shape
            self._samples = np.zeros((count, 2 * rows, 2 * columns, 3), np.uint8)
        self._walls = np.empty((count, DIRECTIONS))

    def _draw(self, rows: Ints) -> None:
        states, cars = self.seen(), self.cars
        own = {}
        if self.varied:
            own = {row: self.terrain.own_camera(row, self._width) for row in rows.tolist()}
            rows = np.array([row for row, camera in own.items() if camera is None], np.int64)
        _look_all(
            rows,
            states,
            self._samples,
            cars.pictures,
            self._walls,
            self._view,
            self._box_view,
        )
        for row, camera in own.items():
            if camera is not None:
                cars.pictures[row] = camera.picture(*states[row, : physics.VX].tolist())


Floor = tuple[Floats, float, Floats]
"""The centre line as ``physics`` wants it, the height at which cars are, and the boxes on the floor."""


@njit(cache=True, nogil=True)
def _drive_all(  # noqa: PLR0917 numba kernels take their state as flat arguments
    rows: Ints,
    states: Floats,
    memories: Ints,
    races: Any,
    poses: Floats,
    controls: Floats,
    repeat: int,
    floor: Floor,
    course: Course,
    trail: Floats,
) -> None:
    line, height, boxes = floor
    for car in rows:
        race = races[car]
        set_out(race)
        for _ in range(repeat):
            if trail.shape[1]:
                trail[car, race["frames"] % trail.shape[1]] = states[car]
            steps = steps_in(race["frames"])
            happened, distance = physics.drive(
                states[car], memories[car], line, steps, controls[car, 0], 0.0, controls[car, 1], boxes
            )
            if follow(race, course, happened, distance, True):
                break
        _take_pose(poses[car], states[car], course, race["distance"], height)
        arrive(race, course, poses[car])


@njit(cache=True, nogil=True)
def _take_pose(pose: Floats, state: Floats, course: Course, distance: float, height: float) -> None:
    store(pose, 0, (state[physics.X], height, state[physics.Z]))
    store(pose, VELOCITY, (state[physics.VX], 0.0, state[physics.VZ]))
    pose[YAW] = state[physics.YAW]
    pose[ANGLE] = angle_off(state[physics.YAW], heading(course, distance))


@njit(cache=True, nogil=True)
def _look_all(  # noqa: PLR0917 numba kernels take their state as flat arguments
    rows: Ints,
    states: Floats,
    samples: Bytes,
    pictures: Bytes,
    walls: Floats,
    view: tuple[Any, ...],
    box_view: tuple[Any, ...],
) -> None:
    """``samples``: of the camera, a picture a car; ``pictures`` itself without antialiasing.

    ``walls``: float64 [N, DIRECTIONS], overwritten; ``view``, ``box_view``: of a Camera.
    """
    nearness = np.empty(samples.shape[1:3], np.float32)
    for car in rows:
        x, z, yaw = states[car, physics.X], states[car, physics.Z], states[car, physics.YAW]
        draw(samples[car], walls[car], *view, x, z, yaw)
        if len(box_view[-1]):
            draw_boxes(samples[car], nearness, walls[car], *view[:4], 0, states[car : car + 1], *box_view)
        if samples.shape[1] != pictures.shape[1]:
            pictures[car] = halved(samples[car])
