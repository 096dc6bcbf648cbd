"""Measure what a run's page costs and how fresh it is: one JSON line a number of viewers.

A run with seven cars is followed while nobody watches and while so many viewers do, in turn. They are no
browsers but do what one does: they watch all cars' cameras over a WebSocket.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from bench.learning import Case, Running
from bench.measure import usage
from bench.survival import START_SECONDS
from bench.viewers import SETTLE_SECONDS
from robo import config
from robo.cache import Cache, Lost
from robo.errors import UserError
from robo.runs import CONFIG, RUNS, RunFolder
from scripts.command import guarded

NAME = "bench-monitor"
POLL_SECONDS = 0.1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure a run's page; one JSON line a number of viewers.")
    parser.add_argument("--viewers", default="1,10,50", metavar="N,N", help="(1,10,50)")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each measurement (20)")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="without and with, in turn (2)")
    parser.add_argument("--clock", choices=["realtime", "lockstep"], default="realtime", help="(realtime)")
    options = parser.parse_args()
    viewers = [int(number) if number.isdecimal() else 0 for number in options.viewers.split(",")]
    if min(viewers) < 1:
        raise UserError(f"--viewers {options.viewers}: numbers from 1 with commas between, such as 1,10")
    shutil.rmtree(RUNS / NAME, ignore_errors=True)
    # Learning goes on all the time, as it does while somebody watches.
    case = Case("ddpg.yml", 0.0, (f"simulator.clock={options.clock}", "monitor.enabled=true"))
    with Running(case, NAME, 0) as (process, _):
        cache = Cache(f"unix://{RunFolder(NAME).redis_socket}", NAME)
        _await_learning(process, cache)
        for number in viewers:
            print(json.dumps(measure(cache, number, options.seconds, options.rounds)), flush=True)
    shutil.rmtree(RUNS / NAME, ignore_errors=True)
    return 0


def _await_learning(process: subprocess.Popen[bytes], cache: Cache) -> None:
    """Wait until the run learns and its page is up. Raises UserError when it does not come to that."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            progress, monitor = cache.progress(), cache.processes().get("monitor")
        except Lost:
            progress = monitor = None
        if progress and progress.train_steps and monitor and monitor.state == "running":
            return
        time.sleep(POLL_SECONDS)
    raise UserError(f"{RUNS / NAME}: the run did not begin to learn in {START_SECONDS:g} s; see its logs")


def measure(cache: Cache, viewers: int, seconds: float, rounds: int) -> dict[str, Any]:
    """What so many viewers see and cost, beside the same run without them."""
    ages: list[float] = []
    rates: dict[bool, list[float]] = {True: [], False: []}
    cpu = []
    for _ in range(rounds):
        rates[False].append(_rate(cache, seconds))
        with _viewers(viewers, seconds) as watching:
            time.sleep(SETTLE_SECONDS)
            before, began = _cpu(cache), time.monotonic()
            rates[True].append(_rate(cache, seconds - SETTLE_SECONDS))
            cpu.append((_cpu(cache) - before) / (time.monotonic() - began))
            ages += json.loads(watching.communicate()[0])
    p50, p99 = np.percentile(ages, [50, 99])
    return {
        "viewers": viewers,
        "frame_age_ms_p50": round(float(p50), 1),
        "frame_age_ms_p99": round(float(p99), 1),
        "cpu_fraction": round(statistics.mean(cpu), 3),
        "step_rate_ratio": round(statistics.mean(rates[True]) / statistics.mean(rates[False]), 4),
        "steps_per_s": round(statistics.mean(rates[False])),
        "pictures_per_s_a_viewer": round(len(ages) / (seconds * rounds * viewers), 1),
    }


def _viewers(number: int, seconds: float) -> subprocess.Popen[bytes]:
    port = config.read(RUNS / NAME / CONFIG).monitor.port
    command = [sys.executable, "-m", "bench.viewers", f"http://127.0.0.1:{port}"]
    command += ["--viewers", str(number), "--seconds", str(seconds)]
    return subprocess.Popen(command, cwd=config.ROOT, stdout=subprocess.PIPE)


def _rate(cache: Cache, seconds: float) -> float:
    """Decisions of all cars a second."""
    before, began = _decisions(cache), time.monotonic()
    time.sleep(seconds)
    return (_decisions(cache) - before) / (time.monotonic() - began)


def _decisions(cache: Cache) -> int:
    return sum(car.decisions for car in cache.telemetry().values())


def _cpu(cache: Cache) -> float:
    """Seconds of a core that the monitor has used."""
    return usage({"monitor": cache.processes()["monitor"].pid})["monitor"].cpu_s


if __name__ == "__main__":
    sys.exit(guarded(main))
