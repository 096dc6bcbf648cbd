"""Many cars at once on a track in three dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from robo.config import Config
from robo.gym.course import ANGLE, VELOCITY, YAW, Course, piece_at
from robo.gym.fleet import Cars, Fleet
from robo.gym.races import arrive, follow, set_out, steps_in
from robo.simulation import surface_physics
from robo.simulation.footing import directions
from robo.simulation.physics import Floats, Ints
from robo.simulation.surface import START
from robo.simulation.surface_physics import BEYOND, FORWARD, PLACE
from robo.simulation.terrain import ReliefTerrain
from robo.simulation.track import Track
from robo.simulation.vectors import dot, load, store


class ReliefFleet(Fleet):
    """Cars on a track in three dimensions."""

    def __init__(self, count: int, track: Track, settings: Config, *, sees: bool) -> None:
        """As Cars."""
        terrain = ReliefTerrain(track, ghosts=True, antialias=settings.simulator.antialias)
        starts = np.ascontiguousarray(terrain.relief.samples[:, START])
        cars = Cars(count, track, settings, sees=sees)
        floor = (terrain.relief.samples, starts, terrain.relief.boxes)
        super().__init__(cars, terrain, _drive_all, floor, settings)
        self._width = settings.cars.image_width

    def _draw(self, rows: Ints) -> None:
        states, cars = self.seen(), self.cars
        for row in rows.tolist():
            cars.pictures[row] = self.terrain.view(row, self._width, states[row])


Floor = tuple[Floats, Floats, Floats]
"""The samples of ``robo.simulation.surface``, the distances at which they are, and the boxes on the floor."""


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
    for car in rows:
        race = races[car]
        set_out(race)
        for _ in range(repeat):
            if trail.shape[1]:
                trail[car, race["frames"] % trail.shape[1]] = states[car]
            steps = steps_in(race["frames"])
            throttle, turn = controls[car, 0], controls[car, 1]
            happened, distance = surface_physics.drive(
                states[car], memories[car], floor[0], course.length, steps, throttle, 0.0, turn, floor[2]
            )
            if follow(race, course, happened, distance, happened & BEYOND == 0):
                break
        _take_pose(poses[car], states[car], floor, race["distance"], course.length)
        arrive(race, course, poses[car])


@njit(cache=True, nogil=True)
def _take_pose(pose: Floats, state: Floats, floor: Floor, distance: float, length: float) -> None:
    store(pose, 0, load(state, PLACE))
    store(pose, VELOCITY, load(state, surface_physics.VELOCITY))
    samples, starts, _ = floor
    index = piece_at(starts, distance)
    end = starts[index + 1] if index + 1 < len(starts) else length
    tangent, _, _ = directions(samples, index, (distance - starts[index]) / (end - starts[index]))
    forward = load(state, FORWARD)
    pose[YAW] = math.atan2(forward[0], forward[2])
    pose[ANGLE] = math.degrees(math.acos(min(max(dot(forward, tangent), -1.0), 1.0)))
