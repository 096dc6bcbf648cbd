"""When each frame passed each part of the chain, for measuring it: kept in memory, written at the end.

All processes of a machine share one monotonic clock, so what they write can be laid side by side, joined by
car and frame number.
"""

from __future__ import annotations

import enum
import time
from array import array
from pathlib import Path

import numpy as np

COLUMNS = 4
"""Of a row: stage, car, frame number, monotonic seconds; float64."""


class Stage(enum.IntEnum):
    """Where a frame is on its way from the simulator to the command that answers it."""

    RECEIVED = 0
    """Its last byte was read from the socket."""
    TAKEN = 1
    """The frame processor has it."""
    PROCESSED = 2
    """Its observation is in the explorer's ring."""
    OBSERVED = 3
    """The explorer has it."""
    STATED = 4
    """The explorer has the car's state of that moment."""
    DECIDED = 5
    """The command is on the board."""
    COMMANDED = 6
    """The command was sent."""
    PASSED = 7
    """The frame asked for no decision, and was answered without a command."""


class Trace:
    """One process's notes; none are taken where tracing is off, which costs a call."""

    def __init__(self, *, on: bool) -> None:
        self._rows = array("d")
        if not on:
            self.note = _nothing  # type: ignore[method-assign]

    def note(self, stage: Stage, car: int, number: int, at: float | None = None) -> None:
        """Note that a frame got here, now or at monotonic second ``at``."""
        self._rows.extend((stage, car, number, time.monotonic() if at is None else at))

    def write(self, path: Path) -> None:
        """Write the notes, float64 [N, 4], if any were taken."""
        if self._rows:
            path.parent.mkdir(exist_ok=True)
            np.save(path, np.frombuffer(self._rows).reshape(-1, COLUMNS), allow_pickle=False)


def _nothing(stage: Stage, car: int, number: int, at: float | None = None) -> None:
    """Where tracing is off."""


def read(folder: Path) -> np.ndarray:
    """The notes of all processes of a run, float64 [N, 4], by time."""
    parts = [np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))]
    rows = np.concatenate(parts) if parts else np.zeros((0, COLUMNS))
    return rows[np.argsort(rows[:, 3], kind="stable")]
