"""What is observed of many cars: each kind of observation, as ``RobotiniEnv`` has it for one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.config import Config
from robo.driving.motion import SCALES
from robo.driving.transitions import ACTION_SIZE, observation_size
from robo.gym.course import STATE_SIZE, YAW, Course, fill_state
from robo.gym.fleet import Cars, Floats, Ints

MOTION = (0, 1, 5)
"""Which numbers of a ``state`` are those of ``robo.driving.motion``."""


class View(Protocol):
    """One kind of observation."""

    def begin(self, rows: Ints) -> None:
        """Episodes of these cars begin, and the cars have looked."""

    def see(self, rows: Ints, actions: NDArray[np.float32]) -> None:
        """All cars acted (float32 [N, 2]); those in these rows, which were not returned, have looked."""

    def observation(self) -> NDArray[Any]:
        """A copy of all cars' observations, [N, ...]."""


def build(kind: str, cars: Cars, settings: Config) -> View:
    """The view of this kind."""
    if kind == "camera":
        return Pictures(cars)
    return Stacked(cars, settings) if kind == "policy" else States(cars, settings.action.repeat)


class Pictures:
    """``camera``."""

    def __init__(self, cars: Cars) -> None:
        self._cars = cars

    def begin(self, rows: Ints) -> None:
        """See View."""

    def see(self, rows: Ints, actions: NDArray[np.float32]) -> None:
        """See View."""

    def observation(self) -> NDArray[np.uint8]:
        """See View."""
        return self._cars.pictures[..., ::-1].copy()


class Stacked:
    """``policy``: stacked as ``robo.driving.driver.Driver`` does."""

    def __init__(self, cars: Cars, settings: Config) -> None:
        self._cars = cars
        observation = settings.observation
        self._history, self._size = observation.history, cars.features.shape[1]
        seen = self._history * self._size
        done = seen + observation.action_history * ACTION_SIZE
        stack = np.zeros((len(cars.races), observation_size(observation)), np.float32)
        self._stack, self._seen, self._done = stack, stack[:, :seen], stack[:, seen:done]
        self._moving = stack[:, done:]
        self._states = States(cars, settings.action.repeat) if observation.motion else None

    def begin(self, rows: Ints) -> None:
        """See View."""
        self._seen[rows] = np.tile(self._cars.features[rows], self._history)
        self._done[rows] = 0.0
        if self._states is not None:
            self._states.begin(rows)
            self._move()

    def see(self, rows: Ints, actions: NDArray[np.float32]) -> None:
        """See View."""
        self._seen[:, : -self._size] = self._seen[:, self._size :]
        self._seen[:, -self._size :] = self._cars.features
        if self._done.shape[1]:
            self._done[:, :-ACTION_SIZE] = self._done[:, ACTION_SIZE:]
            self._done[:, -ACTION_SIZE:] = actions
        if self._states is not None:
            self._states.see(rows, actions)
            self._move()

    def observation(self) -> NDArray[np.float32]:
        """See View."""
        return self._stack.copy()

    def _move(self) -> None:
        self._moving[:] = self._states.observation()[:, MOTION] * SCALES


class States:
    """``state``."""

    def __init__(self, cars: Cars, repeat: int) -> None:
        self._cars = cars
        self._repeat = repeat
        self._yaws = np.zeros(len(cars.races))
        self._numbers = np.zeros((len(cars.races), STATE_SIZE), np.float32)

    def begin(self, rows: Ints) -> None:
        """See View."""
        self._fill(rows, 0)

    def see(self, rows: Ints, actions: NDArray[np.float32]) -> None:
        """See View."""
        self._fill(rows, self._repeat)

    def observation(self) -> NDArray[np.float32]:
        """See View."""
        return self._numbers.copy()

    def _fill(self, rows: Ints, frames: int) -> None:
        cars = self._cars
        _fill_all(rows, self._numbers, cars.course, cars.poses, cars.races, self._yaws, frames)
        self._yaws[rows] = cars.poses[rows, YAW]


@njit(cache=True, nogil=True)
def _fill_all(  # noqa: PLR0917 numba kernels take their state as flat arguments
    rows: Ints,
    numbers: NDArray[np.float32],
    course: Course,
    poses: Floats,
    races: Any,
    yaws: Floats,
    frames: int,
) -> None:
    for car in rows:
        fill_state(numbers[car], course, poses[car], races[car]["place"], yaws[car], frames)
