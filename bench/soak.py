"""Kill a random process of a training run again and again, and see that the run goes on and stays its size.

The product's own command trains in a fresh run folder, with a Redis of its own, and is followed from outside,
as whoever watches it sees it. Every few seconds one of the processes that run at that moment gets SIGKILL;
when the time is over, the command gets SIGINT. One JSON line tells what that came to.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psutil

from bench import survival
from bench.learning import (
    POLL_SECONDS,
    STOP_SECONDS,
    Case,
    Lap,
    Running,
    clean_share,
    events,
    laps,
    metric_lines,
)
from bench.measure import usage
from bench.survival import START_SECONDS, outlived, steps_lost
from processes.vitals import Count
from robo import config
from robo.cache import Cache, Lost
from robo.cache_values import ProcessHealth, Progress
from robo.errors import UserError
from robo.learning.folders import TEMPORARY
from robo.runs import RunFolder
from scripts.command import guarded

SETS = (
    *survival.SETS,
    "learner.checkpoint_seconds=10",
    "simulator.host=",  # whatever the environment says
    "redis.start_if_missing=true",
)
SAMPLE_SECONDS = 5.0
SETTLED_SECONDS = 60.0
"""After which a run's size is taken for the first time; half of the run, where that is shorter."""
UNKNOWN_SECONDS = 10.0
"""For so long Redis may be away before the run is taken to stand still meanwhile."""
TOLD_SECONDS = 60.0
THIRDS = ("first", "middle", "last")

MOST_STILL_SECONDS = 60.0
MOST_DESCRIPTORS = (1.1, 10)
"""So many times those that there were first, and so many more."""
MOST_MEMORY = 1.25
"""So many times what was held first."""


class Look(NamedTuple):
    """The run as its cache shows it."""

    at: float
    """Unix time, seconds."""
    health: Mapping[str, ProcessHealth] = {}
    """Every process's; none while Redis is away."""
    progress: Progress | None = None
    """The learner's; None while Redis is away, and before it has begun."""

    @property
    def running(self) -> dict[str, int]:
        """The processes that run, name -> id."""
        return {name: process.pid for name, process in self.health.items() if process.state == "running"}

    @property
    def whole(self) -> bool:
        """Whether every process runs."""
        return bool(self.health) and len(self.running) == len(self.health)

    @property
    def explored(self) -> int:
        """Steps that the explorers have sent, in all their lives."""
        explorers = [process for name, process in self.health.items() if name.startswith("explorer")]
        return sum(process.counts.get(Count.STEPS.value, 0) for process in explorers)


class Kill(NamedTuple):
    """A process that was killed."""

    at: float
    """Unix time, seconds."""
    name: str
    pid: int


class Size(NamedTuple):
    """What a run holds of the machine while all of its processes run."""

    at: float
    """Unix time, seconds."""
    supervisor_descriptors: int
    descriptors: int
    """Of all processes together, the supervisor's included."""
    memory_mb: float
    """Proportional set sizes of all processes together."""
    shm_entries: int
    """In /dev/shm, whoever made them."""


class History(NamedTuple):
    """All that was seen of a run."""

    looks: Sequence[Look]
    kills: Sequence[Kill]
    sizes: Sequence[Size]
    ended_early: int | None
    """The exit code, where the command ended before it was told to."""
    leftovers: Sequence[str]
    """Processes and files that outlived it."""


