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
from robo.perception.color_mass import color_mass
from robo.simulation import physics
from robo.simulation.camera import DIRECTIONS, Camera, draw, halved
from robo.simulation.physics import Floats, Ints
from robo.simulation.surface_physics import REST_HEIGHT
from robo.simulation.terrain import FlatTerrain
from robo.simulation.track import Track
from robo.simulation.vectors import store

Bytes = NDArray[np.uint8]


class FlatFleet(Fleet):
    """Cars on a flat track."""

    def __init__(self, count: int, track: Track, settings: Config, *, weigh: bool) -> None:
        """As Cars."""
        terrain = FlatTerrain(track, ghosts=True, antialias=False)
        height = float(track.points[0, 1]) + REST_HEIGHT
        cars = Cars(count, track, settings, weigh=weigh)
        super().__init__(cars, terrain, _drive_all, (terrain.line, height))
        width, antialias = settings.cars.image_width, settings.simulator.antialias
        self._view = Camera(width, terrain.ground, antialias=antialias).view
        self._samples = cars.pictures
        if antialias:
            _, rows, columns, _ = cars.pictures.shape
            self._samples = np.zeros((count, 2 * rows, 2 * columns, 3), np.uint8)
        self._walls = np.empty((count, DIRECTIONS))

    def look(self, rows: Ints) -> None:
        """See Fleet."""
        states, cars = self.terrain.traffic.states, self.cars
        _look_all(rows, states, self._samples, cars.pictures, cars.masses, self._walls, self._view)


Floor = tuple[Floats, float]
"""The centre line as ``physics`` wants it, and the height at which cars are."""


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
) -> None:
    line, height = floor
    for car in rows:
        race = races[car]
        set_out(race)
        for _ in range(repeat):
            steps = steps_in(race["frames"])
            happened, distance = physics.drive(
                states[car], memories[car], line, steps, controls[car, 0], 0.0, controls[car, 1]
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
    masses: NDArray[np.float32],
    walls: Floats,
    view: tuple[Any, ...],
) -> None:
    """``samples``: of the camera, a picture a car; ``pictures`` itself without antialiasing.

    ``walls``: float64 [N, DIRECTIONS], overwritten; ``view``: of a Camera.
    """
    for car in rows:
        x, z, yaw = states[car, physics.X], states[car, physics.Z], states[car, physics.YAW]
        draw(samples[car], walls[car], *view, x, z, yaw)
        if samples.shape[1] != pictures.shape[1]:
            pictures[car] = halved(samples[car])
        if len(masses):
            masses[car] = color_mass(pictures[car])
