"""Measure what kills cost a run: one is left alone, one is killed again and again; a JSON line each.

Both are the product's own command with the same seed, in a fresh run folder. The second one's supervisor gets
SIGKILL at random moments, and the same command then resumes it. Both are followed from outside until
WINDOW laps of the evaluator in a row are clean enough; the killed one has to drive all of them after its last
kill.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from bench.learning import (
    MEANDER,
    POLL_SECONDS,
    WINDOW,
    Case,
    Lap,
    Running,
    clean_share,
    events,
    laps,
    metric_lines,
    windows,
)
from robo.errors import UserError
from robo.runs import RUNS
from scripts.command import guarded

RATE = 0.9
"""Least share of clean laps of the run that is left alone; the other one has to come to the same as it."""
SETS = (
    MEANDER,
    "simulator.clock=lockstep",
    "learner.checkpoint_seconds=5",
    "learner.log_seconds=0.5",  # so that what a kill cost is known to half a second
)
ALONE = Case("ddpg.yml", 240.0, SETS)
KILLED = Case("ddpg.yml", 480.0, SETS)
"""Its time counts from its last start."""
SOONEST, LATEST = 5.0, 25.0
"""Seconds that a run drives before it is killed."""
START_SECONDS = 120.0
"""In which a run has to drive; a start from cold disks on busy cores takes most of a minute."""
GONE_SECONDS = 2.0

Found = TypeVar("Found")


def main() -> int:
    """The command line. 0 when the killed run came to the other one's rate; 1 also when that has none."""
    parser = argparse.ArgumentParser(description="Kill and resume a run beside one that is left alone.")
    parser.add_argument("--kills", type=int, default=5, metavar="N", help="(5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of runs and moments (0)")
    parser.add_argument("--keep", action="store_true", help="keep the runs' folders")
    options = parser.parse_args()
    if options.kills < 1:
        raise UserError(f"--kills {options.kills}: at least 1")
    alone = measure("left alone", ALONE, options.seed, [], RATE, keep=options.keep)
    print(json.dumps(alone), flush=True)
    if alone["seconds"] is None:
        print("the run left alone did not come to its rate: nothing to compare with", file=sys.stderr)
        return 1
    moments = random_moments(options.seed, options.kills)
    killed = measure("killed", KILLED, options.seed, moments, alone["clean_lap_rate"], keep=options.keep)
    print(json.dumps(killed), flush=True)
    return 1 if killed["seconds"] is None else 0


def random_moments(seed: int, kills: int) -> list[float]:
    """When to kill: seconds after the run drives (again), one for each kill."""
    moment = random.Random(seed)
    return [moment.uniform(SOONEST, LATEST) for _ in range(kills)]


def measure(
    run: str, case: Case, seed: int, moments: Sequence[float], rate: float, *, keep: bool = False
) -> dict[str, Any]:
    """Run the case, kill it at each of the moments and resume it, until its laps come to the rate."""
    folder = RUNS / f"bench-survival-{run.replace(' ', '-')}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    kills: list[float] = []
    lived, left = 0.0, 0
    window: Sequence[Lap] | None = None
    for moment in moments:
        with Running(case, folder.name, seed) as (process, began):
            if not _drives_for(moment, folder, process, began):
                break
            kills.append(time.time())
            left += kill(process)
            lived += kills[-1] - began
    else:
        with Running(case, folder.name, seed) as (process, began):
            window = _awaited(lambda: clean_window(laps(folder, began), rate), process, case.limit_s)
    driven = laps(folder, 0.0)
    lines = metric_lines(folder)
    saved = events(folder, "learner", "resumed", "checkpoint")
    shown = window or driven[-WINDOW:]
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "run": run,
        "seed": seed,
        "kills": len(kills),
        "seconds": round(lived + window[-1].at, 1) if window else None,
        "clean_lap_rate": round(clean_share(shown), 3) if shown else None,
        "laps": len(driven),
        "train_steps": lines[-1]["train_steps"] if lines else 0,
        "most_train_steps_lost": max(steps_lost(lines, saved, kills), default=0),
        "most_train_steps_between_checkpoints": most_steps_between(saved),
        "processes_outlived": left,
    }


def drives(lines: Sequence[dict[str, Any]], began: float) -> bool:
    """Whether the run's points show that its explorers have driven since then."""
    return any(
        line["time"] > began and line["kind"] == "collection" and line["values"]["env_steps_per_s"]
        for line in lines
    )


def clean_window(laps: Sequence[Lap], rate: float) -> Sequence[Lap] | None:
    """The first WINDOW laps in a row, all driven since the command's start, that are as clean."""
    mine = [lap for lap in laps if lap.at > 0.0]
    return next((window for window in windows(mine) if clean_share(window) >= rate), None)


def steps_lost(
    lines: Sequence[dict[str, Any]], saved: Sequence[dict[str, Any]], kills: Sequence[float]
) -> list[int]:
    """How many train steps each kill, at its Unix time, cost.

    Those that the last point (``lines``) before it shows, less those that the learner resumed with
    (``saved``); all of them where it found nothing to resume from.
    """
    lost = []
    for killed, until in itertools.pairwise([*kills, math.inf]):
        done = [line["train_steps"] for line in lines if line["time"] <= killed]
        resumed = [
            entry["train_steps"]
            for entry in saved
            if entry["event"] == "resumed" and killed < entry["at"] < until
        ]
        # A checkpoint may be newer than the last point: nothing is known to be lost then.
        lost.append(max(0, (done[-1] if done else 0) - (resumed[0] if resumed else 0)))
    return lost


def most_steps_between(saved: Sequence[dict[str, Any]]) -> int:
    """The most train steps from one state that was saved or resumed, or the beginning, to the next."""
    states = [0, *(entry["train_steps"] for entry in saved)]
    return max((after - before for before, after in itertools.pairwise(states)), default=0)


def kill(process: subprocess.Popen[bytes]) -> int:
    """Send the command SIGKILL. How many of all that it had started were still there GONE_SECONDS later."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    return len(outlived(started))


def outlived(processes: Iterable[psutil.Process]) -> list[str]:
    """End those that are still there GONE_SECONDS later: whatever runs next is to have the machine to itself.

    Their command lines.
    """
    left = []
    for process in psutil.wait_procs(list(processes), timeout=GONE_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if not is_dead(process):
                left.append(" ".join(process.cmdline()) or process.name())
                process.kill()
    return left


def is_dead(process: psutil.Process) -> bool:
    """Whether it has ended, though nobody may have asked for its exit code yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _drives_for(seconds: float, folder: Path, process: subprocess.Popen[bytes], began: float) -> bool:
    """Wait so long from when the run drives. Whether it came so far."""
    if not _awaited(lambda: drives(metric_lines(folder), began), process, START_SECONDS):
        return False
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _awaited(look: Callable[[], Found], process: subprocess.Popen[bytes], within_s: float) -> Found | None:
    """What there is to be found, once there is; None if it does not come in time, or the process ends."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if process.poll() is not None or time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)
    return found


if __name__ == "__main__":
    sys.exit(guarded(main))
