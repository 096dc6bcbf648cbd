"""The embedded simulator as Gymnasium environments, in this process, without the ones that train.

Importing this registers ``robo/Robotini-v0`` for ``gymnasium.make``.
"""

from __future__ import annotations

import gymnasium

from robo.gym.env import RobotiniEnv

__all__ = ["RobotiniEnv"]

gymnasium.register(id="robo/Robotini-v0", entry_point="robo.gym.env:RobotiniEnv")
