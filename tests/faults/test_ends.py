"""How a run ends: on signals within seconds, and when its supervisor is killed, at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from robo.learning.checkpoints import Checkpoints
from tests.faults.conftest import LEARNING, Start, allowed, sets
from tests.running import Run, is_dead

ONCE_SECONDS, TWICE_SECONDS, KILLED_SECONDS = 5.0, 1.0, 2.0


def learning(start: Start, *more: str) -> Run:
    """A run that learns, its children all seen."""
    run = start(*LEARNING, *sets("replay.random_transitions=500"), *more)
    run.wait_until_learning()
    run.look()
    return run


def gone_after(run: Run, within: float) -> float:
    """Seconds until none of the run's processes is there any more."""
    began = time.monotonic()
    while left := [process for process in run.seen if not is_dead(process)]:
        assert time.monotonic() - began < within, left
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_saves_and_ends_everything(
    start: Start, measured: Callable[..., None], number: signal.Signals
) -> None:
    run = learning(start)
    trained = run.progress().train_steps
    seconds = run.interrupt(number)
    gone_after(run, allowed(1.0))
    saved = Checkpoints(run.folder / "checkpoints", keep=1).latest_counters()
    measured(seconds=round(seconds, 2), train_steps_saved=saved and saved["train_steps"])
    assert run.process.returncode == 0, run.output
    assert seconds < allowed(ONCE_SECONDS)
    assert saved and saved["train_steps"] >= trained


@pytest.mark.parametrize("after", [0.0, 0.3, 0.8])
def test_a_ctrl_c_before_everything_runs_ends_it_quietly(start: Start, after: float) -> None:
    """In a terminal it reaches the whole process group, also whoever has just been started."""
    run = start(*LEARNING)
    run.wait(lambda: run.seen, what="something started")
    time.sleep(after)  # not to wait for anything: it may come at any moment
    run.look()
    run.process.send_signal(signal.SIGINT)
    for process in run.seen:
        with contextlib.suppress(psutil.NoSuchProcess):
            if os.getpgid(process.pid) == os.getpgid(run.process.pid):
                process.send_signal(signal.SIGINT)
    run.process.wait(allowed(ONCE_SECONDS))
    assert "Traceback" not in run.output
    assert run.process.returncode in (0, 130), run.output
    assert run.left_behind() == []


def test_a_second_signal_hurries_it(start: Start, measured: Callable[..., None]) -> None:
    run = learning(start)
    os.kill(run.pid("learner"), signal.SIGSTOP)  # else it would be gone before the second one
    threading.Timer(0.5, run.process.send_signal, [signal.SIGINT]).start()
    seconds = run.interrupt() - 0.5
    gone_after(run, allowed(1.0))
    measured(seconds_after_second=round(seconds, 2))
    assert seconds < allowed(TWICE_SECONDS)


def test_a_stop_meant_for_the_whole_group_still_saves(start: Start) -> None:
    """As a terminal's Ctrl-C, or a service manager that sends SIGTERM to every process at once."""
    run = learning(start)
    for process in (*run.seen, psutil.Process(run.process.pid)):
        process.terminate()
    run.process.wait(allowed(ONCE_SECONDS))
    gone_after(run, allowed(1.0))
    assert run.process.returncode == 0, run.output
    assert Checkpoints(run.folder / "checkpoints", keep=1).latest() is not None


def test_nobody_outlives_a_killed_supervisor_and_the_next_run_goes_on(
    start: Start, measured: Callable[..., None], tmp_path: Path
) -> None:
    run = learning(start, *sets("learner.checkpoint_seconds=1"))
    run.wait(lambda: Checkpoints(run.folder / "checkpoints", keep=1).latest(), what="saved")
    for name in ("learner", "explorer0"):  # whoever hangs has to go, too
        os.kill(run.pid(name), signal.SIGSTOP)
    run.look()
    run.process.kill()
    run.process.wait()
    seconds = gone_after(run, allowed(KILLED_SECONDS))
    saved = Checkpoints(run.folder / "checkpoints", keep=1).latest_counters()
    (run.folder / "checkpoints" / "step-000000001.tmp").mkdir()  # as of a save that was cut short
    measured(seconds=round(seconds, 2))
    assert seconds < allowed(KILLED_SECONDS)
    again = start(*LEARNING, *sets("replay.random_transitions=500"))
    again.wait_until_learning()
    assert again.progress().train_steps >= saved["train_steps"]
    assert not list(run.folder.glob("checkpoints/*.tmp"))
    assert again.interrupt() < allowed(ONCE_SECONDS)
    assert again.left_behind() == []
    assert not (run.folder / "redis.sock").exists()
