"""What the simulator writes to disk: the race log and the results of a race.

A disk that fails, or is full, costs lines and never the simulation: what is lost is counted.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from robo.errors import UserError
from robo.protocol import spectator as wire
from robo.simulation.counters import Counters

FLUSH_BYTES = 1 << 16
FLUSH_SECONDS = 1.0
"""The log is written when this much has gathered, and this long after it last was."""


class RaceLog:
    """The spectator stream as a file, the same lines. A context manager: leaving it writes what is left."""

    def __init__(
        self, path: Path, counters: Counters, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin the file anew. Raises UserError when it can't be written to."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)
        except (OSError, ValueError) as error:
            raise UserError(f"race log {path}: {_reason(error)}; choose another file") from None
        self._counters = counters
        self._monotonic = monotonic
        self._buffer = bytearray()
        self._cut = False
        """Whether the file ends in the middle of a line."""
        self._flush_at = monotonic() + FLUSH_SECONDS

    def __enter__(self) -> RaceLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()
        with contextlib.suppress(OSError):
            self._file.close()

    def write(self, lines: bytes) -> None:
        """Take whole lines."""
        self._buffer += lines
        if len(self._buffer) >= FLUSH_BYTES:
            self.flush()

    def tend(self) -> None:
        """Write what has waited for long; to be called now and then, whether or not there are lines."""
        if self._monotonic() >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered, or count it as lost."""
        self._flush_at = self._monotonic() + FLUSH_SECONDS
        buffer = self._buffer
        try:
            if self._cut and buffer:
                self._file.write(b"\n")
                self._cut = False
            while buffer:
                written = self._file.write(buffer)
                self._cut = buffer[written - 1] != ord("\n")
                del buffer[:written]
        except OSError:
            self._counters.lost_log_lines += buffer.count(b"\n")
            buffer.clear()


def prepare_results(path: Path) -> None:
    """Make the folder that results go to, before there are any. Raises UserError when it can't be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise UserError(f"results file {path}: it can't be written; choose another file")
    except (OSError, ValueError) as error:
        raise UserError(f"results file {path}: {_reason(error)}; choose another file") from None


def write_results(path: Path, results: wire.RaceFinished, counters: Counters) -> None:
    """Replace the results file by these, as indented JSON: whoever reads it finds all of it or none."""
    text = msgspec.json.format(msgspec.json.encode(results), indent=4)
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(text + b"\n")
        partial.replace(path)
    except OSError:
        counters.lost_results += 1


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
