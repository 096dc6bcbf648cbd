"""Metrics reach both the lines and TensorBoard, and go on after the disk was full."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from robo.learning import metrics
from robo.learning.metrics import Metrics
from tests.small_disk import fill, small_disk


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


def steps_of_lines(run_folder: Path) -> list[int]:
    return [line["env_steps"] for line in metrics.read(run_folder)]


def steps_drawn(run_folder: Path) -> list[int]:
    return [step for step, _ in scalars(run_folder)["collection/return"]]


def write(written: Metrics, steps: range) -> list[int]:
    """Write a point a step. Those that could be written."""
    done = []
    for step in steps:
        with contextlib.suppress(OSError):
            written.write("collection", step, 0, {"return": 1.0, "laps": 2.0})
            done.append(step)
    return done


def test_what_can_not_be_a_line_of_a_run_is_passed_over(tmp_path: Path) -> None:
    good = b'{"env_steps": 1}\n'
    (tmp_path / metrics.FILE).write_bytes(
        good + b'{"env\n' + b"3\n" + b"\xff\xfe\n" + bytes(9) + b"\n" + good
    )
    assert steps_of_lines(tmp_path) == [1, 1]


def test_a_full_disk_costs_the_points_that_do_not_fit(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, Metrics(disk) as written:
        before = write(written, range(10))
        for round_ in range(1, 4):
            ballast = fill(disk)
            with pytest.raises(OSError, match="No space left") as told:
                for step in range(1000 * round_, 1000 * round_ + 200):
                    written.write("collection", step, 0, {"return": 1.0, "laps": 2.0})
                    before.append(step)
            assert told.value.errno == errno.ENOSPC
            before += write(written, range(1000 * round_ + 200, 1000 * round_ + 220))
            ballast.unlink()
            after = range(1000 * round_ + 500, 1000 * round_ + 510)
            assert write(written, after) == list(after)
            before += after
        assert steps_drawn(disk) == before
        # A line may have fitted where the other file's record did not.
        assert set(before) <= set(steps_of_lines(disk))
        for line in (disk / metrics.FILE).read_text().splitlines():
            json.loads(line)
        assert len(list((disk / metrics.TENSORBOARD).iterdir())) == 1


def test_metrics_may_begin_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = fill(disk)
        with Metrics(disk) as written:
            assert write(written, range(3)) == []
            ballast.unlink()
            assert write(written, range(3, 6)) == [3, 4, 5]
        assert steps_of_lines(disk) == steps_drawn(disk) == [3, 4, 5]


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Within it no file can grow beyond so many bytes: a write that would is cut short; the next fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_line_cut_short_is_cut_off_before_the_next(tmp_path: Path) -> None:
    with Metrics(tmp_path) as written:
        assert write(written, range(2)) == [0, 1]
        whole = (tmp_path / metrics.FILE).read_bytes()
        with files_of_at_most(len(whole) + 30):
            assert write(written, range(2, 4)) == []
            torn = (tmp_path / metrics.FILE).read_bytes()
            assert torn[: len(whole)] == whole
            assert len(torn) == len(whole) + 30
            assert steps_of_lines(tmp_path) == [0, 1]
        assert write(written, range(4, 6)) == [4, 5]
        assert steps_of_lines(tmp_path) == steps_drawn(tmp_path) == [0, 1, 4, 5]
    assert (tmp_path / metrics.FILE).read_bytes().count(b"\n") == 4


def test_tensorboard_reads_on_where_a_record_was_cut_short(tmp_path: Path) -> None:
    """Also one that looked while half a record was there."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Metrics(tmp_path) as written:
        write(written, range(2))
        (path,) = (tmp_path / metrics.TENSORBOARD).iterdir()
        written._lines.append = lambda _: None
        with files_of_at_most(path.stat().st_size + 30):
            assert write(written, range(2, 4)) == []
        watching = EventAccumulator(str(tmp_path / metrics.TENSORBOARD), size_guidance={"tensors": 0})
        watching.Reload()
        assert [event.step for event in watching.Tensors("collection/return")] == [0, 1]
        write(written, range(4, 6))
        watching.Reload()
        assert [event.step for event in watching.Tensors("collection/return")] == [0, 1, 4, 5]


def test_a_folder_that_is_not_there_is_told_and_used_once_it_is(tmp_path: Path) -> None:
    run_folder = tmp_path / "runs" / "one"
    with Metrics(run_folder) as written:
        with pytest.raises(FileNotFoundError):
            written.write("collection", 1, 0, {"return": 1.0})
        run_folder.mkdir(parents=True)
        written.write("collection", 2, 0, {"return": 1.0})
    assert steps_of_lines(run_folder) == steps_drawn(run_folder) == [2]


def test_files_removed_to_make_room_are_made_anew(tmp_path: Path) -> None:
    with Metrics(tmp_path) as written:
        write(written, range(2))
        shutil.rmtree(tmp_path / metrics.TENSORBOARD)
        (tmp_path / metrics.FILE).unlink()
        write(written, range(2, 4))
        assert steps_of_lines(tmp_path) == steps_drawn(tmp_path) == [2, 3]


def test_closing_leaves_no_half_record(tmp_path: Path) -> None:
    written = Metrics(tmp_path)
    write(written, range(2))
    paths = [tmp_path / metrics.FILE, *(tmp_path / metrics.TENSORBOARD).iterdir()]
    for path in paths:
        whole = path.read_bytes()
        with files_of_at_most(len(whole) + 30):
            assert write(written, range(2, 4)) == []
            written.close()
        assert path.read_bytes() == whole
        written._lines.append = lambda _: None
    assert write(written, range(4, 6)) == [4, 5]
    written.close()
    assert steps_drawn(tmp_path) == [0, 1, 4, 5]
