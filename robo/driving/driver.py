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
from robo.driving.motion import motion
from robo.driving.starts import Starts
from robo.driving.state import CarState
from robo.driving.transitions import ACTION_SIZE
from robo.protocol.car import Restart
from robo.simulation.track import Track
from robo.simulation.tracks import Tracks

ASK_AGAIN = 10
"""Decisions after which a start that was asked for is asked for again."""


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

    vector: np.ndarray | None
    """float32 [O]: what the policy sees; None: the car waits to be put where its next episode begins."""
    transition: Transition | None
    """The step that this observation completed."""
    episode: EpisodeResult | None
    """The episode that ended with that step; a new one has begun."""
    lap: Lap | None
    begins: bool
    """Whether ``vector`` is the first of an episode."""
    restart: Restart | None = None
    """Where the simulator is asked to put the car."""


class Driver:
    """Turns one car's observations and states into transitions and episodes, in simulation time.

    Call ``observe`` for each decision's observation, then ``act`` with the action that answers it. After an
    episode's end the next one begins where the car is, for a real simulator can't be told where to put it.
    With ``starts`` it can: the car then waits until it has been put there.
    """

    def __init__(
        self,
        car: str,
        settings: Config,
        tracks: Tracks,
        *,
        evaluation: bool,
        starts: Starts | None = None,
    ) -> None:
        self._car = car
        self._tracks = tracks
        self._starts = starts
        self._waited = 0
        self._wanted: Restart | None = None
        self._reward = rewards.build(settings.reward, track_known=tracks.get(0) is not None)
        limits, episode = settings.evaluation if evaluation else settings.episode, settings.episode
        self._rules = EpisodeRules(
            limits.laps,
            limits.max_seconds,
            episode.stuck_seconds,
            episode.stuck_metres,
            end_on_crash=episode.end_on_crash and settings.restarts and not evaluation,
        )
        self._observations: deque[np.ndarray] = deque(maxlen=settings.observation.history)
        self._actions: deque[np.ndarray] = deque(maxlen=settings.observation.action_history)
        self._sees_motion = settings.observation.motion
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
    def reward_terms(self) -> dict[str, float]:
        """What ``total_reward`` is made of, by what was paid for."""
        return dict(self._reward.terms)

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
        """Take a decision's observation (float32, of its kind's shape) and the car's state at that moment."""
        lap = self.laps.update(state)
        if self._starts and (self._state is None or (self._wanted and self.session == state.session)):
            return self._wait(state, lap)
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
            self._reward.terms["stuck"] = self._reward.stuck
        self.total_reward += reward
        self._steps += 1
        before, action = self._vector, self._action
        self._remember(observation, self._state, state)
        self._state = state
        transition = None
        if before is not None and action is not None:
            discount = 0.0 if end is not None and end.terminated else 1.0
            transition = Transition(before, action, reward, discount, self._vector)
        if end is None:
            return Seen(self._vector, transition, None, lap, begins=False)
        result = self._result(end)
        if self._starts:
            self._open = False
            return self._wait(state, lap)._replace(transition=transition, episode=result)
        return Seen(self._begin(observation, state), transition, result, lap, begins=True)

    def act(self, action: np.ndarray) -> None:
        """Remember the action (float32 [2] in -1..1) that answers the last observation."""
        self._action = action
        self._actions.append(action)

    @property
    def _track(self) -> Track | None:
        """The one that the car is on."""
        return self._tracks.get(self._state.track)

    def _wait(self, state: CarState, lap: Lap | None) -> Seen:
        """Ask for the next start, now and again, until a state of another session says that it was heard."""
        self._state = state
        if self._wanted is None:
            self._wanted, self._waited = self._starts.next(), 0
        ask = self._waited % ASK_AGAIN == 0
        self._waited += 1
        return Seen(None, None, None, lap, begins=False, restart=self._wanted if ask else None)

    def _begin(self, observation: np.ndarray, state: CarState) -> np.ndarray:
        self._start = self._state = state
        self._open = True
        self._wanted = None
        self._reward.start(state)
        self._rules.start(state)
        self.total_reward = self._metres = 0.0
        self._steps = 0
        self._laps: list[Lap] = []
        self._action = None
        # The past of the episode before says nothing about this one: its first observation stands for it.
        self._observations.extend([observation] * (self._observations.maxlen or 0))
        self._actions.extend([np.zeros(ACTION_SIZE, np.float32)] * (self._actions.maxlen or 0))
        return self._remember(observation, state, state)

    def _remember(self, observation: np.ndarray, before: CarState, now: CarState) -> np.ndarray:
        self._observations.append(observation)
        parts = [part.ravel() for part in (*self._observations, *self._actions)]
        if self._sees_motion:
            if now.returns == before.returns:  # else it says nothing of the place where the car was
                self._motion = motion(before, now)
            parts.append(self._motion)
        self._vector = np.concatenate(parts, dtype=np.float32)
        return self._vector

    def _result(self, end: End) -> EpisodeResult:
        clean = [lap.seconds for lap in self._laps if lap.clean]
        track = self._track
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
            track=track.name if track else "",
            track_metres=track.length if track else 0.0,
        )