def main() -> int:
    """The command line. 0 when nothing was wrong with the run, 1 when something was."""
    parser = argparse.ArgumentParser(description="Kill random processes of a training run, again and again.")
    parser.add_argument(
        "--minutes", type=float, default=20.0, metavar="N", help="from the first train step (20)"
    )
    parser.add_argument("--every", type=float, default=15.0, metavar="S", help="seconds between kills (15)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the run and of who is killed (0)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the run's folder")
    options = parser.parse_args()
    for option in ("minutes", "every"):
        if not getattr(options, option) > 0.0:
            raise UserError(f"--{option} {getattr(options, option):g}: more than 0")
    figures = measure(options.minutes, options.every, options.seed, keep=options.keep)
    print(json.dumps(figures), flush=True)
    if wrong := judge(figures):
        print(f"not sound: {'; '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def measure(minutes: float, every_s: float, seed: int, *, keep: bool = False) -> dict[str, Any]:
    """Run, kill, stop. What it came to."""
    folder = RunFolder(f"bench-soak-{seed}")
    if folder.running:
        raise UserError(f"{folder.path}: a run is going on there; stop it, or choose another --seed")
    shutil.rmtree(folder.path, ignore_errors=True)
    history = soak(folder, 60.0 * minutes, every_s, seed)
    figures = {"minutes": minutes, **summary(history), **learned(laps(folder.path, 0.0))}
    saved = events(folder.path, "learner", "resumed", "checkpoint")
    figures["steps_lost_most"] = max(
        steps_lost(metric_lines(folder.path), saved, learner_kills(history)), default=0
    )
    if not keep:
        shutil.rmtree(folder.path, ignore_errors=True)
    return figures


def soak(folder: RunFolder, seconds: float, every_s: float, seed: int) -> History:
    """Follow a new run for so long from its first train step, with kills, and stop it."""
    redis = f"unix://{folder.redis_socket}"
    # Nobody answers at that URL: the run starts its own there.
    case = Case("full_speed.yml", seconds, (*SETS, f"redis.url={redis}"))
    with _Quiet(case, folder.name, seed) as (process, _):
        run = _Run(process, Cache(redis, folder.name))
        if (began := run.until_training()) is not None:
            run.soak(began, seconds, every_s, random.Random(seed))
        ended_early = process.poll()
        left = run.stop() + left_files(folder)
    return History(run.looks, run.kills, run.sizes, ended_early, left)


class _Quiet(Running):
    """A run that tells nothing but its last word: all else is in its logs."""

    def __enter__(self) -> tuple[subprocess.Popen[bytes], float]:
        began = time.time()
        self._process = subprocess.Popen(self._command, cwd=config.ROOT, stdout=subprocess.DEVNULL)
        return self._process, began


class _Run:
    """A run under way, and what was seen of it."""

    def __init__(self, process: subprocess.Popen[bytes], cache: Cache) -> None:
        self.looks: list[Look] = []
        self.kills: list[Kill] = []
        self.sizes: list[Size] = []
        self._process = process
        self._command = psutil.Process(process.pid)
        self._cache = cache
        self._started: set[psutil.Process] = set()

    def until_training(self) -> float | None:
        """Wait until the learner trains. The Unix time of that; None if it does not come to it."""
        for look in self._follow(time.time() + START_SECONDS):
            if look.progress and look.progress.train_steps:
                return look.at
        return None

    def soak(self, began: float, seconds: float, every_s: float, chance: random.Random) -> None:
        """Kill until the time, which counts from the Unix time ``began``, is over."""
        kill_at, tell_at = began + every_s, began + TOLD_SECONDS
        size_at = began + min(SETTLED_SECONDS, seconds / 2.0)
        for look in self._follow(began + seconds):
            if look.whole and look.at >= size_at:
                self.sizes.append(self._size(look.at))
                size_at = look.at + SAMPLE_SECONDS
            if look.running and look.at >= kill_at:
                self._kill(*chance.choice(sorted(look.running.items())))
                kill_at = look.at + every_s  # not sooner, for those that an absent Redis has delayed
            if look.at >= tell_at:
                print(told(look, began, self.kills, self.sizes), file=sys.stderr, flush=True)
                tell_at += TOLD_SECONDS

    def stop(self) -> list[str]:
        """Send SIGINT, if it is still there, and wait for the end. Processes that outlived it."""
        if self._process.poll() is None:
            self._processes()
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        return outlived({self._command, *self._started})

    def _follow(self, until: float) -> Iterator[Look]:
        """Look at the run until a Unix time, or its end."""
        while time.time() < until and self._process.poll() is None:
            self._processes()
            self.looks.append(_look(self._cache))
            yield self.looks[-1]
            time.sleep(POLL_SECONDS)

    def _processes(self) -> list[psutil.Process]:
        """The command and all that descends from it at the moment, which is remembered."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = self._command.children(recursive=True)
            self._started.update(children)
            return [self._command, *children]
        return []

    def _size(self, at: float) -> Size:
        processes = self._processes()
        used = usage({str(process.pid): process.pid for process in processes})
        return Size(
            at=at,
            supervisor_descriptors=_descriptors([self._command]),
            descriptors=_descriptors(processes),
            memory_mb=sum(each.memory_mb for each in used.values()),
            shm_entries=len(os.listdir("/dev/shm")),
        )

    def _kill(self, name: str, pid: int) -> None:
        """Kill one of the run's own; what the cache tells may just have become old."""
        for process in self._processes():
            if process.pid == pid:
                process.kill()
                self.kills.append(Kill(time.time(), name, pid))


def _look(cache: Cache) -> Look:
    try:
        return Look(time.time(), cache.processes(), cache.progress())
    except Lost:
        return Look(time.time())


def _descriptors(processes: Iterable[psutil.Process]) -> int:
    count = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it has just ended
            count += process.num_fds()
    return count


def left_files(folder: RunFolder) -> list[str]:
    """Files that a run which has ended should have removed."""
    halves = sorted(path.name for path in (folder.path / "checkpoints").glob(f"step-*{TEMPORARY}"))
    socket = [folder.redis_socket.name] if folder.redis_socket.exists() else []
    return halves + socket


def told(look: Look, began: float, kills: Sequence[Kill], sizes: Sequence[Size]) -> str:
    """How the run goes, in one line."""
    minutes = (look.at - began) / 60.0
    known = "no Redis"
    if progress := look.progress:
        again = sum(restarts(look).values())
        known = f"{progress.env_steps} steps, {progress.train_steps} trained, {again} restarts"
    size = f", {sizes[-1].memory_mb:.0f} MB, {sizes[-1].descriptors} descriptors" if sizes else ""
    return f"{minutes:.0f} min: {len(kills)} kills, {known}{size}"


def summary(history: History) -> dict[str, Any]:
    """A history's figures."""
    last = next((look for look in reversed(history.looks) if look.progress), None)
    healthy = next((look for look in reversed(history.looks) if look.health), None)
    back = [recovered(kill, history.looks) for kill in history.kills]
    return {
        "kills": dict(Counter(kill.name for kill in history.kills)),
        "restarts": restarts(healthy) if healthy else {},
        "ended_early": history.ended_early,
        "longest_standstill_s": round(longest_standstill(history.looks), 1),
        "recovered_s_p50": round(statistics.median(back), 1) if back else None,
        "recovered_s_max": round(max(back), 1) if back else None,
        "descriptors": {
            "supervisor": _ends([size.supervisor_descriptors for size in history.sizes]),
            "all": _ends([size.descriptors for size in history.sizes]),
        },
        "memory_mb": _ends([round(size.memory_mb) for size in history.sizes]),
        "shm_entries": _ends([size.shm_entries for size in history.sizes]),
        "leftovers": list(history.leftovers),
        "steps": {
            "env": last.progress.env_steps if last else 0,
            "train": last.progress.train_steps if last else 0,
        },
        "replay_rows": last.progress.replay if last else 0,
    }


def restarts(look: Look) -> dict[str, int]:
    """How often each process was started again; those that never were are left out."""
    return {name: process.restarts for name, process in look.health.items() if process.restarts}


def _ends(values: Sequence[int]) -> dict[str, int | None]:
    return {"first": values[0] if values else None, "last": values[-1] if values else None}


def longest_standstill(looks: Sequence[Look]) -> float:
    """Seconds, at the most, in which the learner's progress did not grow; from when there was any.

    A learner that resumes falls back, which is no growth. While Redis is away nothing is known, and that time
    is left out, unless it lasts longer than UNKNOWN_SECONDS.
    """
    seen = list(itertools.dropwhile(lambda look: look.progress is None, looks))
    longest = still = unknown = 0.0
    steps = (math.inf, math.inf)
    for before, look in itertools.pairwise([*seen[:1], *seen]):
        passed = look.at - before.at
        if look.progress is None:
            unknown += passed
            continue
        still += passed + _counted(unknown)
        unknown = 0.0
        longest = max(longest, still)
        before_it, steps = steps, (look.progress.env_steps, look.progress.train_steps)
        if any(now > then for now, then in zip(steps, before_it, strict=True)):
            still = 0.0
    return max(longest, still + _counted(unknown))


def _counted(unknown_s: float) -> float:
    """How much of a time in which nothing was known counts as a standstill."""
    return unknown_s if unknown_s > UNKNOWN_SECONDS else 0.0


def came_back(kill: Kill, looks: Sequence[Look]) -> float | None:
    """Seconds from the kill until another process runs under the name and the explorers' steps grow.

    None if that was not seen.
    """
    later = [look for look in looks if look.at > kill.at and look.health]
    for before, look in itertools.pairwise(later):
        if look.running.get(kill.name, kill.pid) != kill.pid and look.explored > before.explored:
            return look.at - kill.at
    return None


def recovered(kill: Kill, looks: Sequence[Look]) -> float:
    """The same; where it was not seen, as long as was waited for it."""
    back = came_back(kill, looks)
    return max(0.0, looks[-1].at - kill.at) if back is None else back


def learner_kills(history: History) -> list[float]:
    """When the learner was killed, in Unix time; one that the run's end came before is left out."""
    return [
        kill.at
        for kill in history.kills
        if kill.name == "learner" and came_back(kill, history.looks) is not None
    ]


def learned(driven: Sequence[Lap]) -> dict[str, dict[str, float | None]]:
    """What each third of the evaluator's laps came to; times are those of the clean ones, in seconds."""
    third = dict(zip(THIRDS, thirds(driven), strict=True))
    clean = {name: [lap.seconds for lap in part if lap.clean] for name, part in third.items()}
    return {
        "clean_lap_rate": {
            name: _rounded(clean_share(part)) if part else None for name, part in third.items()
        },
        "best_lap_s": {name: _rounded(min(part)) if part else None for name, part in clean.items()},
        "mean_lap_s": {
            name: _rounded(statistics.mean(part)) if part else None for name, part in clean.items()
        },
    }


def _rounded(value: float) -> float:
    return round(value, 3)


def thirds(driven: Sequence[Lap]) -> list[Sequence[Lap]]:
    """The laps in three parts, whose lengths differ by one at the most."""
    bounds = [len(driven) * part // 3 for part in range(4)]
    return [driven[begin:end] for begin, end in itertools.pairwise(bounds)]


def judge(figures: Mapping[str, Any]) -> list[str]:
    """What is wrong with a run of these figures, in words; empty when nothing is."""
    wrong = []
    if figures["ended_early"] is not None:
        wrong.append(f"it ended early, with exit code {figures['ended_early']}")
    if not figures["steps"]["train"]:
        wrong.append("it did not begin to train")
    if figures["longest_standstill_s"] > MOST_STILL_SECONDS:
        wrong.append(f"it stood still for {figures['longest_standstill_s']:g} s")
    if figures["leftovers"]:
        wrong.append(f"it left behind {', '.join(figures['leftovers'])}")
    return wrong + _grown(figures) + _not_better(figures)


def _grown(figures: Mapping[str, Any]) -> list[str]:
    times, more = MOST_DESCRIPTORS
    limits = {
        "the supervisor's descriptors": (figures["descriptors"]["supervisor"], times, more),
        "all descriptors": (figures["descriptors"]["all"], times, more),
        "memory in MB": (figures["memory_mb"], MOST_MEMORY, 0),
    }
    if figures["memory_mb"]["first"] is None:
        return ["its processes never all ran once it should have settled"]
    return [
        f"{what} grew from {ends['first']} to {ends['last']}"
        for what, (ends, times, more) in limits.items()
        if ends["last"] > times * ends["first"] + more
    ]


def _not_better(figures: Mapping[str, Any]) -> list[str]:
    """That the last third has no clean laps, or none faster, on average, than the first third's."""
    first, last = (figures["mean_lap_s"][third] for third in ("first", "last"))
    if last is None:
        return ["it drives no clean lap at last"]
    if first is None or last < first:
        return []
    return [f"its laps became no faster: {first:.2f} s at first, {last:.2f} s at last"]


if __name__ == "__main__":
    sys.exit(guarded(main))
