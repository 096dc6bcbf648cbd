"""What travels from an explorer to the learner: experience in chunks, and how episodes went."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from robo.config import Config
from robo.driving import sequences, transitions
from robo.driving.driver import EpisodeResult, Transition
from robo.driving.sequences import SequenceCollector, Sequences
from robo.driving.transitions import Layout, Transitions, observation_size

Rows = Transitions | Sequences


class Episode(NamedTuple):
    """An episode's result, and the weights that drove it."""

    role: str
    """explorer or evaluator."""
    result: EpisodeResult
    weights_version: int
    weights: np.ndarray | None
    """float32 [P], of an evaluation in which they drove from start to end; the learner keeps the best."""


class Collector(Protocol):
    """Makes one car's steps into what replay holds."""

    def add(self, step: Transition) -> Sequence[Rows]:
        """Take the episode's next step; the rows that are complete with it."""

    def end(self) -> Sequence[Rows]:
        """The episode is over, or the car was lost: the rows that are left of it."""


class NStepCollector:
    """Transitions over ``steps`` steps each (Sutton, 1988), an episode's last ones over fewer.

    Their reward is discounted within, and their discount is such that an agent that multiplies it by its own
    ``discount`` bootstraps from where they end as it should.
    """

    def __init__(self, steps: int, discount: float) -> None:
        self._discount = discount
        self._window: deque[Transition] = deque(maxlen=steps)

    def add(self, step: Transition) -> list[Transitions]:
        """See Collector."""
        self._window.append(step)
        return [self._folded()] if len(self._window) == self._window.maxlen else []

    def end(self) -> list[Transitions]:
        """See Collector."""
        if len(self._window) == self._window.maxlen:
            self._window.popleft()  # the transition from there is out already
        rows = []
        while self._window:
            rows.append(self._folded())
            self._window.popleft()
        return rows

    def _folded(self) -> Transitions:
        """The window as one transition."""
        first, last = self._window[0], self._window[-1]
        powers = self._discount ** np.arange(len(self._window))
        reward = float(np.dot(powers, [step.reward for step in self._window]))
        row = (first.observation, first.action, reward, powers[-1] * last.discount, last.next_observation)
        return Transitions(*(np.asarray(value, np.float32)[np.newaxis] for value in row))


def collector(config: Config) -> Collector:
    """What makes one car's steps into the rows that the agent learns from."""
    agent = config.agent
    if agent.recurrent:
        return SequenceCollector(agent.sequence_length, agent.burn_in)
    return NStepCollector(config.replay.n_step, agent.discount)


def layout(config: Config) -> Layout:
    """What those rows look like."""
    size, agent = observation_size(config.observation), config.agent
    if agent.recurrent:
        return sequences.layout(size, agent.burn_in + agent.sequence_length)
    return transitions.layout(size)


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Rows of one kind, one after another, as one. Raises ValueError when there are none."""
    if not parts:
        raise ValueError("no rows to concatenate")
    return type(parts[0])(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
