"""The best policy is exported, not more often than the learner can afford, and again where it failed."""

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
        self.error: OSError | None = None
        monkeypatch.setattr(best_module, "export_policy", self._export)

    def _export(self, agent: Any, folder: Path, details: dict[str, Any], weights: np.ndarray) -> None:
        if self.error:
            raise self.error
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


def test_an_export_that_failed_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = Exports(monkeypatch)
    best = exports.best(tmp_path)
    assert not best.due
    offer(best, 1, 0.5)
    exports.error = OSError(28, "No space left on device")
    for _ in range(3):
        assert best.due
        with pytest.raises(OSError, match="No space left"):
            best.export()
        exports.now += EXPORT_SECONDS / 2
        assert not best.due
        best.export()
        exports.now += EXPORT_SECONDS / 2
    exports.error = None
    best.export()
    assert exports.scores == [0.5]
    exports.now += EXPORT_SECONDS
    assert not best.due


def test_a_better_one_takes_the_place_of_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = Exports(monkeypatch)
    best = exports.best(tmp_path)
    offer(best, 1, 0.5)
    exports.error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        best.export()
    exports.error = None
    offer(best, 2, 0.4)
    offer(best, 3, 0.6)
    best.export(now=True)
    best.export(now=True)
    assert exports.scores == [0.6]


def test_a_policy_that_was_being_replaced_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the session is killed between moving the old one aside and moving the new one in."""
    (tmp_path / "best.old").mkdir()
    (tmp_path / "best.old" / "policy.json").write_text('{"score": [0.9, -8.0]}')
    (tmp_path / "best.tmp").mkdir()
    exports = Exports(monkeypatch)
    best = exports.best(tmp_path / "best")
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    offer(best, 1, 0.8)
    best.export(now=True)
    assert exports.scores == []
