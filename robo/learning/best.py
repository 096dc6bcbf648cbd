"""The best policy of a run: the one whose evaluation scored highest, exported."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from robo import log
from robo.learning.agent import Agent
from robo.learning.details import read_details
from robo.learning.evaluation import Point, score
from robo.learning.export import export_policy


class BestPolicy:
    """Keeps the best policy in ``folder``. An earlier session's is only replaced by a better one."""

    def __init__(self, folder: Path, agent: Agent) -> None:
        self._folder = folder
        self._agent = agent
        self._score = _read_score(folder)

    def offer(self, point: Point, figures: dict[str, float], details: dict[str, Any]) -> bool:
        """Export the policy that drove an evaluation, if it is better than all before. Whether it was.

        ``details`` (JSON values) go to policy.json beside its score, figures and train step.
        """
        its = score(figures)
        if point.weights is None or its <= self._score:
            return False
        details = {
            "score": its,
            "evaluation": figures,
            "train_step": point.version - 1,
            "exported_at": time.time(),
            **details,
        }
        try:
            export_policy(self._agent, self._folder, details, point.weights)
        except OSError as error:
            log.get().error("policy not exported", error=str(error))
            return False
        self._score = its
        log.get().info("policy exported", score=its, train_step=details["train_step"])
        return True


def _read_score(folder: Path) -> tuple[float, float]:
    """The score of the policy that is there; below any other when there is none."""
    try:
        first, second = read_details(folder)["score"]
    except (ValueError, KeyError, TypeError):
        return (-1.0, 0.0)
    return (first, second)
