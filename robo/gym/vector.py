"""Many cars on one track as a Gymnasium vector environment: all of them step in one call."""

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
from robo.gym import races, tasks, views
from robo.gym.course import locate, pose
from robo.gym.flat import FlatFleet
from robo.gym.fleet import Fleet
from robo.gym.relief import ReliefFleet
from robo.simulation.randomisation import asked_for, draw
from robo.simulation.track import Track
from robo.simulation.world import FRAMES_PER_SECOND

LEAST_SHARE = 4
"""Cars that are worth a thread's while."""
SHARES = 2
"""Of the cars a core: more than one, so that a core that has other work to do holds nobody up for long."""


class VectorRobotini(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` times ``robo.gym.RobotiniEnv``, on all cores. No car sees or touches another.

    Actions: float32 [N, 2]. Observations, rewards and ends are those for one car: ``policy``, float32
    [N, 151], ``camera``, uint8 [N, 80, 128, 3], or ``state``, float32 [N, 18], which costs no picture unless
    there is a render mode.

    An episode that ends is followed by the next one in the same step: the observation and the infos are
    already the new one's, and ``infos["final_obs"][i]`` and ``infos["final_info"]`` are the old one's last.
    Infos: float64 or int64 [N] arrays ``speed``, ``distance``, ``crashes``, ``laps``, ``time``, and with
    ``final_info``, object [N] arrays ``end`` and ``lap_seconds``.
    """

    metadata = {  # noqa: RUF012 as Gymnasium declares it
        "render_modes": ["rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(  # noqa: PLR0917 as Gymnasium passes them
        self,
        num_envs: int = 1,
        observation: str = "policy",
        track: str | Path | Track | None = None,
        reward: str = "auto",
        render_mode: str | None = None,
        settings: Config | None = None,
    ) -> None:
        """See RobotiniEnv. Where the settings have cars vary, each does anew with every episode."""
        self._settings, self._track = tasks.load(settings, track, reward)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_action_space = tasks.action_space()
        self.single_observation_space = tasks.observation_space(observation, self._settings)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._cores = len(os.sched_getaffinity(0))
        self._threads = ThreadPoolExecutor(self._cores, "cars")
        kind = FlatFleet if self._track.flat else ReliefFleet
        self._fleet: Fleet = kind(num_envs, self._track, self._settings, sees=observation == "policy")
        self._varies = asked_for(self._settings.randomisation)
        self._cars = self._fleet.cars
        self._looks = observation != "state" or render_mode is not None
        self._view = views.build(observation, self._cars, self._settings)
        self._metres = np.zeros(num_envs)
        self._mark_metres = np.zeros(num_envs)
        self._mark_time = np.zeros(num_envs)
        self._laps: list[list[float]] = [[] for _ in range(num_envs)]
        """Seconds of each episode's clean laps."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes; ``options={"place": metres}``: one place for all, or an array of N."""
        super().reset(seed=seed)
        place = (options or {}).get("place")
        places = None if place is None else np.broadcast_to(np.asarray(place, np.float64), self.num_envs)
        self._begin(np.arange(self.num_envs), places)
        return self._view.observation(), self._infos()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a decision of every car; see gymnasium.vector.VectorEnv.

        Rewards are float64 [N]. Raises ValueError for actions of another shape or a NaN.
        """
        actions = tasks.clipped(actions, (self.num_envs, ACTION_SIZE))
        self._drive(actions)
        going = np.flatnonzero(~self._cars.races["returned"])
        self._look(going)
        self._view.see(going, actions)
        for row in np.flatnonzero(self._cars.races["clean_lap"]).tolist():
            self._laps[row].append(float(self._cars.races["clean_lap"][row]))
        ends = self._ends()
        rewards = self._rewards(ends)
        terminated = (ends == End.RETURNED) | (ends == End.STUCK)
        ended = np.flatnonzero(ends != None)  # noqa: E711 elementwise
        truncated = np.zeros(self.num_envs, np.bool_)
        truncated[ended] = ~terminated[ended]
        final = self._final(ends, ended) if len(ended) else {}
        if len(ended):
            self._begin(ended)
        return self._view.observation(), rewards, terminated, truncated, self._infos() | final

    def render(self) -> tuple[np.ndarray, ...] | None:
        """What each car's camera saw last: uint8 [80, 128, 3], red, green, blue; None without a mode."""
        return tuple(self._cars.pictures[..., ::-1].copy()) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads; called by ``close``."""
        self._threads.shutdown()

    def _begin(self, rows: np.ndarray, places: np.ndarray | None = None) -> None:
        """Put the cars in these rows somewhere, at rest, and begin their episodes."""
        if places is None:
            places = self.np_random.uniform(0.0, self._track.length, len(rows))
        cars, terrain = self._cars, self._fleet.terrain
        cars.races[rows] = races.FRESH
        for row, asked in zip(rows.tolist(), (places % self._track.length).tolist(), strict=True):
            place = terrain.place(row, asked)
            if self._varies:
                self._fleet.vary(row, draw(self._settings.randomisation, self.np_random))
            cars.poses[row] = pose(*terrain.pose(row, place))
            cars.races["distance"][row] = place
            cars.races["place"][row], _ = locate(cars.course, cars.poses[row], place)
            self._laps[row] = []
        self._metres[rows] = self._mark_metres[rows] = self._mark_time[rows] = 0.0
        self._look(rows)
        self._view.begin(rows)

    def _drive(self, actions: np.ndarray) -> None:
        """Hold the actions' commands, as ``robo.driving.policies.to_command`` makes them, for a decision."""
        limits = self._settings.action
        controls = actions.astype(np.float64)
        share = ((controls[:, 0] + 1.0) / 2.0) ** limits.throttle_curve
        controls[:, 0] = limits.throttle_min + share * (limits.throttle_max - limits.throttle_min)
        controls[:, 1] *= limits.turn_max
        self._share(self._fleet.drive, np.arange(self.num_envs), controls, limits.repeat)

    def _look(self, rows: np.ndarray) -> None:
        """Take in what the cars in these rows see."""
        if self._looks:
            self._share(self._fleet.look, rows)

    def _share(self, work: Callable[..., None], rows: np.ndarray, *arguments: Any) -> None:
        """Do this for these rows, shared among the cores."""
        parts = min(len(rows) // LEAST_SHARE, SHARES * self._cores)
        if self._cores == 1 or parts < 2:
            work(rows, *arguments)
            return
        calls = [self._threads.submit(work, part, *arguments) for part in np.array_split(rows, parts)]
        for call in calls:
            call.result()

    def _rewards(self, ends: np.ndarray) -> np.ndarray:
        """What the decision earned, float64 [N], as ``robo.driving.rewards`` has it."""
        cars, paid = self._cars, self._settings.reward
        if paid.kind == "segments":
            return races.pay_segments(cars.races, cars.poses)
        rewards = paid.per_metre * cars.races["gained"] + paid.crash * cars.races["new_crashes"]
        rewards[ends == End.STUCK] += paid.stuck
        return rewards

    def _ends(self) -> np.ndarray:
        """Why each episode ended, object [N] of End or None, as ``robo.driving.episodes`` has it."""
        limits = self._settings.episode
        cars = self._cars.races
        time = cars["frames"] / FRAMES_PER_SECOND
        self._metres += cars["gained"]
        moving = self._metres >= self._mark_metres + limits.stuck_metres
        self._mark_metres[moving] = self._metres[moving]
        self._mark_time[moving] = time[moving]
        ends = np.full(self.num_envs, None, object)
        # The last one that holds counts.
        ends[time > limits.max_seconds] = End.LIMIT
        ends[time - self._mark_time > limits.stuck_seconds] = End.STUCK
        ends[cars["laps"] >= limits.laps] = End.LAPS
        ends[cars["returned"]] = End.RETURNED
        return ends

    def _infos(self) -> dict[str, Any]:
        cars = self._cars.races
        infos = {
            "speed": cars["speed"].copy(),
            "distance": cars["place"].copy(),
            "crashes": cars["crashes"].copy(),
            "laps": cars["laps"].copy(),
            "time": cars["frames"] / FRAMES_PER_SECOND,
        }
        return infos | {f"_{name}": np.ones(self.num_envs, np.bool_) for name in infos}

    def _final(self, ends: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
        """The last observations and infos of episodes that ended, as Gymnasium lays them out."""
        mask = np.zeros(self.num_envs, np.bool_)
        mask[ended] = True
        seen = self._view.observation()
        last, why, laps = (np.full(self.num_envs, None, object) for _ in range(3))
        for row in ended:
            last[row], why[row], laps[row] = seen[row], ends[row].value, tuple(self._laps[row])
        infos = self._infos()
        info = {name: mask if name.startswith("_") else value for name, value in infos.items()}
        info |= {"end": why, "_end": mask, "lap_seconds": laps, "_lap_seconds": mask}
        return {"final_obs": last, "_final_obs": mask, "final_info": info, "_final_info": mask}
