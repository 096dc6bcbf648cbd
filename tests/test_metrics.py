"""Metrics reach both the lines and TensorBoard."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from robo.learning import metrics
from robo.learning.metrics import Metrics


def scalars(run_folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads back, by tag: (step, value)."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_folder / metrics.TENSORBOARD), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def test_a_point_is_in_both(tmp_path: Path) -> None:
    times = iter([10.0, 11.5])
    with Metrics(tmp_path, now=lambda: next(times)) as written:
        written.write("training", 400, 100, {"critic_loss": np.float32(0.5), "replay_size": 400})
        written.write("evaluation", 800, 200, {"return": 12.0})
    assert metrics.read(tmp_path) == [
        {
            "time": 10.0,
            "kind": "training",
            "env_steps": 400,
            "train_steps": 100,
            "values": {"critic_loss": 0.5, "replay_size": 400.0},
        },
        {
            "time": 11.5,
            "kind": "evaluation",
            "env_steps": 800,
            "train_steps": 200,
            "values": {"return": 12.0},
        },
    ]
    assert scalars(tmp_path) == {
        "training/critic_loss": [(100, 0.5)],
        "training/replay_size": [(100, 400.0)],
        "evaluation/return": [(800, 12.0)],
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null(tmp_path: Path, value: float) -> None:
    with Metrics(tmp_path) as written:
        written.write("training", 1, 1, {"critic_loss": value, "actor_loss": 1.0})
    text = (tmp_path / metrics.FILE).read_text()
    assert json.loads(text, parse_constant=pytest.fail)["values"] == {"critic_loss": None, "actor_loss": 1.0}
    assert list(scalars(tmp_path)) == ["training/actor_loss"]


def test_a_line_can_be_read_at_once(tmp_path: Path) -> None:
    with Metrics(tmp_path) as written:
        for step in range(3):
            written.write("collection", step, 0, {"return": step})
            assert len(metrics.read(tmp_path)) == step + 1


def test_going_on_keeps_earlier_lines_and_passes_over_a_torn_one(tmp_path: Path) -> None:
    with Metrics(tmp_path) as written:
        written.write("collection", 1, 0, {"return": 1.0})
    with (tmp_path / metrics.FILE).open("a") as file:
        file.write('{"time": 3.0, "kind": "coll')
    with Metrics(tmp_path) as written:
        written.write("collection", 2, 0, {"return": 2.0})
    assert [line["env_steps"] for line in metrics.read(tmp_path)] == [1, 2]
