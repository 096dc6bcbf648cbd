"""The agents by name."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from robo.config import Config
from robo.learning.agent import Agent, LossNotFiniteError
from robo.learning.ddpg import Ddpg, Td3
from robo.learning.rdpg import Rdpg
from robo.learning.sac import Sac

__all__ = ["Agent", "LossNotFiniteError", "build", "set_threads"]

BUILDERS: dict[str, Callable[[Config, int], Agent]] = {"ddpg": Ddpg, "td3": Td3, "sac": Sac, "rdpg": Rdpg}
"""Agent types by their name in the configuration."""


def set_threads(threads: int) -> None:
    """Let TensorFlow use so many threads.

    Call it before anything else of TensorFlow runs; later it raises RuntimeError.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def build(config: Config, observation_size: int) -> Agent:
    """The agent that ``config.agent`` describes, with fresh weights drawn from ``config.seed``.

    Seeds TensorFlow's, NumPy's and Python's global random states, which is where networks draw theirs from.
    """
    tf.keras.utils.set_random_seed(config.seed % 2**32)
    return BUILDERS[config.agent.type](config, observation_size)
