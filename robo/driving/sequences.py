"""Sequences of steps, from which an agent with a memory learns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo.driving.driver import Transition
from robo.driving.transitions import ACTION_SIZE, Layout

Array = NDArray[np.float32]


class Sequences(NamedTuple):
    """N sequences of T steps each, float32; some callers stack K batches in front of every shape.

    A memory that is empty before the first step and sees all of them knows enough at those that count.
    """

    observation: Array
    """[N, T + 1, O]: what the policy saw before each step, and after the last."""
    action: Array
    """[N, T, 2]: (throttle, turn) in -1..1, noise included."""
    reward: Array
    """[N, T]"""
    discount: Array
    """[N, T]: 0 where the action ended the episode by termination, else 1."""
    weight: Array
    """[N, T]: 1 for a step that counts, 0 for one that only fills the memory or that there was not."""

    @property
    def env_steps(self) -> int:
        """How many steps count."""
        return int(self.weight.sum())


def layout(observation_size: int, steps: int) -> Layout:
    """What a row of Sequences looks like."""
    shapes = ((steps + 1, observation_size), (steps, ACTION_SIZE), (steps,), (steps,), (steps,))
    return Layout(Sequences, shapes)


class SequenceCollector:
    """Makes sequences of ``burn_in + length`` steps of one car's.

    No sequence goes beyond an episode's end, and every step counts in exactly one. An episode's first one
    begins with it, and counts whole; each one after that begins with the last ``burn_in`` steps of the one
    before, which don't count again. An episode's last one is filled up with steps that don't count.
    """

    def __init__(self, length: int, burn_in: int) -> None:
        self._size = burn_in + length
        self._burn_in = burn_in
        self._steps: list[Transition] = []
        self._counted = 0
        """How many of the steps, from the first one on, counted in the sequence before."""

    def add(self, step: Transition) -> list[Sequences]:
        """Take the episode's next step; the sequences, of one row each, that are complete with it."""
        self._steps.append(step)
        if len(self._steps) < self._size:
            return []
        sequence = self._sequence()
        self._steps = self._steps[self._size - self._burn_in :]
        self._counted = len(self._steps)
        return [sequence]

    def end(self) -> list[Sequences]:
        """The episode is over, or the car was lost: what is left of it."""
        left = [self._sequence()] if len(self._steps) > self._counted else []
        self._steps, self._counted = [], 0
        return left

    def _sequence(self) -> Sequences:
        steps, missing = self._steps, self._size - len(self._steps)
        observation = [step.observation for step in steps] + [steps[-1].next_observation] * (missing + 1)
        action = np.zeros((self._size, ACTION_SIZE))
        reward, discount, weight = np.zeros((3, self._size))
        action[: len(steps)] = [step.action for step in steps]
        reward[: len(steps)] = [step.reward for step in steps]
        discount[: len(steps)] = [step.discount for step in steps]
        weight[self._counted : len(steps)] = 1.0
        row = (observation, action, reward, discount, weight)
        return Sequences(*(np.asarray(array, np.float32)[np.newaxis] for array in row))
