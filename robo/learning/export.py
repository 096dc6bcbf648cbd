"""Exported policies: a TF-Agents SavedModel with a description beside it."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from numpy.typing import NDArray

from robo.learning.agent import as_os_error
from robo.learning.agents import Agent
from robo.learning.details import DETAILS
from robo.learning.folders import whole_folder

Array = NDArray[np.float32]


def export_policy(
    agent: Agent, folder: Path, details: Mapping[str, Any], weights: Array | None = None
) -> None:
    """Write the greedy policy to ``folder``, in place of one that is there.

    ``weights`` (float32 [P], as ``Agent.actor_weights``) are the actor's unless given: the weights that were
    evaluated are older than the agent's. ``details`` (JSON values: observation, action range, score, step)
    go to policy.json. Raises OSError when it can't be written.
    """
    saver = agent.policy_saver(weights)
    with whole_folder(folder) as temporary:
        try:
            with _without_warnings():
                saver.save(str(temporary))
        except tf.errors.OpError as error:
            raise as_os_error(error, folder) from None
        (temporary / DETAILS).write_text(json.dumps(dict(details), indent=1), encoding="utf-8")


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Saving warns of argument names and types that every TF-Agents policy has."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
