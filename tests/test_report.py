"""Learning curves: the table that a run leaves, and pictures of one run and of several."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from robo import config
from robo.errors import UserError
from robo.learning import report
from robo.learning.report import CURVES_CSV, CURVES_PNG, Curve, RunCurves


def run(folder: Path, name: str, *sets: str, scale: float = 1.0) -> Path:
    """A run folder with metrics of a minute."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "config.yml").write_text(config.dump(config.load(sets=sets)))
    lines = []
    for second in range(0, 60, 5):
        evaluation = {"clean_lap_rate": min(1.0, scale * second / 50), "return": scale * second}
        if second > 20:
            evaluation |= {
                "lap_time": 10.0 - scale,
                "lap_time_min": 9.0 - scale,
                "lap_time_max": 11.0 - scale,
            }
        kinds = {
            "evaluation": evaluation,
            "collection": {"return": 0.5 * second, "env_steps_per_s": 500.0},
            "training": {"critic_loss": 0.1 + 1 / (1 + second), "actor_loss": None},
        }
        for kind, values in kinds.items():
            line = {"time": 1000.0 + second, "kind": kind, "env_steps": 100 * second, "train_steps": second}
            lines.append(json.dumps(line | {"values": values}))
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return path


def test_a_run_leaves_a_table_and_a_picture(tmp_path: Path) -> None:
    path = run(tmp_path, "one")
    report.write(path)
    with (path / CURVES_CSV).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert list(rows[0])[:3] == ["seconds", "env_steps", "train_steps"]
    assert (rows[-1]["seconds"], rows[-1]["env_steps"], rows[-1]["lap_time_min"]) == ("55.0", "5500", "8.0")
    assert rows[0]["lap_time"] == ""
    picture = cv2.imread(str(path / CURVES_PNG))
    assert picture.shape[1] > 1000
    assert (picture != 255).mean() > 0.01


def test_several_runs_are_drawn_side_by_side(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"seed{k}", f"seed={k}", scale=1.0 + k) for k in range(2)]
    runs.append(run(tmp_path, "other", "agent.type=td3"))
    report.draw([RunCurves(path) for path in runs], tmp_path / "all.png")
    report.draw([RunCurves(path) for path in runs[:1]], tmp_path / "one.png")
    pictures = [cv2.imread(str(tmp_path / name)) for name in ("all.png", "one.png")]
    assert not np.array_equal(*pictures)


def test_the_mean_is_over_what_all_runs_know() -> None:
    def curve(seconds: list[float], values: list[float]) -> Curve:
        return Curve(*(np.array(column) for column in (seconds, values, values, values)))

    both = report.mean([curve([0, 10, 20], [0, 10, 20]), curve([10, 30], [20, 40])])
    assert (both.seconds[0], both.seconds[-1]) == (10, 20)
    np.testing.assert_allclose(both.value[[0, -1]], [15, 25])
    np.testing.assert_allclose(both.low[[0, -1]], [10, 20])
    np.testing.assert_allclose(both.high[[0, -1]], [20, 30])


def test_runs_that_differ_in_their_seed_alone_are_one_group(tmp_path: Path) -> None:
    settings = [
        RunCurves(run(tmp_path, name, *sets)).settings
        for name, sets in (
            ("a", ["seed=1", "simulator.car_port=3", "monitor.port=3"]),
            ("b", ["seed=2"]),
            ("c", ["agent.discount=0.9"]),
        )
    ]
    assert report._key(settings[0]) == report._key(settings[1]) != report._key(settings[2])


def test_a_run_that_is_none_or_measured_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run with metrics"):
        RunCurves(tmp_path / "none")
    path = run(tmp_path, "empty")
    (path / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="nothing measured yet"):
        RunCurves(path)
