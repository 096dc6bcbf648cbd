"""Policies as the driving processes use them: an observation in, an action in -1..1 out."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from robo import config
from robo.driving.actor import Actor, GaussianActor
from robo.driving.debug_policy import follow_colors
from robo.driving.transitions import ACTION_SIZE


class Policy(Protocol):
    """Drives one car."""

    def begin(self) -> None:
        """An episode begins."""

    def act(self, vector: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """The action, float32 [2] in -1..1.

        ``vector``: float32 [O], what an agent sees; ``observation``: float32, the newest frame's alone.
        """


class Greedy:
    """Does what the actor says."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def begin(self) -> None:
        """The actor forgets what it saw."""
        self._actor.begin()

    def act(self, vector: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """See Policy."""
        return self._actor(vector[None])[0]


class Exploring:
    """The actor with Ornstein-Uhlenbeck noise; uniformly random until the actor has weights.

    The noise is a discretised mean-reverting random walk (Uhlenbeck & Ornstein, 1930), as DDPG (Lillicrap
    et al., 2015) proposed for exploration: ``x += -damping x + stddev N(0, 1)`` for each decision. A damping
    of 1 makes it Gaussian noise.
    """

    def __init__(self, actor: Actor, stddev: float, damping: float, random: np.random.Generator) -> None:
        self._actor = actor
        self._stddev = stddev
        self._damping = damping
        self._random = random
        self._noise = np.zeros(ACTION_SIZE, np.float32)

    def begin(self) -> None:
        """The noise starts from nothing."""
        self._actor.begin()
        self._noise[:] = 0.0

    def act(self, vector: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """See Policy."""
        if not self._actor.loaded:
            return _uniform(self._random)
        self._noise *= 1.0 - self._damping
        self._noise += self._random.normal(0.0, self._stddev, ACTION_SIZE)
        return np.clip(self._actor(vector[None])[0] + self._noise, -1.0, 1.0)


class Sampling:
    """What a stochastic actor draws, from ``spread`` times its standard deviations; see Exploring."""

    def __init__(self, actor: GaussianActor, spread: float, random: np.random.Generator) -> None:
        self._actor = actor
        self._spread = spread
        self._random = random

    def begin(self) -> None:
        """Nothing to forget."""

    def act(self, vector: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """See Policy."""
        if not self._actor.loaded:
            return _uniform(self._random)
        return self._actor.sample(vector[None], self._random, self._spread)[0]


def exploring(
    agent: config.Agent, actor: Actor, boldness: float, random: np.random.Generator
) -> Exploring | Sampling:
    """How a car explores for an agent; ``boldness``: -1, the most careful one, to 1, the boldest."""
    spread = agent.noise_spread**boldness
    if isinstance(actor, GaussianActor):
        return Sampling(actor, spread, random)
    return Exploring(actor, spread * agent.noise_stddev, agent.noise_damping, random)


def boldness(index: int, cars: int) -> float:
    """Of one of so many cars: evenly from -1 to 1, and 0 where there is but one."""
    return 2.0 * index / (cars - 1) - 1.0 if cars > 1 else 0.0


def _uniform(random: np.random.Generator) -> np.ndarray:
    return random.uniform(-1.0, 1.0, ACTION_SIZE).astype(np.float32)


class FollowColors:
    """The hand-written policy, for trying the chain without anything learned."""

    def __init__(self, action: config.Action) -> None:
        self._action = action

    def begin(self) -> None:
        """Nothing to forget."""

    def act(self, vector: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """See Policy."""
        return to_action(self._action, *follow_colors(observation))


def to_command(settings: config.Action, action: np.ndarray) -> tuple[float, float]:
    """Throttle (0..1) and turn (-1..1, left positive) for an action in -1..1."""
    share = ((float(action[0]) + 1.0) / 2.0) ** settings.throttle_curve
    throttle = settings.throttle_min + share * (settings.throttle_max - settings.throttle_min)
    return throttle, float(action[1]) * settings.turn_max


def to_action(settings: config.Action, throttle: float, turn: float) -> np.ndarray:
    """The action, float32 [2] in -1..1, whose command comes closest to this throttle and turn."""
    share = (throttle - settings.throttle_min) / (settings.throttle_max - settings.throttle_min)
    share = max(share, 0.0) ** (1.0 / settings.throttle_curve)
    steer = turn / settings.turn_max if settings.turn_max else 0.0
    return np.clip(np.array([2.0 * share - 1.0, steer], np.float32), -1.0, 1.0)
