"""The cars of a vector environment, each with the track to itself, on either kind of terrain.

A fleet's methods let go of Python's lock, so that threads can share the rows of the cars among them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo.config import Config
from robo.gym.course import POSE_SIZE, Course, course
from robo.gym.races import RACE
from robo.perception import color_mass
from robo.simulation.terrain import FlatTerrain, ReliefTerrain
from robo.simulation.track import Track

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Cars:
    """What is known of N cars on any terrain, a row a car."""

    def __init__(self, count: int, track: Track, settings: Config, *, weigh: bool) -> None:
        """``weigh``: whether to make colour masses of the pictures."""
        width = settings.cars.image_width
        self.course: Course = course(track, settings.simulator.segments)
        self.races: NDArray[Any] = np.zeros(count, RACE)
        self.poses: Floats = np.zeros((count, POSE_SIZE))
        """As ``robo.gym.course`` has them."""
        self.pictures: NDArray[np.uint8] = np.zeros((count, width * 80 // 128, width, 3), np.uint8)
        """Blue, green, red, top row first."""
        self.masses: NDArray[np.float32] = np.zeros((count if weigh else 0, *color_mass.SHAPE), np.float32)


class Fleet(ABC):
    """Cars on one kind of terrain."""

    def __init__(
        self,
        cars: Cars,
        terrain: FlatTerrain | ReliefTerrain,
        drive_all: Callable[..., None],
        floor: tuple[Any, ...],
    ) -> None:
        """``drive_all``: ``drive``, compiled for a ``floor`` of this kind."""
        self.cars = cars
        self.terrain = terrain
        for _ in cars.races:
            terrain.add()
        self._drive_all = drive_all
        self._floor = floor

    def drive(self, rows: Ints, controls: Floats, repeat: int) -> None:
        """Hold the controls (float64 [N, 2], throttle, turn) of these cars for ``repeat`` frames.

        Fills in their races and poses. A car that has to be put back on the track stays where it is then.
        """
        cars, traffic = self.cars, self.terrain.traffic
        states, memories = traffic.states, traffic.memories
        self._drive_all(
            rows, states, memories, cars.races, cars.poses, controls, repeat, self._floor, cars.course
        )

    @abstractmethod
    def look(self, rows: Ints) -> None:
        """Fill in the pictures of these cars, and their masses."""
