"""What a decision costs, in counts that do not depend on the machine's speed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from bench.measure import Window
from processes import trace
from processes.trace import Stage
from robo.cache import Cache, Lost
from robo.config import ROOT

CARS, DRIVERS, REPEAT = 4, 2, 3
PATIENCE = 60.0
SECONDS = 4.0
SLACK = 1.15
"""Figures of a window are read one after another while the chain goes on."""
SETTINGS = {
    "redis.url": "redis://127.0.0.1:1/0",  # nobody is there: the run starts its own
    "simulator.car_port": 0,
    "simulator.spectator_port": 0,
    "monitor.enabled": False,
    "cars.explorers": CARS,
    "cars.explorer_processes": DRIVERS,
    "cars.evaluators": 0,
    "supervision.trace": True,
}


class Costs:
    """What a run of the hand-written policy did in a few seconds of lockstep."""

    def __init__(self, folder: Path, stop: Callable[[], None]) -> None:
        cache = Cache(f"unix://{folder / 'redis.sock'}", folder.name)
        server = redis.Redis.from_url(f"unix://{folder / 'redis.sock'}")
        health = until(lambda: running(cache), "the chain")
        until(lambda: decisions(cache) > 100, "the cars")
        window, before, driven = Window(health), calls(server), decisions(cache)
        time.sleep(SECONDS)
        window.end()
        after = calls(server)
        self.decisions = decisions(cache) - driven
        self.redis_calls = {name: after[name] - before.get(name, 0) for name in after}
        self.waits = {name: round(waits * window.seconds) for name, (waits, _) in window.switches().items()}
        stop()
        rows = trace.read(folder / "trace")
        self.reached = {stage: int((rows[:, 0] == stage).sum()) for stage in Stage}
        self.numbers = rows[rows[:, 0] == Stage.RECEIVED, 2]


def running(cache: Cache) -> dict[str, int] | None:
    try:
        health = cache.processes()
    except Lost:
        return None
    states = {process.state for process in health.values()}
    return {name: process.pid for name, process in health.items()} if states == {"running"} else None


def decisions(cache: Cache) -> int:
    return sum(car.decisions for car in cache.telemetry().values())


def calls(server: redis.Redis) -> dict[str, int]:
    return {name.removeprefix("cmdstat_"): s["calls"] for name, s in server.info("commandstats").items()}


def until(condition: Callable[[], object], what: str) -> object:
    limit = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < limit, f"{what} did not start"
        time.sleep(0.05)
    return found


@pytest.fixture(
    scope="module", params=[True, False], ids=["frames spared", "as the real simulator sends them"]
)
def costs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Costs]:
    runs = tmp_path_factory.mktemp("costs")
    command = [sys.executable, "-m", "scripts.debug_policy", "--runs", str(runs), "--run", "costs"]
    settings = {**SETTINGS, "simulator.spare_frames": request.param}
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def stop() -> None:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0

    try:
        made = Costs(runs / "costs", stop)
        made.spared = request.param
        yield made
    finally:
        process.kill()
        process.wait()


def test_only_frames_that_want_a_decision_are_copied_and_decoded(costs: Costs) -> None:
    wanted = int((costs.numbers % REPEAT == 0).sum())
    assert wanted > 1000
    assert costs.reached[Stage.TAKEN] == pytest.approx(wanted, abs=CARS)
    assert costs.reached[Stage.PROCESSED] == costs.reached[Stage.TAKEN]
    assert costs.reached[Stage.PASSED] == len(costs.numbers) - wanted
    if costs.spared:
        assert costs.reached[Stage.PASSED] <= CARS  # until the first picture tells that frames are spared


def test_every_decision_is_sent_once(costs: Costs) -> None:
    assert costs.reached[Stage.DECIDED] == pytest.approx(costs.reached[Stage.TAKEN], abs=2 * CARS)
    assert costs.reached[Stage.COMMANDED] == pytest.approx(costs.reached[Stage.DECIDED], abs=2 * CARS)


def test_redis_is_asked_a_few_times_a_second_however_many_frames_there_are(costs: Costs) -> None:
    # Car states 20 times a second; telemetry, pictures, laps and health a few times.
    assert sum(costs.redis_calls.values()) < 120 * SECONDS


def test_nobody_wakes_more_often_than_there_is_news(costs: Costs) -> None:
    ticks = costs.decisions / CARS
    frames = CARS * (1 if costs.spared else REPEAT)
    idle = 20 * SECONDS
    assert costs.waits["car_reader0"] < SLACK * (frames + CARS) * ticks + idle
    assert costs.waits["frame_processor0"] < SLACK * CARS * ticks + idle
    # A driver waits for observations, and for car states that come after them.
    assert costs.waits["explorer0"] < SLACK * (CARS / DRIVERS) * 2 * ticks + idle
    assert costs.waits["spectator_reader"] < SLACK * REPEAT * ticks + 4 * idle


def test_the_trace_has_every_frame_once(costs: Costs) -> None:
    assert len(np.unique(costs.numbers)) * CARS == pytest.approx(len(costs.numbers), rel=0.02)
