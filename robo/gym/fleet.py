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
from robo.perception import kinds
from robo.simulation.randomisation import Variation
from robo.simulation.terrain import FlatTerrain, ReliefTerrain
from robo.simulation.track import Track

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Cars:
    """What is known of N cars on any terrain, a row a car."""

    def __init__(self, count: int, track: Track, settings: Config, *, sees: bool) -> None:
        """``sees``: whether to make of the pictures what a policy sees of them."""
        width = settings.cars.image_width
        kind = settings.observation.kind
        self.course: Course = course(track, settings.simulator.segments)
        self.races: NDArray[Any] = np.zeros(count, RACE)
        self.poses: Floats = np.zeros((count, POSE_SIZE))
        """As ``robo.gym.course`` has them."""
        self.pictures: NDArray[np.uint8] = np.zeros((count, width * 80 // 128, width, 3), np.uint8)
        """Blue, green, red, top row first."""
        self.features: NDArray[np.float32] = np.zeros((count, kinds.size(kind) if sees else 0), np.float32)
        self.see = kinds.see(kind) if sees else None


class Fleet(ABC):
    """Cars on one kind of terrain."""

    def __init__(
        self,
        cars: Cars,
        terrain: FlatTerrain | ReliefTerrain,
        drive_all: Callable[..., None],
        floor: tuple[Any, ...],
        settings: Config,
    ) -> None:
        """``drive_all``: ``drive``, compiled for a ``floor`` of this kind."""
        self.cars = cars
        self.terrain = terrain
        for _ in cars.races:
            terrain.add()
        self._drive_all = drive_all
        self._floor = floor
        self.varied = False
        """Whether any car may differ from the nominal one."""
        count, latencies = len(cars.races), settings.randomisation.latency
        self._motors = np.ones(count)
        self._latencies = np.zeros(count, np.int64)
        size = terrain.traffic.states.shape[1]
        self._trail: Floats = np.zeros((count, latencies[1] if latencies else 0, size))
        """States before each of a car's last frames, at the frame's number modulo how many there are."""

    def drive(self, rows: Ints, controls: Floats, repeat: int) -> None:
        """Hold the controls (float64 [N, 2], throttle, turn) of these cars for ``repeat`` frames.

        Fills in their races and poses. A car that has to be put back on the track stays where it is then.
        """
        cars, traffic = self.cars, self.terrain.traffic
        states, memories = traffic.states, traffic.memories
        controls[rows, 0] *= self._motors[rows]
        self._drive_all(
            rows,
            states,
            memories,
            cars.races,
            cars.poses,
            controls,
            repeat,
            self._floor,
            cars.course,
            self._trail,
        )

    def vary(self, row: int, variation: Variation) -> None:
        """Let a car that was placed just now differ from the nominal one."""
        self.varied = True
        self.terrain.vary(row, variation)
        self._motors[row], self._latencies[row] = variation.motor, variation.latency

    def seen(self) -> Floats:
        """The states, a row a car, of which the pictures are: what they are, or were some frames ago."""
        states = self.terrain.traffic.states
        length = self._trail.shape[1]
        if not length:
            return states
        frames = self.cars.races["frames"]
        ages = np.minimum(self._latencies, frames)
        late = np.flatnonzero(ages)
        states = states.copy()
        states[late] = self._trail[late, (frames[late] - ages[late]) % length]
        return states

    def look(self, rows: Ints) -> None:
        """Fill in the pictures of these cars, and what is seen of them."""
        self._draw(rows)
        cars = self.cars
        if cars.see is not None:
            for row in rows.tolist():
                cars.features[row] = cars.see(cars.pictures[row]).ravel()

    @abstractmethod
    def _draw(self, rows: Ints) -> None:
        """Fill in the pictures of these cars."""
