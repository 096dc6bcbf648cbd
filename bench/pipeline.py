"""Measure the whole chain beside the designs that people write first: one JSON line a case.

Every case runs the product's own command in a fresh run folder, with its trace on, and measures a window of
it from outside. The naive designs get the same simulator, policy network and train step.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from bench.measure import HOPS, Latencies, Window, percentiles
from processes import trace
from processes.trace import Stage
from robo import config
from robo.cache import Cache, Lost
from robo.errors import UserError
from scripts.command import guarded

RESULTS = config.ROOT / "docs" / "performance" / "results.jsonl"
NO_REDIS = "redis.url=redis://127.0.0.1:1/0"
"""Nobody answers there: each run starts a Redis of its own, which is measured with it."""
NEVER, ALWAYS = 1e9, 1e9
START_SECONDS = 120.0
WARM_STEPS = 200
"""Train steps before the window, or none where nothing is learned."""
SETTLE_SECONDS = 3.0
LISTENING = re.compile(r"cars on 127\.0\.0\.1:(\d+), spectators on 127\.0\.0\.1:(\d+)")
IO = ("car_reader", "frame_processor", "spectator_reader")
NAIVE = ("threads", "processes", "threads-compiled", "processes-compiled")


class Case(NamedTuple):
    """What is measured."""

    clock: str
    cars: int
    learn: bool
    """Whether the learner trains at full speed; else it takes in experience and waits."""
    width: int = 128
    explorers: int = 1
    """Processes that decide for the cars."""
    variant: str = ""
    """png: the simulator spares no frames, as a real one; plain: nobody runs before others, as without
    privileges; both words may be there."""
    design: str = "ours"
    """ours, or one of the naive ones."""

    @property
    def name(self) -> str:
        """Unique, and readable."""
        parts = [self.clock, f"{self.cars}-cars", "learning" if self.learn else "driving"]
        parts += [f"{self.width}x{self.width * 80 // 128}"] if self.width != 128 else []
        parts += [f"{self.explorers}-explorers"] if self.explorers != 1 else []
        parts += [self.variant] if self.variant else []
        parts += [self.design] if self.design != "ours" else []
        return "-".join(parts)


HEADLINE = (
    Case("realtime", 7, learn=False),
    *(Case("realtime", 7, learn=True, design=design) for design in NAIVE),
    Case("realtime", 7, learn=True),
    Case("realtime", 7, learn=True, width=32),
    Case("realtime", 7, learn=True, variant="png"),
    Case("realtime", 7, learn=True, variant="plain"),
    Case("realtime", 7, learn=True, variant="png-plain"),
    Case("realtime", 8, learn=False),
    Case("lockstep", 1, learn=False),
    Case("lockstep", 1, learn=True),
    Case("lockstep", 6, learn=False),
    *(Case("lockstep", 6, learn=True, design=design) for design in NAIVE),
    Case("lockstep", 6, learn=True),
    Case("lockstep", 6, learn=True, width=32),
    Case("lockstep", 6, learn=True, variant="png"),
    Case("lockstep", 16, learn=False),
    Case("lockstep", 16, learn=True),
)
"""Baselines come before what is held against them."""
LONG = Case("realtime", 7, learn=True)
GROWTH = (
    *(Case("lockstep", cars, learn=False) for cars in (2, 4, 8, 12, 24, 32)),
    *(Case("realtime", cars, learn=True) for cars in (1, 4, 12, 16, 24, 32)),
    *(Case("lockstep", 16, learn=False, explorers=explorers) for explorers in (2, 4, 8)),
    *(Case("lockstep", 6, learn=False, width=width) for width in (8, 32, 64)),
)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Measure the chain beside naive designs; one JSON line a case."
    )
    parser.add_argument("--cases", default="", metavar="A,B", help="only the cases whose name begins so")
    parser.add_argument(
        "--growth", action="store_true", help="also 1 to 32 cars, 1 to 8 explorers, picture sizes"
    )
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each window (20)")
    parser.add_argument(
        "--long-seconds", type=float, default=60.0, metavar="S", help="of the first learning one (60)"
    )
    parser.add_argument(
        "--keep", action="store_true", help=f"also write them to {RESULTS.relative_to(config.ROOT)}"
    )
    options = parser.parse_args()
    wanted = tuple(filter(None, options.cases.split(",")))
    cases = [
        case
        for case in (*HEADLINE, *(GROWTH if options.growth else ()))
        if not wanted or case.name.startswith(wanted)
    ]
    if not cases:
        raise UserError(
            f"--cases {options.cases}: choose from {', '.join(case.name for case in HEADLINE + GROWTH)}"
        )
    alone = learner_alone(options.seconds)
    results: list[dict[str, Any]] = []
    for case in cases:
        result = measured(case, options.long_seconds if case == LONG else options.seconds, alone)
        results.append(result | ratios(case, result, results))
        print(json.dumps(results[-1]), flush=True)
    if options.keep:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text("".join(json.dumps(result) + "\n" for result in results), encoding="utf-8")
    return 0


def measured(case: Case, seconds: float, alone: float) -> dict[str, Any]:
    """One case's figures; ``alone``: train steps a second of a learner with the machine to itself."""
    note(f"{case.name}: {seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="robo-bench-") as folder:
        run = _ours if case.design == "ours" else _naive
        with run(case, Path(folder)) as running:
            _until(lambda: running.train_steps()[1] >= (WARM_STEPS if case.learn else 0), "the learner")
            time.sleep(SETTLE_SECONDS)
            window, before = Window(running.processes()), running.train_steps()
            time.sleep(seconds)
            window.end()
            after = running.train_steps()
        rows = trace.read(Path(folder) / running.trace)
    steps_a_second = (after[1] - before[1]) / max(after[0] - before[0], 1e-9)
    return figures(case, rows, window, steps_a_second, alone) | {"start_s": _started(rows, running)}


def figures(
    case: Case, rows: np.ndarray, window: Window, steps_a_second: float, alone: float
) -> dict[str, Any]:
    """What a window's trace and its processes' use of the machine come to."""
    latencies = Latencies(rows, window.began, window.seconds)
    repeat = config.load().action.repeat
    cpu, memory = window.cpu(), window.memory()
    hops = {name: percentiles(latencies.between(*ends)) for name, *ends in HOPS}
    return {
        "case": case.name,
        "cars": case.cars,
        "seconds": round(window.seconds, 1),
        "frame_to_command_ms": percentiles(latencies.between(Stage.RECEIVED, Stage.COMMANDED)),
        "hops_ms": {name: values for name, values in hops.items() if values["p50"] is not None},
        "missed_frames": latencies.missed() if case.clock == "realtime" else None,
        "unanswered_frames": latencies.unanswered(repeat),
        "car_frames_per_s": round(latencies.frames() / window.seconds, 1),
        "train_steps_per_s": round(steps_a_second, 1) if case.learn else None,
        "train_ratio_to_alone": round(steps_a_second / alone, 3) if case.learn else None,
        "io_cpu_fraction": round(sum(cpu[name] for name in cpu if name.startswith(IO)), 4),
        "memory_mb": round(sum(memory.values()), 1),
        "cpu_fraction": {name: round(share, 4) for name, share in cpu.items()},
        "memory_mb_by_process": {name: round(size, 1) for name, size in memory.items()},
        "waits_and_preemptions_per_s": {
            name: [round(count, 1) for count in counts] for name, counts in window.switches().items()
        },
    }


def ratios(case: Case, result: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How much better a case is than its baselines, where they were measured before it."""
    measured = {result["case"]: result for result in results}
    p99, throughput = {}, {}
    for design in NAIVE if case.design == "ours" else ():
        naive = measured.get(case._replace(design=design, variant="").name)
        if naive is not None:
            slow, quick = naive["frame_to_command_ms"]["p99"], result["frame_to_command_ms"]["p99"]
            p99[design] = round(slow / quick, 2)
            throughput[design] = round(result["car_frames_per_s"] / naive["car_frames_per_s"], 2)
    return {
        "naive_ratio_p99": p99.get("threads"),
        "naive_ratio_throughput": throughput.get("threads"),
        "ratios_p99": p99,
        "ratios_throughput": throughput,
    }


# What runs


class Running(NamedTuple):
    """A design at work."""

    began: float
    """Monotonic seconds, when its command was started."""
    processes: Callable[[], dict[str, int]]
    """Name -> process id."""
    train_steps: Callable[[], tuple[float, int]]
    """A moment in seconds, and the train steps done by then."""
    trace: str
    """Folder of its trace, within its own."""


@contextmanager
def _ours(case: Case, folder: Path) -> Iterator[Running]:
    """The product's own command; at the end it is stopped as a user would."""
    run = folder / "run"
    command = [
        sys.executable,
        "-m",
        "scripts.train",
        "configs/ddpg.yml",
        "--runs",
        str(folder),
        "--run",
        run.name,
    ]
    began = time.monotonic()
    process = _start(
        [*command, *_options(_settings(case))], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    cache = Cache(f"unix://{run / 'redis.sock'}", run.name)

    def processes() -> dict[str, int]:
        ids = {name: health.pid for name, health in cache.processes().items() if health.pid}
        return {"supervisor": process.pid, **ids}

    def is_ready() -> bool:
        try:
            health = cache.processes()
        except Lost:
            return False
        return bool(health) and all(child.state == "running" for child in health.values())

    def train_steps() -> tuple[float, int]:
        progress = cache.progress()
        return (progress.at, progress.train_steps) if progress else (0.0, 0)

    try:
        _until(is_ready, "the run", process)
        yield Running(began, processes, train_steps, "run/trace")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30.0)


def _settings(case: Case) -> list[str]:
    """What a case changes of the configuration."""
    scored = case.cars > 1 and case.clock == "realtime"
    explorers = case.cars - scored
    return [
        NO_REDIS,
        "supervision.trace=true",
        f"simulator.clock={case.clock}",
        "simulator.car_port=0",
        "simulator.spectator_port=0",
        "monitor.port=0",
        f"cars.explorers={explorers}",
        f"cars.explorer_processes={min(case.explorers, explorers)}",
        f"cars.evaluators={int(scored)}",
        f"cars.image_width={case.width}",
        f"simulator.spare_frames={'png' not in case.variant}",
        f"supervision.realtime_priority={'plain' not in case.variant}",
        f"replay.random_transitions={1000 if case.learn else NEVER:.0f}",
        f"replay.max_samples_per_insert={ALWAYS}",
        "learner.checkpoint_seconds=1e6",
    ]


@contextmanager
def _naive(case: Case, folder: Path) -> Iterator[Running]:
    """A simulator, and a naive design that drives in it."""
    free_ports = ["simulator.car_port=0", "simulator.spectator_port=0"]
    settings = [f"simulator.clock={case.clock}", *free_ports, "simulator.ghosts=true"]
    simulator = _start(
        [sys.executable, "-m", "scripts.simulator", *_options(settings)], stdout=subprocess.PIPE
    )
    assert simulator.stdout is not None
    found = LISTENING.search(simulator.stdout.readline())
    if found is None:
        raise UserError("the simulator did not start")
    ports = ["--car-port", found[1], "--spectator-port", found[2]]
    began = time.monotonic()
    design, *compiled = case.design.split("-")
    command = [sys.executable, "-m", "bench.naive", design, *ports]
    command += [f"--{word}" for word in compiled]
    command += ["--cars", str(case.cars), "--width", str(case.width), *(["--learn"] if case.learn else [])]
    command += ["--trace", str(folder / "trace" / "main.npy")]
    naive = _start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert naive.stdin is not None
    assert naive.stdout is not None

    def processes() -> dict[str, int]:
        children = psutil.Process(naive.pid).children(recursive=True)
        ids = {f"child{number}": child.pid for number, child in enumerate(children)}
        return {"simulator": simulator.pid, "main": naive.pid, **ids}

    def train_steps() -> tuple[float, int]:
        naive.stdin.write("?\n")
        naive.stdin.flush()
        at, steps = json.loads(naive.stdout.readline())
        return at, steps

    try:
        yield Running(began, processes, train_steps, "trace")
    finally:
        simulator.terminate()
        simulator.wait(30.0)
        naive.stdin.close()
        naive.wait(30.0)


def _start(command: list[str], **pipes: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "SIMULATOR_HOST": "", "REDIS_URL": ""}
    return subprocess.Popen(command, cwd=config.ROOT, env=environment, text=True, **pipes)


def _options(sets: Sequence[str]) -> list[str]:
    return [word for item in sets for word in ("--set", item)]


def _started(rows: np.ndarray, running: Running) -> float | None:
    """Seconds from the command's start to the first command on a socket."""
    commands = rows[rows[:, 0] == Stage.COMMANDED, 3]
    return round(float(commands[0]) - running.began, 2) if len(commands) else None


def _until(condition: Callable[[], bool], what: str, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until a condition holds. Raises UserError when it takes too long."""
    limit = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > limit or (process is not None and process.poll() is not None):
            raise UserError(f"{what} did not start; see what it printed")
        time.sleep(0.1)


def learner_alone(seconds: float) -> float:
    """Train steps a second of the same train step with the machine to itself, in a process of its own."""
    note(f"learner alone: {seconds:g} s")
    command = [sys.executable, "-m", "bench.learner", "--seconds", str(seconds)]
    with _start(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        return float(json.loads(process.stdout.read())["train_steps_per_s"])


def note(text: object) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(guarded(main))
