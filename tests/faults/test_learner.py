"""A learner that is killed over a save, finds the disk full, stalls, or learns nonsense."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processes.session import SUMMARY
from processes.vitals import Count
from robo.learning.checkpoints import Checkpoints
from tests.faults.conftest import LEARNING, Start, allowed, sets
from tests.running import Run
from tests.small_disk import fill, small_disk

KILLS = 20
STALL_SECONDS = 30.0
EXPLORERS, DECISIONS_A_SECOND = 6, 20
SOON = sets("replay.random_transitions=500")


def logged(run: Run, *events: str) -> list[dict[str, Any]]:
    """What the learners of a run have logged of these kinds, in order."""
    lines = (run.folder / "logs" / "learner.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] in events]


def saving(run: Run) -> bool:
    """Whether a checkpoint is being written."""
    try:
        return any(name.endswith(".tmp") for name in os.listdir(run.folder / "checkpoints"))
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kills", [1, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_a_learner_killed_over_a_save_goes_on_from_the_one_before(
    start: Start, measured: Callable[..., None], kills: int
) -> None:
    run = start(
        *LEARNING,
        *SOON,
        *sets("learner.checkpoint_seconds=1", "supervision.max_restarts=1000", "replay.capacity=50000"),
    )
    run.wait_until_learning()
    explorer = run.pid("explorer0")
    most_tmp = 0
    for kill in range(kills):
        run.wait(lambda: logged(run, "checkpoint", "resumed")[-1:], what="saved")
        saves = len(logged(run, "checkpoint"))
        run.wait(lambda before=saves: len(logged(run, "checkpoint")) > before, what="saved again")
        pid = run.pid("learner")
        deadline = time.monotonic() + 60.0
        while not saving(run):
            assert time.monotonic() < deadline, run.output
        os.kill(pid, signal.SIGKILL)
        run.wait_for_another("learner", pid)
        most_tmp = max(most_tmp, len(list(run.folder.glob("checkpoints/*.tmp"))))
        run.wait(lambda before=kill: len(logged(run, "resumed")) > before, what="resumed")
    run.wait_until_learning(50)
    assert run.pid("explorer0") == explorer
    assert run.interrupt() < allowed(5.0)
    assert run.left_behind() == []
    entries = logged(run, "checkpoint", "resumed")
    lost = [
        (before["env_steps"], entry["env_steps"])
        for before, entry in itertools.pairwise(entries)
        if entry["event"] == "resumed"
    ]
    measured(kills=len(lost), most_tmp_after_restart=most_tmp, exact=sum(a == b for a, b in lost))
    assert len(lost) == kills
    assert all(saved == resumed for saved, resumed in lost), lost
    assert not list(run.folder.glob("checkpoints/*.tmp"))
    assert len(list((run.folder / "checkpoints").iterdir())) <= 3


@pytest.mark.slow
def test_a_full_disk_stops_no_car_and_saving_goes_on_when_there_is_room(
    start: Start, measured: Callable[..., None], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "150m") as disk:
        run = start(*LEARNING, *SOON, *sets("learner.checkpoint_seconds=2"), runs_in=disk)
        run.wait_until_learning()
        run.wait(lambda: Checkpoints(run.folder / "checkpoints", keep=1).latest(), what="saved")
        ballast = fill(disk)
        run.wait(lambda: "No space left" in run.health()["learner"].complaint, what="said")
        complaint = run.health()["learner"].complaint
        run.wait_until_learning(300)
        run.wait_until_driving(300)
        pids = {name: each.pid for name, each in run.health().items()}
        saved = Checkpoints(run.folder / "checkpoints", keep=1).latest()
        ballast.unlink()
        again = run.wait(
            lambda: Checkpoints(run.folder / "checkpoints", keep=1).latest() not in (None, saved),
            what="saved again",
        )
        run.wait(lambda: not run.health()["learner"].complaint, what="in order again")
        failed = run.count(Count.WRITES)
        measured(complaint=complaint, writes_failed=failed, saved_again_after_s=round(again, 1))
        assert {name: each.pid for name, each in run.health().items()} == pids
        assert run.interrupt() < allowed(5.0)
        assert run.left_behind() == []
        assert run.process.returncode == 0


def test_losses_that_are_not_finite_end_a_run_after_three_rescues(
    start: Start, measured: Callable[..., None]
) -> None:
    run = start(*LEARNING, *SOON, *sets("agent.critic_learning_rate=1e30"))
    output = run.finish()
    assert run.process.returncode == 1, output
    assert "a loss was not finite at train step" in output.splitlines()[-1]
    assert "the weights were put back 3 times before" in output.splitlines()[-1]
    assert run.left_behind() == []
    batches = sorted((run.folder / "failures").iterdir())
    measured(batches=len(batches), rescues=len(logged(run, "weights put back")))
    assert len(batches) == 4
    with np.load(batches[0], allow_pickle=False) as batch:
        assert {"observation", "action", "reward"} <= set(batch)


@pytest.fixture(params=["realtime", "lockstep"])
def stalled(request: pytest.FixtureRequest, start: Start) -> Iterator[tuple[str, Run]]:
    """A run whose learner is about to stall; in lockstep with queues that are soon full."""
    queue = sets("replay.queue_chunks=8") if request.param == "lockstep" else ()
    run = start(
        "scripts.train",
        "configs/rdpg.yml",
        *SOON,
        *sets(f"simulator.clock={request.param}", "observation.action_history=1"),
        *queue,
    )
    run.wait_until_learning(8)
    yield request.param, run


@pytest.mark.slow
def test_a_stalled_learner_loses_no_step_and_no_sequence_has_a_gap(
    stalled: tuple[str, Run], measured: Callable[..., None]
) -> None:
    clock, run = stalled
    learner = run.pid("learner")
    before = sum(car.decisions for car in run.telemetry().values())
    os.kill(learner, signal.SIGSTOP)
    began = time.monotonic()
    run.wait(lambda: time.monotonic() - began > STALL_SECONDS)
    driven = sum(car.decisions for car in run.telemetry().values()) - before
    held_up = run.health()["explorer0"].complaint
    os.kill(learner, signal.SIGCONT)
    run.wait_until_learning(8)
    run.wait_until_driving(20)
    assert run.pid("learner") == learner
    assert run.health()["learner"].restarts == 0
    assert run.interrupt() < allowed(5.0)
    counts = json.loads((run.folder / SUMMARY).read_text())["counts"]
    saved = Checkpoints(run.folder / "checkpoints", keep=1)
    inserted = saved.latest_counters()["env_steps"]
    gaps, checked = _gaps(saved.latest() / "replay.npz")
    measured(driven_meanwhile=driven, counts=counts, inserted=inserted, gaps=gaps, checked=checked)
    assert counts[Count.STEPS.value] == inserted
    assert Count.EXPERIENCE.value not in counts
    assert gaps == 0 and checked > 500
    if clock == "realtime":
        assert driven > 0.8 * STALL_SECONDS * DECISIONS_A_SECOND * EXPLORERS
        assert Count.HELD.value not in counts and held_up == ""
    else:
        assert counts[Count.HELD.value] > 0
        assert "queue is full" in held_up


def _gaps(path: Path) -> tuple[int, int]:
    """Steps whose next observation does not know of their action, as if one were missing; and all steps."""
    with np.load(path, allow_pickle=False) as replay:
        counts = replay["weight"] > 0.0
        known = (replay["observation"][:, 1:, -2:] == replay["action"]).all(axis=2)
    return int((counts & ~known).sum()), int(counts.sum())
