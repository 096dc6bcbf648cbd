"""The best policy of a run: the one whose evaluation scored highest, exported."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robo import log
from robo.learning.agent import Agent, Array
from robo.learning.details import read_details
from robo.learning.evaluation import Point, score
from robo.learning.export import export_policy

EXPORT_SECONDS = 20.0
"""At least so long between two exports, each of which keeps the learner from learning for a second."""


class BestPolicy:
    """Keeps the best policy in ``folder``. An earlier session's is only replaced by a better one."""

    def __init__(self, folder: Path, agent: Agent, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._agent = agent
        self._monotonic = monotonic
        self._score = _read_score(folder)
        self._pending: tuple[Array, dict[str, Any]] | None = None
        self._exported_at = -math.inf

    def offer(self, point: Point, figures: dict[str, float], details: dict[str, Any]) -> None:
        """Take the policy that drove an evaluation for the best, if it is better than all before.

        ``details`` (JSON values) go to policy.json beside its score, figures and train step.
        """
        its = score(figures)
        if point.weights is None or its <= self._score:
            return
        self._score = its
        self._pending = (
            point.weights,
            {"score": its, "evaluation": figures, "train_step": point.version - 1, **details},
        )

    def export(self, *, now: bool = False) -> None:
        """Export the best policy, unless it is already; without ``now``, not soon after the last export."""
        if self._pending is None or (not now and self._monotonic() - self._exported_at < EXPORT_SECONDS):
            return
        weights, details = self._pending
        self._pending, self._exported_at = None, self._monotonic()
        try:
            export_policy(self._agent, self._folder, details, weights)
        except OSError as error:
            log.get().error("policy not exported", error=str(error))
            return
        log.get().info("policy exported", score=details["score"], train_step=details["train_step"])


def _read_score(folder: Path) -> tuple[float, float]:
    """The score of the policy that is there; below any other when there is none."""
    try:
        first, second = read_details(folder)["score"]
    except (ValueError, KeyError, TypeError):
        return (-1.0, 0.0)
    return (first, second)
