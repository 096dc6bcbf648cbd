"""The best policy is exported, but not more often than the learner can afford."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robo.driving.driver import EpisodeResult
from robo.driving.experience import Episode
from robo.learning import best as best_module
from robo.learning.best import EXPORT_SECONDS, BestPolicy
from robo.learning.details import read_details
from robo.learning.evaluation import Point


class Exports:
    """Stands in for TensorFlow: notes what would be exported, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scores: list[float] = []
        self.now = 100.0
        monkeypatch.setattr(best_module, "export_policy", self._export)

    def _export(self, agent: Any, folder: Path, details: dict[str, Any], weights: np.ndarray) -> None:
        assert weights[0] == details["train_step"] + 1
        self.scores.append(details["score"][0])

    def best(self, folder: Path) -> BestPolicy:
        return BestPolicy(folder, None, lambda: self.now)


def offer(best: BestPolicy, version: int, rate: float) -> None:
    result = EpisodeResult("e", "laps done", 1.0, 10, 1.0, 5.0, 0, 1, 1, (9.0,))
    point = Point(Episode("evaluator", result, version, np.array([version], np.float32)))
    best.offer(point, {"clean_laps": 1.0, "clean_lap_rate": rate, "lap_time": 9.0}, {"track": "t"})


def test_only_a_better_one_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = Exports(monkeypatch)
    best = exports.best(tmp_path)
    for version, rate in ((1, 0.5), (2, 0.4), (3, 0.8)):
        offer(best, version, rate)
        best.export(now=True)
    assert exports.scores == [0.5, 0.8]


def test_the_first_is_exported_at_once_and_later_ones_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = Exports(monkeypatch)
    best = exports.best(tmp_path)
    for version, rate in ((1, 0.5), (2, 0.6), (3, 0.7)):
        offer(best, version, rate)
        best.export()
    assert exports.scores == [0.5]
    exports.now += EXPORT_SECONDS
    best.export()
    best.export(now=True)
    assert exports.scores == [0.5, 0.7]


def test_what_waits_is_exported_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = Exports(monkeypatch)
    best = exports.best(tmp_path)
    for version, rate in ((1, 0.5), (2, 0.6)):
        offer(best, version, rate)
        best.export()
    best.export(now=True)
    assert exports.scores == [0.5, 0.6]


def test_an_earlier_sessions_is_only_replaced_by_a_better_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.json").write_text('{"score": [0.9, -8.0]}')
    exports = Exports(monkeypatch)
    best = exports.best(tmp_path)
    offer(best, 1, 0.9)
    best.export(now=True)
    offer(best, 2, 1.0)
    best.export(now=True)
    assert exports.scores == [1.0]
    assert read_details(tmp_path)["score"] == [0.9, -8.0]
