"""Transitions: what an explorer hands to the learner, as arrays over many decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo import config
from robo.driving.motion import MOTION_SIZE
from robo.perception import kinds

ACTION_SIZE = 2
"""Numbers in an action: throttle and turn, both in -1..1."""

Array = NDArray[np.float32]


class Transitions(NamedTuple):
    """N transitions, float32; some callers stack K batches in front of every shape.

    A tuple of arrays, so a queue between processes carries it as it is.
    """

    observation: Array
    """[N, O]: what the policy saw."""
    action: Array
    """[N, 2]: (throttle, turn) in -1..1, noise included."""
    reward: Array
    """[N]: paid for what the action led to."""
    discount: Array
    """[N]: 0 where the action ended the episode by termination, else 1 (also where it was truncated)."""
    next_observation: Array
    """[N, O]: what the policy saw next."""

    @property
    def env_steps(self) -> int:
        """How many steps these are."""
        return len(self.reward)


class Layout(NamedTuple):
    """What rows of experience look like."""

    type: Callable[..., Any]
    """The NamedTuple of their arrays."""
    shapes: tuple[tuple[int, ...], ...]
    """Of one row, array by array."""


def observation_size(observation: config.Observation) -> int:
    """Length O of the vector that a policy sees: its last frames' features, its last actions, its motion."""
    seen = observation.history * kinds.size(observation.kind) + observation.action_history * ACTION_SIZE
    return seen + MOTION_SIZE * observation.motion


def layout(observation_size: int) -> Layout:
    """What a row of Transitions looks like."""
    return Layout(Transitions, ((observation_size,), (ACTION_SIZE,), (), (), (observation_size,)))
