"""Measure how soon and how well agents learn to drive: one JSON line a case and seed.

Every case runs the product's own command in a fresh run folder and follows it from outside, by the laps that
the evaluator logs and the points that it is scored by; seconds count from the command's start. A run ends as
soon as it has shown what is asked of its case, or when the case's time is over.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import page
from robo import config, log
from robo.config import Config
from robo.learning import metrics
from robo.simulation.track import Track
from scripts.command import chosen, guarded

RESULTS = config.ROOT / "docs" / "learning" / "results.jsonl"
POLL_SECONDS = 0.5
STOP_SECONDS = 20.0
ROW = 3
WINDOW = 20
"""Laps in a row over which the clean-lap rate of a full-speed run is taken."""
ALONE_SECONDS = 8.0
FREE_PORTS = ("simulator.car_port=0", "simulator.spectator_port=0", "monitor.port=0")


MEANDER = "track=configs/tracks/meander.json"
"""19.43 m."""
UNSEEN = ("tracks.evaluation=20", "evaluation.episodes=20", "cars.evaluators=2")


class Lap(NamedTuple):
    """A lap of the evaluator, so many seconds after the command's start."""

    at: float
    seconds: float
    clean: bool


class Case(NamedTuple):
    """What is run, and what it is to show."""

    config: str
    limit_s: float
    sets: tuple[str, ...] = ()
    three_laps_within_s: float | None = None
    lap_under_s: float | None = None
    pace_under: float | None = None
    """Seconds a metre, mean of the clean laps."""
    clean_rate: float | None = None
    """Least share of clean laps: of the last WINDOW laps, or of the tracks of one evaluation."""
    tracks: int = 0
    """Unseen tracks that an evaluation is over; 0: the run's own track."""


CASES = {
    "ddpg": Case("ddpg.yml", 180.0, (MEANDER,), three_laps_within_s=60.0, lap_under_s=10.0),
    "td3": Case("td3.yml", 240.0, (MEANDER,), three_laps_within_s=60.0, lap_under_s=9.5),
    "rdpg": Case("rdpg.yml", 300.0, (MEANDER,), three_laps_within_s=300.0),
    "full_speed": Case("full_speed.yml", 600.0, (MEANDER,), pace_under=0.378, clean_rate=0.9),
    "tracks": Case("tracks.yml", 240.0, UNSEEN, clean_rate=1.0, tracks=20),
    "tracks_full_speed": Case(
        "tracks_full_speed.yml", 1200.0, UNSEEN, clean_rate=0.9, pace_under=0.36, tracks=20
    ),
    "realtime": Case("ddpg.yml", 300.0, (MEANDER, "simulator.clock=realtime"), three_laps_within_s=300.0),
}


class Shown(NamedTuple):
    """What a run has shown so far."""

    seconds_to_three_clean_laps: float | None
    seconds_to_target: float | None
    best_lap_s: float | None
    best_lap_s_per_m: float | None
    clean_lap_rate: float | None


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Run the learning benchmark's cases; one JSON line each.",
        epilog=f"Cases: {', '.join(CASES)}",
    )
    parser.add_argument("--cases", default=",".join(CASES), metavar="A,B", help="(all)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (3)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="(0)")
    parser.add_argument(
        "--keep", action="store_true", help=f"add the lines to {page.short(RESULTS)}, keep the runs"
    )
    options = parser.parse_args()
    for name in chosen("--cases", options.cases, CASES):
        alone = _alone(CASES[name])
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            line = json.dumps(measure(name, seed, alone, keep=options.keep))
            print(line, flush=True)
            if options.keep:
                page.keep(RESULTS, line)
    return 0


def measure(name: str, seed: int, alone: float, *, keep: bool = False) -> dict[str, Any]:
    """Run a case until it has shown what is asked, or its time is over."""
    case = CASES[name]
    settings = load(case)
    folder = config.ROOT / "runs" / f"bench-{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    metres = None if case.tracks else Track.load(config.ROOT / settings.track).length
    with Running(case, folder.name, seed) as (process, began):
        while True:
            time.sleep(POLL_SECONDS)
            done = shown(case, laps(folder, began), points(folder, began), metres)
            over = time.time() - began > case.limit_s or process.poll() is not None
            if over or (done.seconds_to_target is not None and _laps_shown(case, done)):
                break
    lines = metric_lines(folder)
    rates = [
        line["values"]["train_steps_per_s"]
        for line in lines
        if line["kind"] == "training" and line["values"].get("train_steps_per_s")
    ]
    last = lines[-1] if lines else {"env_steps": 0, "train_steps": 0}
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "case": name,
        "seed": seed,
        **done._asdict(),
        "env_steps": last["env_steps"],
        "train_steps": last["train_steps"],
        "learner_ratio": round(statistics.median(rates) / alone, 3) if rates else None,
    }


