"""What a benchmark reads off running processes, and what it makes of a trace."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import psutil

from processes.trace import Stage

HOPS = (
    ("to frame processor", Stage.RECEIVED, Stage.TAKEN),
    ("decode and observe", Stage.TAKEN, Stage.PROCESSED),
    ("to explorer", Stage.PROCESSED, Stage.OBSERVED),
    ("wait for car state", Stage.OBSERVED, Stage.STATED),
    ("reward and policy", Stage.STATED, Stage.DECIDED),
    ("to the socket", Stage.DECIDED, Stage.COMMANDED),
)
FRAME_SECONDS = 1.0 / 60.0
SETTLED_SECONDS = 0.5
"""At a window's end: frames that came later than that may rightly have no answer yet."""


class Usage(NamedTuple):
    """What one process has used since it began, and holds now."""

    cpu_s: float
    waits: int
    """Times that it gave up its core: it waited for something."""
    preempted: int
    """Times that its core was taken from it."""
    memory_mb: float
    """Proportional set size: memory shared by n processes counts 1/n for each."""


def usage(processes: Mapping[str, int]) -> dict[str, Usage]:
    """What these processes, name -> id, have used; those that are gone are left out."""
    found = {}
    for name, pid in processes.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            with process.oneshot():
                times, switches = process.cpu_times(), process.num_ctx_switches()
            memory = process.memory_full_info().pss / 2**20
            found[name] = Usage(times.user + times.system, switches.voluntary, switches.involuntary, memory)
    return found


class Window:
    """What processes used between two moments."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        """Begins now."""
        self._processes = processes
        self._before = usage(processes)
        self.began = time.monotonic()
        self.seconds = 0.0
        self.after: dict[str, Usage] = {}

    def end(self) -> None:
        """Ends now."""
        self.seconds = time.monotonic() - self.began
        self.after = usage(self._processes)

    def cpu(self) -> dict[str, float]:
        """Cores that each process kept busy."""
        return {name: (now.cpu_s - self._then(name).cpu_s) / self.seconds for name, now in self.after.items()}

    def switches(self) -> dict[str, tuple[float, float]]:
        """Waits and preemptions a second of each process."""
        return {
            name: (
                (now.waits - self._then(name).waits) / self.seconds,
                (now.preempted - self._then(name).preempted) / self.seconds,
            )
            for name, now in self.after.items()
        }

    def memory(self) -> dict[str, float]:
        """MB of each process at the end."""
        return {name: now.memory_mb for name, now in self.after.items()}

    def _then(self, name: str) -> Usage:
        return self._before.get(name, Usage(0.0, 0, 0, 0.0))


class Latencies:
    """The frames of a trace that were received within a window of time.

    ``rows``: float64 [N, 4], as ``processes.trace`` has them, in the order of time.
    """

    def __init__(self, rows: np.ndarray, began: float, seconds: float) -> None:
        self._rows = rows
        self._began = began
        self._seconds = seconds

    def between(self, first: Stage, last: Stage) -> np.ndarray:
        """Seconds from one stage to another, float64 [N], of the frames that reached both."""
        start, end = self._at(first), self._at(last)
        _, here, there = np.intersect1d(start[0], end[0], return_indices=True)
        inside = (start[1][here] >= self._began) & (start[1][here] < self._began + self._seconds)
        return (end[1][there] - start[1][here])[inside]

    def frames(self) -> int:
        """Frames driven by all cars together, those included of which no picture was asked for."""
        return sum(int(numbers[-1] - numbers[0]) for numbers, _ in self._by_car())

    def missed(self) -> int:
        """Frames that a simulator at 60 a second made and no car was sent, for want of an answer."""
        elapsed = sum(round((times[-1] - times[0]) / FRAME_SECONDS) for _, times in self._by_car())
        return elapsed - self.frames()

    def _by_car(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Numbers and times of the frames that each car received."""
        received = self._received()
        cars = [received[received[:, 1] == car] for car in np.unique(received[:, 1])]
        return [(rows[:, 2], rows[:, 3]) for rows in cars]

    def unanswered(self, repeat: int) -> int:
        """Frames that asked for a decision and were sent none."""
        received = self._received()
        asked = received[
            (received[:, 2] % repeat == 0) & (received[:, 3] < self._began + self._seconds - SETTLED_SECONDS)
        ]
        return int((~np.isin(_keys(asked), self._at(Stage.COMMANDED)[0])).sum())

    def _received(self) -> np.ndarray:
        rows = self._rows[self._rows[:, 0] == Stage.RECEIVED]
        return rows[(rows[:, 3] >= self._began) & (rows[:, 3] < self._began + self._seconds)]

    def _at(self, stage: Stage) -> tuple[np.ndarray, np.ndarray]:
        """Keys, each once, and times of the frames that reached a stage."""
        rows = self._rows[self._rows[:, 0] == stage]
        keys, first = np.unique(_keys(rows), return_index=True)
        return keys, rows[first, 3]


def _keys(rows: np.ndarray) -> np.ndarray:
    """One number for car and frame number."""
    return rows[:, 1] * 1e12 + rows[:, 2]


def percentiles(seconds: np.ndarray) -> dict[str, float | None]:
    """p50, p99, p999 and max in milliseconds; None where there is nothing."""
    if not len(seconds):
        return dict.fromkeys(("p50", "p99", "p999", "max"))
    p50, p99, p999 = np.percentile(seconds, (50, 99, 99.9))
    values = {"p50": p50, "p99": p99, "p999": p999, "max": seconds.max()}
    return {name: round(1000.0 * float(value), 3) for name, value in values.items()}
