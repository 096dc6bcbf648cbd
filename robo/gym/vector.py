"""Many cars on one flat track as a Gymnasium vector environment: all of them step in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from robo.config import Config
from robo.driving.episodes import End
from robo.driving.transitions import ACTION_SIZE
from robo.errors import UserError
from robo.gym import kernels, tasks
from robo.perception import color_mass
from robo.simulation import physics
from robo.simulation.camera import DIRECTIONS, Camera
from robo.simulation.terrain import FlatTerrain
from robo.simulation.track import Track
from robo.simulation.world import FRAMES_PER_SECOND

MASS_SIZE = int(np.prod(color_mass.SHAPE))
LEAST_SHARE = 4
"""Cars that are worth a thread's while."""
SHARES = 2
"""Of the cars a core: more than one, so that a core that has other work to do holds nobody up for long."""


class VectorRobotini(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` times ``robo.gym.RobotiniEnv``, on a flat track, paid for progress; all cores are used.

    Actions: float32 [N, 2]. Observations: ``color_mass``, float32 [N, 76], or ``camera``, uint8
    [N, 80, 128, 3]; both as for one car. No car sees or touches another.

    An episode that ends is followed by the next one in the same step: the observation and the infos are
    already the new one's, and ``infos["final_obs"][i]`` and ``infos["final_info"]`` are the old one's last.
    Infos: float64 or int64 [N] arrays ``speed``, ``distance``, ``crashes``, ``laps``, ``time``, and with
    ``final_info``, ``end``.
    """

    metadata = {  # noqa: RUF012 as Gymnasium declares it
        "render_modes": ["rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(  # noqa: PLR0917 as Gymnasium passes them
        self,
        num_envs: int = 1,
        observation: str = "color_mass",
        track: str | Path | Track | None = None,
        reward: str = "auto",
        render_mode: str | None = None,
        settings: Config | None = None,
    ) -> None:
        """See RobotiniEnv. Raises UserError also for a track that climbs and for what is for one car only."""
        self._cores = len(os.sched_getaffinity(0))
        self._threads = ThreadPoolExecutor(self._cores, "cars")
        if observation == "state" or reward == "segments":
            raise UserError(
                "a vector of cars has observation color_mass or camera, and reward auto or progress; "
                'for others, gymnasium.make_vec("robo/Robotini-v0", n, vectorization_mode="async", ...)'
            )
        self._settings, self._track = tasks.load(settings, track, reward)
        if not self._track.flat:
            raise UserError(f"track {self._track.name}: a vector of cars needs a flat one")
        self._camera_kind = observation == "camera"
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_action_space = tasks.action_space()
        self.single_observation_space = tasks.observation_space(observation, self._settings)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._terrain = FlatTerrain(self._track, ghosts=True, antialias=False)
        for _ in range(num_envs):
            self._terrain.add()
        self._make_cameras()
        self._make_episodes()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes; ``options={"place": metres}``: one place for all, or an array of N."""
        super().reset(seed=seed)
        place = (options or {}).get("place")
        places = None if place is None else np.broadcast_to(np.asarray(place, np.float64), self.num_envs)
        self._begin(np.arange(self.num_envs), places)
        return self._observation(), self._infos()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a decision of every car; see gymnasium.vector.VectorEnv.

        Rewards are float64 [N]. Raises ValueError for actions of another shape or a NaN.
        """
        actions = tasks.clipped(actions, (self.num_envs, ACTION_SIZE))
        crashes = self._races[:, kernels.CRASHES].copy()
        self._drive(actions)
        self._look(np.flatnonzero(~self._returned))
        self._remember(actions)
        ends = self._ends()
        paid = self._settings.reward
        rewards = paid.per_metre * self._gained + paid.crash * (self._races[:, kernels.CRASHES] - crashes)
        rewards[ends == End.STUCK] += paid.stuck
        terminated = (ends == End.RETURNED) | (ends == End.STUCK)
        ended = np.flatnonzero(ends != None)  # noqa: E711 elementwise
        truncated = np.zeros(self.num_envs, np.bool_)
        truncated[ended] = ~terminated[ended]
        final = self._final(ends, ended) if len(ended) else {}
        if len(ended):
            self._begin(ended)
        return self._observation(), rewards, terminated, truncated, self._infos() | final

    def render(self) -> tuple[np.ndarray, ...] | None:
        """What each car's camera saw last: uint8 [80, 128, 3], red, green, blue; None without a mode."""
        return tuple(self._pictures[..., ::-1].copy()) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads; called by ``close``."""
        self._threads.shutdown()

    def _make_cameras(self) -> None:
        count, simulator = self.num_envs, self._settings.simulator
        width = self._settings.cars.image_width
        height = width * 80 // 128
        camera = Camera(
            width, self._terrain.ground, antialias=simulator.antialias, obstacles=self._terrain.boxes
        )
        self._view = (*camera.view, *camera.box_view)
        self._pictures = self._samples = np.zeros((count, height, width, 3), np.uint8)
        if simulator.antialias:
            self._samples = np.zeros((count, 2 * height, 2 * width, 3), np.uint8)
        self._walls = np.empty((count, DIRECTIONS))
        self._masses = np.zeros((count, *color_mass.SHAPE), np.float32)

    def _make_episodes(self) -> None:
        count, observation = self.num_envs, self._settings.observation
        self._races = np.zeros((count, kernels.RACE_SIZE), np.int64)
        self._distances = np.zeros(count)
        self._places = np.zeros(count)
        self._gained = np.zeros(count)
        self._frames = np.zeros(count, np.int64)
        self._returned = np.zeros(count, np.bool_)
        self._metres = np.zeros(count)
        self._mark_metres = np.zeros(count)
        self._mark_time = np.zeros(count)
        seen = observation.history * MASS_SIZE
        stack = np.zeros((count, seen + observation.action_history * ACTION_SIZE), np.float32)
        self._stack, self._seen, self._done = stack, stack[:, :seen], stack[:, seen:]

    def _begin(self, rows: np.ndarray, places: np.ndarray | None = None) -> None:
        """Put the cars in these rows somewhere, at rest, and begin their episodes."""
        if places is None:
            places = self.np_random.uniform(0.0, self._track.length, len(rows))
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            self._distances[row] = self._terrain.place(row, place % self._track.length)
        self._places[rows] = self._distances[rows]
        self._races[rows] = 0
        self._races[rows, kernels.SEGMENT] = -1
        self._frames[rows] = 0
        self._metres[rows] = self._mark_metres[rows] = self._mark_time[rows] = 0.0
        self._look(rows)
        self._seen[rows] = np.tile(
            self._masses[rows].reshape(len(rows), -1), self._settings.observation.history
        )
        self._done[rows] = 0.0

    def _drive(self, actions: np.ndarray) -> None:
        """Hold the actions' commands, as ``robo.driving.policies.to_command`` makes them, for a decision."""
        limits = self._settings.action
        controls = actions.astype(np.float64)
        share = (controls[:, 0] + 1.0) / 2.0
        controls[:, 0] = limits.throttle_min + share * (limits.throttle_max - limits.throttle_min)
        controls[:, 1] *= limits.turn_max
        self._share(
            kernels.drive_all,
            np.arange(self.num_envs),
            self._terrain.traffic.states,
            self._terrain.traffic.memories,
            self._races,
            self._distances,
            self._frames,
            self._places,
            self._gained,
            self._returned,
            controls,
            limits.repeat,
            self._terrain.line,
            self._track.length,
            self._settings.simulator.segments,
            self._terrain.boxes,
        )

    def _look(self, rows: np.ndarray) -> None:
        """Take in what the cars in these rows see."""
        states = self._terrain.traffic.states
        kernels.look_all(rows, states, self._samples, self._pictures, self._masses, self._walls, *self._view)

    def _share(self, kernel: Callable[..., None], rows: np.ndarray, *arguments: Any) -> None:
        """Call a kernel for these rows, shared among the cores."""
        parts = min(len(rows) // LEAST_SHARE, SHARES * self._cores)
        if self._cores == 1 or parts < 2:
            kernel(rows, *arguments)
            return
        calls = [self._threads.submit(kernel, part, *arguments) for part in np.array_split(rows, parts)]
        for call in calls:
            call.result()

    def _remember(self, actions: np.ndarray) -> None:
        """Stack what was seen and done as ``robo.driving.driver.Driver`` does."""
        self._seen[:, :-MASS_SIZE] = self._seen[:, MASS_SIZE:]
        self._seen[:, -MASS_SIZE:] = self._masses.reshape(self.num_envs, -1)
        if self._done.shape[1]:
            self._done[:, :-ACTION_SIZE] = self._done[:, ACTION_SIZE:]
            self._done[:, -ACTION_SIZE:] = actions

    def _ends(self) -> np.ndarray:
        """Why each episode ended, object [N] of End or None, as ``robo.driving.episodes`` has it."""
        limits = self._settings.episode
        time = self._frames / FRAMES_PER_SECOND
        self._metres += self._gained
        moving = self._metres >= self._mark_metres + limits.stuck_metres
        self._mark_metres[moving] = self._metres[moving]
        self._mark_time[moving] = time[moving]
        ends = np.full(self.num_envs, None, object)
        # The last one that holds counts.
        ends[time > limits.max_seconds] = End.LIMIT
        ends[time - self._mark_time > limits.stuck_seconds] = End.STUCK
        ends[self._races[:, kernels.LAPS] >= limits.laps] = End.LAPS
        ends[self._returned] = End.RETURNED
        return ends

    def _observation(self) -> np.ndarray:
        return self._pictures[..., ::-1].copy() if self._camera_kind else self._stack.copy()

    def _infos(self) -> dict[str, Any]:
        states = self._terrain.traffic.states
        infos = {
            "speed": np.hypot(states[:, physics.VX], states[:, physics.VZ]),
            "distance": self._places.copy(),
            "crashes": self._races[:, kernels.CRASHES].copy(),
            "laps": self._races[:, kernels.LAPS].copy(),
            "time": self._frames / FRAMES_PER_SECOND,
        }
        return infos | {f"_{name}": np.ones(self.num_envs, np.bool_) for name in infos}

    def _final(self, ends: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
        """The last observations and infos of episodes that ended, as Gymnasium lays them out."""
        mask = np.zeros(self.num_envs, np.bool_)
        mask[ended] = True
        last, seen = np.full(self.num_envs, None, object), self._observation()
        why = np.full(self.num_envs, None, object)
        for row in ended:
            last[row], why[row] = seen[row], ends[row].value
        infos = self._infos()
        info = {name: mask if name.startswith("_") else value for name, value in infos.items()}
        info |= {"end": why, "_end": mask}
        return {"final_obs": last, "_final_obs": mask, "final_info": info, "_final_info": mask}