def shown(case: Case, laps: Sequence[Lap], points: Sequence[dict[str, Any]], metres: float | None) -> Shown:
    """What laps and evaluation points show of what is asked. ``metres``: the track's length, if it is one."""
    clean = [lap.seconds for lap in laps if lap.clean]
    three = _first_row(laps)
    if case.tracks:
        target = _first_point(case, points)
        best = target or max(points, key=_point_order, default=None)
        return Shown(
            three,
            target and round(target["at"], 1),
            min(clean, default=None),
            best and best.get("lap_seconds_per_metre"),
            best and best["clean_lap_rate"],
        )
    last = laps[-WINDOW:]
    return Shown(
        three,
        _first_window(case, laps, metres) if case.clean_rate else _first_lap(case, laps, three),
        min(clean, default=None),
        round(min(clean) / metres, 4) if clean else None,
        round(clean_share(last), 3) if last else None,
    )


def _laps_shown(case: Case, done: Shown) -> bool:
    return case.three_laps_within_s is None or done.seconds_to_three_clean_laps is not None


def _first_row(laps: Sequence[Lap]) -> float | None:
    """When there were three clean laps in a row."""
    for index in range(ROW, len(laps) + 1):
        if all(lap.clean for lap in laps[index - ROW : index]):
            return round(laps[index - 1].at, 1)
    return None


def _first_lap(case: Case, laps: Sequence[Lap], three: float | None) -> float | None:
    """When a clean lap was as fast as asked; where no time is asked, when there were three."""
    if case.lap_under_s is None:
        return three
    return next((round(lap.at, 1) for lap in laps if lap.clean and lap.seconds < case.lap_under_s), None)


def _first_window(case: Case, laps: Sequence[Lap], metres: float) -> float | None:
    """When WINDOW laps in a row were as clean, and their clean ones as fast, as asked."""
    for window in windows(laps):
        pace = [lap.seconds / metres for lap in window if lap.clean]
        if clean_share(window) >= case.clean_rate and statistics.mean(pace) < case.pace_under:
            return round(window[-1].at, 1)
    return None


def windows(laps: Sequence[Lap]) -> Iterator[Sequence[Lap]]:
    """Every WINDOW laps in a row, oldest first."""
    return (laps[end - WINDOW : end] for end in range(WINDOW, len(laps) + 1))


def clean_share(laps: Sequence[Lap]) -> float:
    """The share of the laps, at least one, that are clean."""
    return sum(lap.clean for lap in laps) / len(laps)


def _first_point(case: Case, points: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The first evaluation whose tracks were driven as clean, and as fast, as asked."""
    for point in points:
        fast = case.pace_under is None or point.get("lap_seconds_per_metre", 9.0) < case.pace_under
        if point["tracks_with_a_clean_lap"] >= case.clean_rate * case.tracks and fast:
            return point
    return None


def _point_order(point: dict[str, Any]) -> tuple[float, float]:
    return (point["clean_lap_rate"], -point.get("lap_seconds_per_metre", 9.0))


def load(case: Case) -> Config:
    """The case's settings."""
    return config.load([config.ROOT / "configs" / case.config], [*case.sets, *FREE_PORTS])


def laps(folder: Path, began: float) -> list[Lap]:
    """The evaluator's laps so far, from its log."""
    return [
        Lap(entry["at"] - began, entry["seconds"], entry["clean"])
        for entry in events(folder, "evaluator", "lap")
    ]


def events(folder: Path, process: str, *names: str) -> list[dict[str, Any]]:
    """What the run's process has logged under these names, oldest first, with ``at``: its Unix time."""
    try:
        lines = (folder / "logs" / f"{process}.log").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        if any(f'"event": "{name}"' in line for name in names):
            try:
                entry = json.loads(line)
            except ValueError:  # cut short by a kill, or still being written
                continue
            found.append({**entry, "at": log.unix_time(entry)})
    return found


def points(folder: Path, began: float) -> list[dict[str, Any]]:
    """The evaluation's points so far, with ``at``: seconds after the command's start."""
    return [
        {**line["values"], "at": line["time"] - began}
        for line in metric_lines(folder)
        if line["kind"] == "evaluation"
    ]


def metric_lines(folder: Path) -> list[dict[str, Any]]:
    """The points that the run's learner has written so far."""
    try:
        return metrics.read(folder)
    except OSError:
        return []


class Running:
    """A run of the case, until the block is left; it resumes where its folder is there.

    Entered, it is the command's process and the Unix time when that was started.
    """

    def __init__(self, case: Case, name: str, seed: int) -> None:
        sets = [*case.sets, *FREE_PORTS, f"seed={seed}"]
        self._command = [sys.executable, "-m", "scripts.train", f"configs/{case.config}", "--run", name]
        self._command += [word for item in sets for word in ("--set", item)]

    def __enter__(self) -> tuple[subprocess.Popen[bytes], float]:
        began = time.time()
        self._process = subprocess.Popen(self._command, cwd=config.ROOT, stdout=sys.stderr)
        return self._process, began

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _alone(case: Case) -> float:
    """Train steps a second of the case's learner with nothing else going on."""
    command = [sys.executable, "-m", "bench.learner", "--config", f"configs/{case.config}"]
    command += ["--seconds", str(ALONE_SECONDS), *(word for item in case.sets for word in ("--set", item))]
    done = subprocess.run(command, cwd=config.ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return float(json.loads(done.stdout)["train_steps_per_s"])


if __name__ == "__main__":
    sys.exit(guarded(main))
