"""One car on a track as a Gymnasium environment: what is seen, paid and ended by is as in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from robo.config import Config
from robo.driving.driver import Driver, EpisodeResult, Seen
from robo.driving.policies import to_command
from robo.driving.state import CarState
from robo.driving.stream import StreamState
from robo.driving.transitions import ACTION_SIZE
from robo.gym import tasks
from robo.gym.course import STATE_SIZE, YAW, course, fill_state, pose
from robo.perception import kinds
from robo.protocol import spectator as wire
from robo.simulation.randomisation import asked_for
from robo.simulation.track import Track
from robo.simulation.tracks import Tracks
from robo.simulation.world import (
    Crashed,
    Event,
    LapCompleted,
    Returned,
    World,
)

CAR = "car"
INFO = wire.CarInfo(CAR, timestamp=0.0)
NOTHING = np.zeros(0, np.float32)


class RobotiniEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One step is one decision of ``settings.action.repeat`` frames, or fewer if the car is returned.

    Action: float32 [2] in -1..1, throttle and turn (+1: full left) between the settings' limits.

    Observation, by ``observation``:

    - ``policy``: what a trained policy sees by ``settings.observation``, float32 [151] with the default ones:
      the last pictures as ``robo.perception`` makes numbers of them and the last actions, each oldest first,
      then the car's ``robo.driving.motion``;
    - ``camera``: uint8 [80, 128, 3], red, green, blue, top row first;
    - ``state``: float32 [18]: speed forward and to the left (m/s), metres left of the centre line, sine and
      cosine of the car's yaw relative to the track (left is positive), rate at which the car's yaw changes
      (rad/s, left is positive, mean over the decision), then sine and cosine of the track's direction 0.25,
      0.5, 1, 1.5, 2 and 3 m ahead relative to the car's.

    Rewards and ends are those of training. ``terminated``: the car was returned to the track or made no
    progress; ``truncated``: all laps are done or the time is over. A car that was returned is shown nothing
    of its new place: its last observation repeats the one before. ``info`` has ``speed`` (m/s), ``distance``
    along the track (m), ``crashes`` and ``laps`` of the episode, ``time`` (s) and, with an episode's end,
    ``end`` (why) and ``lap_seconds`` (clean laps' times).

    ``reset`` puts the car at rest at a random place on the centre line; ``options={"place": metres}`` names
    one. Equal seeds and actions give equal episodes.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 as Gymnasium declares it

    def __init__(
        self,
        observation: str = "policy",
        track: str | Path | Track | None = None,
        reward: str = "auto",
        render_mode: str | None = None,
        settings: Config | None = None,
    ) -> None:
        """``track``: a track or its file; ``settings``: as ``robo.config.load`` makes them.

        None means the defaults. Raises UserError for an unknown observation or reward, or a bad track file.
        """
        self._settings, self._track = tasks.load(settings, track, reward)
        self.observation_space = tasks.observation_space(observation, self._settings)
        self.action_space = tasks.action_space()
        self.render_mode = render_mode
        self._kind = observation
        self._see = kinds.see(self._settings.observation.kind)
        simulator = self._settings.simulator
        self._world = World(
            self._track,
            simulator.segments,
            ghosts=True,
            antialias=simulator.antialias,
            randomisation=self._settings.randomisation,
        )
        self._world.add_car(CAR)
        self._driver: Driver | None = None
        self._course = course(self._track, simulator.segments)
        self._numbers = np.zeros(STATE_SIZE, np.float32)
        self._yaw = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; see gymnasium.Env."""
        super().reset(seed=seed)
        place = (options or {}).get("place")
        if place is None:
            place = self.np_random.uniform(0.0, self._track.length)
        world = self._world
        world.frame = 0  # physics steps a frame depend on it, and an episode must not on those before it
        world.hear(CAR)
        world.command(CAR, throttle=0.0, turn=0.0)
        if asked_for(self._settings.randomisation):
            world.reseed(
                CAR, int(self.np_random.integers(2**32))
            )  # an episode must not depend on those before
        world.place(CAR, float(place))
        self._stream = StreamState(session=0)
        self._stream.apply(wire.RaceParameters(world.segments, timestamp=0.0))
        self._tell([])
        self._driver = Driver(CAR, self._settings, Tracks(self._track), evaluation=False)
        self._look(frames=0)
        seen = self._driver.observe(self._seen(), self._state)
        return self._observation(seen.vector), self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take a decision; see gymnasium.Env. Raises ResetNeeded after an episode's end.

        Raises ValueError for an action of another shape or a NaN.
        """
        if self._driver is None:
            raise gymnasium.error.ResetNeeded("the episode is over, or none has begun: call reset()")
        action = tasks.clipped(action, (ACTION_SIZE,))
        self._driver.act(action)
        throttle, turn = to_command(self._settings.action, action)
        frames = self._drive(throttle, turn)
        if not self._state.returns:
            self._look(frames)
        seen = self._driver.observe(self._seen(), self._state)
        assert seen.transition is not None
        info = self._info()
        if seen.episode is None:
            return self._observation(seen.vector), seen.transition.reward, False, False, info
        self._driver = None
        return self._ended(seen, seen.episode, info)

    def render(self) -> np.ndarray | None:
        """What the car's camera saw last: uint8 [80, 128, 3], red, green, blue; None without a mode."""
        return self._picture[..., ::-1].copy() if self.render_mode == "rgb_array" else None

    @property
    def _state(self) -> CarState:
        return self._stream.cars[CAR]

    def _drive(self, throttle: float, turn: float) -> int:
        """Hold the controls for a decision, or until the car is returned; the number of frames driven."""
        for frame in range(1, self._settings.action.repeat + 1):
            self._world.hear(CAR)
            self._world.command(CAR, throttle=throttle, turn=turn)
            self._tell(self._world.step())
            if self._state.returns:
                return frame
        return self._settings.action.repeat

    def _tell(self, events: list[Event]) -> None:
        """What a spectator would be told of a frame: the state is made of that, as in training."""
        world, now = self._world, self._world.time
        for event in events:
            if isinstance(event, Crashed):
                self._stream.apply(wire.CarCrashed(INFO, timestamp=now))
            elif isinstance(event, Returned):
                self._stream.apply(wire.CarReturnedToTrack(INFO, timestamp=now))
            elif isinstance(event, LapCompleted):
                laps = world.laps(CAR)
                times = (laps.last_lap, laps.best_lap, laps.total_time)
                self._stream.apply(wire.LapCompleted(INFO, laps.lap_count, *times, timestamp=now))
        status = world.status(CAR)
        car = wire.CarStatus(
            CAR,
            wire.Vec3(*status.position),
            wire.Vec3(*status.velocity),
            wire.Quaternion(*status.rotation),
            status.track_angle,
            status.track_segment,
        )
        self._stream.apply(wire.GameStatus([car], timestamp=now))

    def _look(self, frames: int) -> None:
        """Take in what the car sees, ``frames`` after it last looked."""
        self._picture = self._world.render(CAR, self._settings.cars.image_width)
        if self._kind == "state":
            status = self._world.status(CAR)
            now = pose(status.position, status.velocity, status.rotation, status.track_angle)
            distance = self._track.distance(status.position)
            fill_state(self._numbers, self._course, now, distance, self._yaw, frames)
            self._yaw = float(now[YAW])

    def _seen(self) -> np.ndarray:
        """What the driver stacks."""
        return self._see(self._picture) if self._kind == "policy" else NOTHING

    def _observation(self, vector: np.ndarray) -> np.ndarray:
        if self._kind == "camera":
            return self._picture[..., ::-1].copy()
        return vector if self._kind == "policy" else self._numbers.copy()

    def _info(self) -> dict[str, Any]:
        state = self._state
        return {
            "speed": state.speed,
            "distance": self._track.distance(state.position),
            "crashes": state.crashes,
            "laps": state.laps,
            "time": state.time,
        }

    def _ended(
        self, seen: Seen, episode: EpisodeResult, info: dict[str, Any]
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """The last step of an episode; ``seen.vector`` is already the first of another."""
        assert seen.transition is not None
        info |= {"end": episode.end, "lap_seconds": episode.lap_seconds}
        terminated = seen.transition.discount == 0.0
        last = self._observation(seen.transition.next_observation)
        return last, seen.transition.reward, terminated, not terminated, info
