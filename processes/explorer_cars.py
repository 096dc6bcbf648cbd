"""What an explorer has of each of its cars: driver, policy, figures; and what the evaluator drives with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processes.channels import Latest
from processes.exported import Exported
from processes.table import AVERAGED, LEARNING, Car
from robo.cache_values import Telemetry
from robo.config import Config
from robo.driving import actor
from robo.driving.driver import Driver
from robo.driving.experience import collector
from robo.driving.lap_line import LapTracer
from robo.driving.policies import FollowColors, Greedy, Policy, boldness, exploring
from robo.driving.starts import Starts
from robo.driving.state import CarState
from robo.driving.transitions import ACTION_SIZE, observation_size
from robo.simulation.tracks import Tracks


class DrivenCar:
    """One car of this process: its driver, its policy, and its figures."""

    def __init__(self, car: Car, config: Config, tracks: Tracks, where: Starts | None) -> None:
        self.car = car
        self.evaluates = car.role == "evaluator"
        self.driver = Driver(car.name, config, tracks, evaluation=self.evaluates, starts=where)
        self.actor = actor.build(config.agent, observation_size(config.observation))
        self.weights_version = 0
        self.policy = self._policy(config)
        self.collector = collector(config)
        self.number = 0
        """Frame number of the last observation."""
        self.action = np.zeros(ACTION_SIZE, np.float32)
        self.figures = Telemetry(role=car.role)
        self.driven_by = ""
        """As ``Telemetry`` has it."""
        self.state: CarState | None = None
        self.crashes = 0
        self.observation = np.zeros(0, np.float32)
        self.tracer = LapTracer()

    def _policy(self, config: Config) -> Policy:
        if config.driver == "debug":
            return FollowColors(config.action)
        if config.driver == "policy":
            return Exported(Path(config.policy))
        if self.evaluates:
            return Greedy(self.actor)
        random = np.random.default_rng([config.seed, self.car.index])
        bold = boldness(self.car.index, config.cars.explorers)
        return exploring(config.agent, self.actor, bold, random)

    def follow(self, state: CarState) -> None:
        """Take the car's next state, whoever drives it."""
        before, self.state = self.state, state
        if before is not None and before.session == state.session:
            self.crashes += state.crashes - before.crashes

    def load(self, weights: Latest) -> None:
        """Take the newest weights, if they are new."""
        number = weights.number(LEARNING)
        if number is None or number == self.weights_version:
            return
        value = weights.get(LEARNING)
        if value is not None:
            self.take(*value)

    def take(self, version: int, weights: bytes) -> None:
        """Drive with these weights from now on."""
        if version != self.weights_version:
            self.actor.load(np.frombuffer(weights, np.float32))
            self.weights_version = version


class EvaluationWeights:
    """What the evaluator's next episode is driven with: the newest weights, for a number of episodes."""

    def __init__(self, weights: Latest, episodes: int) -> None:
        self._weights = weights
        self._episodes = episodes
        self._left = 0
        self._value: tuple[int, bytes] | None = None

    @property
    def ready(self) -> bool:
        """Whether there are weights."""
        self._value = self._value or self._weights.get(AVERAGED)
        return self._value is not None

    def next(self) -> tuple[int, bytes]:
        """Version and weights for an episode that begins. Needs ``ready``."""
        if self._left == 0:
            self._value = self._weights.get(AVERAGED) or self._value
            self._left = self._episodes
        self._left -= 1
        return self._value
