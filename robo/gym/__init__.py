"""The embedded simulator as Gymnasium environments, in this process, without the ones that train.

Importing this registers ``robo/Robotini-v0`` for ``gymnasium.make`` and ``gymnasium.make_vec``.
"""

from __future__ import annotations

from collections.abc import Callable

import gymnasium

from robo.config import Config
from robo.gym.env import RobotiniEnv
from robo.gym.vector import VectorRobotini

__all__ = ["RobotiniEnv", "VectorRobotini", "benchmark"]

gymnasium.register(
    id="robo/Robotini-v0",
    entry_point="robo.gym.env:RobotiniEnv",
    vector_entry_point="robo.gym.vector:VectorRobotini",
)


def benchmark(num_envs: int = 64, settings: Config | None = None) -> Callable[[], int]:
    """A function that steps ``num_envs`` cars once, driven at random, and returns how many they are."""
    env = VectorRobotini(num_envs, settings=settings)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(100)]
    count = 0

    def step() -> int:
        nonlocal count
        env.step(actions[count % len(actions)])
        count += 1
        return num_envs

    return step
