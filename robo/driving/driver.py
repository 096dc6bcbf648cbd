"""One car's side of an episode: observations stacked into what a policy sees, steps into transitions."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec
import numpy as np

from robo.config import Config
from robo.driving import rewards
from robo.driving.episodes import End, EpisodeRules
from robo.driving.laps import Lap, LapCounter
from robo.driving.state import CarState
from robo.driving.transitions import ACTION_SIZE
from robo.simulation.track import Track


class Transition(NamedTuple):
    """One step. ``observation`` and ``next_observation``: float32 [O]; ``action``: float32 [2] in -1..1."""

    observation: np.ndarray
    action: np.ndarray
    reward: float
    discount: float
    """0 where the task ended, else 1; the agent's own discount comes on top."""
    next_observation: np.ndarray


class EpisodeResult(msgspec.Struct, frozen=True):
    """What came of one episode."""

    car: str
    end: str
    total_reward: float
    steps: int
    seconds: float
    """Simulation time."""
    metres: float
    """Gained along the track."""
    crashes: int
    laps: int
    clean_laps: int
    lap_seconds: tuple[float, ...]
    """Of the clean laps."""
    track: str = ""
    """Its name; empty: not known."""
    track_metres: float = 0.0
    """Its length; 0: not known."""


class Seen(NamedTuple):
    """What one observation brought."""

    vector: np.ndarray
    """float32 [O]: what the policy sees."""
    transition: Transition | None
    """The step that this observation completed."""
    episode: EpisodeResult | None
    """The episode that ended with that step; a new one has begun."""
    lap: Lap | None
    begins: bool
    """Whether ``vector`` is the first of an episode."""


class Driver:
    """Turns one car's observations and states into transitions and episodes, in simulation time.

    Call ``observe`` for each decision's observation, then ``act`` with the action that answers it. After an
    episode's end the next one begins where the car is: a simulator can't be told where to put it.
    """

    def __init__(self, car: str, settings: Config, track: Track | None, *, evaluation: bool) -> None:
        self._car = car
        self._track = track
        self._reward = rewards.build(settings.reward, track)
        limits = settings.evaluation if evaluation else settings.episode
        self._rules = EpisodeRules(
            limits.laps, limits.max_seconds, settings.episode.stuck_seconds, settings.episode.stuck_metres
        )
        self._observations: deque[np.ndarray] = deque(maxlen=settings.observation.history)
        self._actions: deque[np.ndarray] = deque(maxlen=settings.observation.action_history)
        # In realtime the last state may have been one frame ahead of its observation, if we were slow.
        slack_frames = 0.5 if settings.simulator.lockstep else 1.5
        self._least_step_seconds = (settings.action.repeat - slack_frames) / 60.0
        self.laps = LapCounter()
        self.total_reward = 0.0
        """Of the episode so far."""
        self._state: CarState | None = None
        self._open = False
        self._vector: np.ndarray | None = None
        self._action: np.ndarray | None = None

    @property
    def expected_time(self) -> float:
        """The simulation time from which on a state belongs to the next observation, seconds."""
        if self._state is None:
            return -1.0
        return self._state.time + self._least_step_seconds

    @property
    def session(self) -> int | None:
        """The session of the last state."""
        return self._state.session if self._state else None

    def seen(self, state: CarState) -> bool:
        """Whether ``state`` is no newer than the last one."""
        return self._state is not None and self.session == state.session and state.time <= self._state.time

    def interrupt(self) -> EpisodeResult | None:
        """The chain lost the car: end the episode here and make nothing up. Its result, if one was open."""
        if not self._open:
            return None
        # The state stays: the next episode must not begin with one that was seen before.
        self._open = False
        return self._result(End.INTERRUPTED)

    def observe(self, observation: np.ndarray, state: CarState) -> Seen:
        """Take a decision's observation (float32 [8, 3]) and the car's state at that moment."""
        lap = self.laps.update(state)
        if not self._open or self.session != state.session:
            episode = self.interrupt()
            return Seen(self._begin(observation, state), None, episode, lap, begins=True)
        if lap is not None:
            self._laps.append(lap)
        gained = rewards.gained_metres(self._track, self._state, state)
        self._metres += gained
        end = self._rules.update(state, gained)
        reward = self._reward(self._state, state, gained)
        if end is End.STUCK:
            reward += self._reward.stuck
        self.total_reward += reward
        self._steps += 1
        before, action = self._vector, self._action
        self._state = state
        self._remember(observation)
        transition = None
        if before is not None and action is not None:
            discount = 0.0 if end is not None and end.terminated else 1.0
            transition = Transition(before, action, reward, discount, self._vector)
        if end is None:
            return Seen(self._vector, transition, None, lap, begins=False)
        result = self._result(end)
        return Seen(self._begin(observation, state), transition, result, lap, begins=True)

    def act(self, action: np.ndarray) -> None:
        """Remember the action (float32 [2] in -1..1) that answers the last observation."""
        self._action = action
        self._actions.append(action)

    def _begin(self, observation: np.ndarray, state: CarState) -> np.ndarray:
        self._start = self._state = state
        self._open = True
        self._reward.start(state)
        self._rules.start(state)
        self.total_reward = self._metres = 0.0
        self._steps = 0
        self._laps: list[Lap] = []
        self._action = None
        # The past of the episode before says nothing about this one: its first observation stands for it.
        self._observations.extend([observation] * (self._observations.maxlen or 0))
        self._actions.extend([np.zeros(ACTION_SIZE, np.float32)] * (self._actions.maxlen or 0))
        return self._remember(observation)

    def _remember(self, observation: np.ndarray) -> np.ndarray:
        self._observations.append(observation)
        parts = [part.ravel() for part in (*self._observations, *self._actions)]
        self._vector = np.concatenate(parts, dtype=np.float32)
        return self._vector

    def _result(self, end: End) -> EpisodeResult:
        clean = [lap.seconds for lap in self._laps if lap.clean]
        return EpisodeResult(
            car=self._car,
            end=end.value,
            total_reward=self.total_reward,
            steps=self._steps,
            seconds=self._state.time - self._start.time,
            metres=self._metres,
            crashes=self._state.crashes - self._start.crashes,
            laps=len(self._laps),
            clean_laps=len(clean),
            lap_seconds=tuple(clean),
            track=self._track.name if self._track else "",
            track_metres=self._track.length if self._track else 0.0,
        )
