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
from robo.learning.folders import recover

EXPORT_SECONDS = 20.0
"""At least so long between two exports, each of which keeps the learner from learning for a second."""


class BestPolicy:
    """Keeps the best policy in ``folder``. An earlier session's is only replaced by a better one."""

    def __init__(self, folder: Path, agent: Agent, monotonic: Callable[[], float] = time.monotonic) -> None:
        _recover(folder)
        self._folder = folder
        self._agent = agent
        self._monotonic = monotonic
        self._score = _read_score(folder)
        self._pending: tuple[Array, dict[str, Any]] | None = None
        self._tried_at = -math.inf

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

    @property
    def due(self) -> bool:
        """Whether a best policy waits to be exported, and the last try was long enough ago."""
        return self._pending is not None and self._monotonic() - self._tried_at >= EXPORT_SECONDS

    def export(self, *, now: bool = False) -> None:
        """Export the best policy, if that is due; with ``now`` also soon after the last export.

        Raises OSError when it can't be written. The one exported before is then still there, and this one, or
        a better one, is due again later.
        """
        if self._pending is None or not (now or self.due):
            return
        weights, details = self._pending
        self._tried_at = self._monotonic()
        export_policy(self._agent, self._folder, details, weights)
        self._pending = None
        log.get().info("policy exported", score=details["score"], train_step=details["train_step"])


def _recover(folder: Path) -> None:
    """Put back a policy that was being replaced when its session was killed."""
    try:
        recover(folder)
    except OSError as error:
        log.get().error("policies not tidied up", error=str(error))


def _read_score(folder: Path) -> tuple[float, float]:
    """The score of the policy that is there; below any other when there is none."""
    try:
        first, second = read_details(folder)["score"]
    except (ValueError, KeyError, TypeError):
        return (-1.0, 0.0)
    return (first, second)
