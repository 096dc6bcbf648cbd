"""Processes of a run that are killed, that hang, and that die again and again."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from processes import trace
from processes.trace import Stage
from robo import log
from tests.faults.conftest import DRIVING, LEARNING, Start, allowed, sets
from tests.running import Run

KILLS = 20
PAUSE_SECONDS = 0.1
BACK_SECONDS = 1.0
WATCHDOG_SECONDS = allowed(2.0)
NOTICED_SECONDS = 3.0

TWO_OF_EACH = sets(
    "simulator.clock=realtime",
    "cars.explorers=4",
    "cars.explorer_processes=2",
    "cars.evaluators=1",
    "cars.groups=2",
)
"""explorer0 and the evaluator are in group 0, explorer1 in group 1."""
NEVER_FATAL = sets("supervision.max_restarts=1000", "supervision.backoff_max_seconds=0.2")


def events(run: Run, process: str) -> list[dict[str, Any]]:
    """What a process has logged."""
    lines = (run.folder / "logs" / f"{process}.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def seconds_back(run: Run, name: str) -> list[float]:
    """Of each time that a process ended: how long from the end of its back-off until it worked again."""
    seconds, due = [], None
    for entry in events(run, "supervisor"):
        if entry.get("child") != name:
            continue
        if entry["event"] == "ended":
            due = log.unix_time(entry) + entry["again_in_s"]
        elif entry["event"] == "ready" and due is not None:
            seconds.append(log.unix_time(entry) - due)
            due = None
    return seconds


def longest_pause(run: Run, began: float, cars: set[int]) -> float:
    """The longest time between two steps of one of these cars, from a monotonic second on."""
    rows = trace.read(run.folder / "trace")
    rows = rows[(rows[:, 0] == Stage.COMMANDED) & (rows[:, 3] >= began)]
    return max(float(np.diff(rows[rows[:, 1] == car][:, 3]).max()) for car in cars)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("car_reader0", {2, 3}),
        ("frame_processor0", {2, 3}),
        ("spectator_reader", {0, 1, 2, 3, 4}),
        ("explorer0", {2, 3, 4}),
        ("evaluator", {0, 1, 2, 3}),
    ],
)
def test_a_killed_process_is_soon_back_and_other_cars_never_pause(
    start: Start, measured: Callable[..., None], name: str, others: set[int]
) -> None:
    run = start(*LEARNING, *TWO_OF_EACH, *NEVER_FATAL, *sets("supervision.trace=true"))
    run.wait_until_learning()
    run.wait_until_driving()
    began = time.monotonic()
    for _ in range(KILLS):
        run.wait_for_another(name, run.kill(name))
        run.wait_until_driving(5)
    run.wait_until_driving(100)
    assert run.health()["learner"].restarts == 0
    assert run.interrupt() < allowed(5.0)
    assert run.left_behind() == []
    back = seconds_back(run, name)
    pause = longest_pause(run, began, others)
    measured(kills=len(back), back_max_s=round(max(back), 3), pause_max_ms=round(1000 * pause, 1))
    assert len(back) == KILLS
    assert max(back) < allowed(BACK_SECONDS)
    assert pause < PAUSE_SECONDS


@pytest.mark.parametrize(
    "name",
    [
        "explorer0",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("car_reader0", "frame_processor0", "spectator_reader", "evaluator", "simulator")
        ),
    ],
)
def test_a_process_that_hangs_is_ended_and_comes_back(
    start: Start, measured: Callable[..., None], name: str
) -> None:
    run = start(*DRIVING, *TWO_OF_EACH, *sets(f"supervision.heartbeat_seconds={WATCHDOG_SECONDS}"))
    run.wait_until_driving()
    stopped = time.time()
    pid = run.kill(name, signal.SIGSTOP)
    run.wait_for_another(name, pid, within=60.0)
    run.wait_until_driving()
    killed = [entry for entry in events(run, "supervisor") if entry["event"] == "killed"]
    after = log.unix_time(killed[0]) - stopped
    measured(limit_s=WATCHDOG_SECONDS, ended_after_s=round(after, 2))
    assert [entry["child"] for entry in killed] == [name]
    assert after < WATCHDOG_SECONDS + allowed(NOTICED_SECONDS)
    assert run.interrupt() < allowed(5.0)
    assert run.left_behind() == []


def test_a_crash_loop_ends_the_run_and_the_cause_is_said_last(start: Start) -> None:
    run = start(*DRIVING, *sets("supervision.backoff_max_seconds=0.2"))
    run.wait_until_driving()
    killed: set[int] = set()

    def kill() -> None:
        for process in run.seen - {psutil.Process(run.process.pid)}:
            words = _words(process)
            if words and words[0].endswith(" explorer0") and process.pid not in killed:
                killed.add(process.pid)
                process.kill()

    began = time.monotonic()
    while run.process.poll() is None:
        assert time.monotonic() - began < 60.0, run.output
        run.look()
        kill()
        time.sleep(0.02)
    assert run.process.returncode == 1
    assert len(killed) == 5
    assert run.output.splitlines()[-1].startswith("error: explorer0 ended 5 times in 30 s; the last time it ")
    assert run.left_behind() == []


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_process_that_all_are_forked_from_is_replaced(
    start: Start, measured: Callable[..., None]
) -> None:
    run = start(*DRIVING)
    run.wait_until_driving()
    before = {name: each.pid for name, each in run.health().items()}
    origin = next(each for each in run.seen if "forkserver" in " ".join(_words(each)))
    origin.kill()
    run.wait(lambda: not run.cache.answers(), what="gone with it: Redis")
    back = run.wait(lambda: len(run.health()) == len(before) and all(map(run.pid, before)), what="back")
    run.wait_until_driving()
    measured(back_after_s=round(back, 2))
    assert all(each.restarts == 1 for each in run.health().values())
    assert run.interrupt() < allowed(5.0)
    assert run.left_behind() == []


@pytest.mark.slow
def test_deaths_that_are_far_apart_are_no_crash_loop(start: Start) -> None:
    run = start(*DRIVING, *sets("supervision.max_restarts=3", "supervision.max_restarts_seconds=1.0"))
    for _ in range(5):
        run.wait_for_another("explorer0", run.kill("explorer0"))
        run.wait_until_driving(20)
    assert run.health()["explorer0"].restarts == 5
    assert run.interrupt() < allowed(5.0)
