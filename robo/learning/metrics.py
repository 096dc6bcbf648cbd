"""Metrics of a run: lines of JSON to compute with, TensorBoard to look at."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

FILE = "metrics.jsonl"
TENSORBOARD = "tensorboard"

Kind = Literal["collection", "training", "evaluation"]


class Metrics:
    """Appends to ``metrics.jsonl`` and to TensorBoard's event files in a run folder, which must exist."""

    def __init__(self, run_folder: Path, now: Callable[[], float] = time.time) -> None:
        """``now``: the time that lines carry, in seconds since 1970."""
        import tensorflow as tf  # noqa: PLC0415 who only reads needs none

        self._now = now
        self._summary = tf.summary
        path = run_folder / FILE
        torn = _is_torn(path)
        self._lines = path.open("a", encoding="utf-8")
        if torn:
            self._lines.write("\n")
        self._writer = self._summary.create_file_writer(str(run_folder / TENSORBOARD))

    def write(self, kind: Kind, env_steps: int, train_steps: int, values: Mapping[str, float]) -> None:
        """Add a point: ``values`` by name, in both places under ``kind``; the line is on its way at once.

        TensorBoard draws training over train steps and the rest over environment steps; values that are not
        finite are null in the line and left out there. Raises OSError when the disk is full.
        """
        finite = {name: _finite(value) for name, value in values.items()}
        line: dict[str, Any] = {
            "time": self._now(),
            "kind": kind,
            "env_steps": env_steps,
            "train_steps": train_steps,
            "values": finite,
        }
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        step = train_steps if kind == "training" else env_steps
        with self._writer.as_default(step):
            for name, value in finite.items():
                if value is not None:
                    self._summary.scalar(f"{kind}/{name}", value)

    def flush(self) -> None:
        """Send everything to the files."""
        self._lines.flush()
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the files."""
        self._lines.close()
        self._writer.close()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read(run_folder: Path) -> list[dict[str, Any]]:
    """The lines of a run, oldest first, without those that a stop in the middle of writing cut short."""
    lines = []
    for text in (run_folder / FILE).read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _is_torn(path: Path) -> bool:
    """Whether the last line has no end, because its writer was stopped."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
