"""Metrics of a run: lines of JSON to compute with, TensorBoard to look at."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from robo.learning.records import Records

FILE = "metrics.jsonl"
TENSORBOARD = "tensorboard"

Kind = Literal["collection", "training", "evaluation"]


class Metrics:
    """Appends to ``metrics.jsonl`` and to a TensorBoard event file in a run folder.

    A point that could not be written is lost; the next is written as soon as there is room for it.
    """

    def __init__(self, run_folder: Path, now: Callable[[], float] = time.time) -> None:
        """``now``: the time that points carry, in seconds since 1970. Files are made by the first point."""
        from robo.learning.events import Events  # noqa: PLC0415 who only reads needs none

        self._now = now
        self._lines = Records(run_folder / FILE, _end_of_torn_line)
        self._events = Events(run_folder / TENSORBOARD)

    def write(
        self,
        kind: Kind,
        env_steps: int,
        train_steps: int,
        values: Mapping[str, float],
        *,
        at: float | None = None,
    ) -> None:
        """Add a point: ``values`` by name, in both places under ``kind``; both files have it at once.

        ``at``: its time, in seconds since 1970; None: now.

        TensorBoard draws training over train steps and the rest over environment steps; values that are not
        finite are null in the line and left out there. Raises OSError when the disk is full or the folder
        can't be written; the point may then be in the first place and missing from the second.
        """
        known = finite(values)
        line: dict[str, Any] = {
            "time": self._now() if at is None else at,
            "kind": kind,
            "env_steps": env_steps,
            "train_steps": train_steps,
            "values": known,
        }
        self._lines.append(json.dumps(line).encode() + b"\n")
        drawn = {f"{kind}/{name}": value for name, value in known.items() if value is not None}
        self._events.add(line["time"], train_steps if kind == "training" else env_steps, drawn)

    def close(self) -> None:
        """Close the files. Raises OSError."""
        try:
            self._lines.close()
        finally:
            self._events.close()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read(run_folder: Path) -> list[dict[str, Any]]:
    """The lines of a run, oldest first, without those that a stop or a full disk cut short."""
    texts = (run_folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in map(parse, texts) if line is not None]


def parse(text: str) -> dict[str, Any] | None:
    """A line as it was written; None where it was cut short."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """The values, with None in place of those that are not finite."""
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}


def _end_of_torn_line(path: Path) -> bytes:
    """What ends the last line, where its writer was stopped before its end."""
    if path.stat().st_size == 0:
        return b""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return b"" if file.read(1) == b"\n" else b"\n"
