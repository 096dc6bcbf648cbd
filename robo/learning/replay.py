"""Replay: a ring of the newest rows of experience, sampled uniformly or by priority."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robo.driving.transitions import Layout
from robo.errors import UserError
from robo.learning.priorities import Priorities

PRIORITIES = "priority"
SMALLEST = 4096
"""Rows to begin with; they double as they fill, so that memory costs what is used."""


class Sample(NamedTuple):
    """Rows drawn by priority."""

    rows: Any
    """As ``Replay.sample`` gives them."""
    places: NDArray[np.int64]
    """[batches, batch_size]: where each is, for ``Replay.update``."""
    weights: NDArray[np.float32]
    """[batches, batch_size]: what each counts, so that what is drawn often does not count more for it; at
    most 1 in a batch."""


class Replay:
    """At most ``capacity`` rows; when full, the oldest go first.

    ``layout``: what rows look like, ``Transitions`` or ``Sequences``. With a ``priority`` above 0, rows can
    be drawn by it.
    """

    def __init__(
        self,
        capacity: int,
        layout: Layout,
        rng: np.random.Generator,
        *,
        priority: float = 0.0,
        importance: float = 0.4,
    ) -> None:
        self.capacity = capacity
        self.inserted = 0
        """Steps added, ever: also those that were overwritten since."""
        self.rejected = 0
        """Rows refused since the start of this process, because a number in them was not finite."""
        self._rng = rng
        self._type, self._row_shapes = layout
        self._priorities = Priorities(capacity, priority, importance) if priority else None
        self._rows = self._allocate(min(SMALLEST, capacity))
        self._filled = 0
        self._next = 0

    def __len__(self) -> int:
        return self._filled

    def add(self, rows: Any) -> None:
        """Add N rows, in order; those with a number that is not finite are counted, not kept.

        Raises ValueError when a shape is not this replay's.
        """
        rows = self._finite(self._checked(rows))
        self.inserted += rows.env_steps
        newest = self._type(*(array[-self.capacity :] for array in rows))
        self._grow(min(self._filled + len(newest.reward), self.capacity))
        places = (self._next + np.arange(len(newest.reward))) % self.capacity
        for kept, array in zip(self._rows, newest, strict=True):
            kept[places] = array
        if self._priorities:
            self._priorities.add(places)
        self._next = (self._next + len(places)) % self.capacity
        self._filled = min(self._filled + len(places), self.capacity)

    def sample(self, batch_size: int, batches: int | None = None) -> Any:
        """Rows drawn uniformly, with repetition: shapes [batch_size, ...] or [batches, batch_size, ...].

        The arrays are the caller's. Raises ValueError when the replay is empty.
        """
        if not self._filled:
            raise ValueError("the replay is empty")
        shape = batch_size if batches is None else (batches, batch_size)
        places = self._rng.integers(0, self._filled, shape)
        return self._type(*(rows[places] for rows in self._rows))

    def sample_by_priority(self, batch_size: int, batches: int) -> Sample:
        """Rows drawn in proportion to their priorities. Raises ValueError when the replay is empty."""
        if not self._filled:
            raise ValueError("the replay is empty")
        uniform = self._rng.uniform(size=(batches, batch_size))
        places, weights = self._priorities.draw(uniform, self._filled)
        return Sample(self._type(*(rows[places] for rows in self._rows)), places, weights)

    def update(self, places: NDArray[np.int64], td_errors: NDArray[np.float32]) -> None:
        """Set the priorities of rows that were drawn, by how far off they were found to be."""
        self._priorities.update(places.ravel(), td_errors.ravel())

    def save(self, path: Path) -> None:
        """Write the filled part, where the ring stands and the random state to ``path`` (.npz).

        Raises OSError when there is no room for it.
        """
        state = json.dumps(
            {
                "inserted": self.inserted,
                "next": self._next,
                "capacity": self.capacity,
                "rng": self._rng.bit_generator.state,
            }
        )
        filled = {
            name: rows[: self._filled] for name, rows in zip(self._type._fields, self._rows, strict=True)
        }
        if self._priorities:
            filled[PRIORITIES] = self._priorities.values(self._filled)
        write_arrays(path, {"state": np.array(state), **filled})

    def load(self, path: Path) -> None:
        """Take on what ``save`` wrote, and go on exactly from there.

        Where ``capacity`` has become smaller, the newest are kept. Raises UserError when the file can't be
        read or holds other shapes.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                state = json.loads(str(saved["state"]))
                rows = self._type(*(saved[name] for name in self._type._fields))
                priorities = saved[PRIORITIES] if PRIORITIES in saved else np.ones(len(rows.reward))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            raise UserError(
                f"{path}: not a readable replay; remove its checkpoint to use the one before"
            ) from None
        try:
            rows = self._checked(rows)
        except ValueError as error:
            raise UserError(f"{path}: {error}; use the run's own observation settings") from None
        place = state["next"]
        if state["capacity"] != self.capacity:
            oldest = place if len(rows.reward) == state["capacity"] else 0
            rows = self._type(*(np.roll(array, -oldest, axis=0)[-self.capacity :] for array in rows))
            priorities = np.roll(priorities, -oldest)[-self.capacity :]
            place = len(rows.reward) % self.capacity
        self._rows, self._filled, self._next = rows, len(rows.reward), place
        self.inserted = state["inserted"]
        if self._priorities:
            self._priorities.restore(priorities)
        self._rng.bit_generator.state = state["rng"]

    def _allocate(self, count: int) -> Any:
        return self._type(*(np.empty((count, *shape), np.float32) for shape in self._row_shapes))

    def _grow(self, needed: int) -> None:
        have = len(self._rows.reward)
        if needed <= have:
            return
        larger = self._allocate(min(max(needed, 2 * have), self.capacity))
        for rows, array in zip(larger, self._rows, strict=True):
            rows[: self._filled] = array[: self._filled]
        self._rows = larger

    def _checked(self, rows: Any) -> Any:
        count = len(rows.reward)
        for name, array, shape in zip(self._type._fields, rows, self._row_shapes, strict=True):
            if array.shape != (count, *shape):
                raise ValueError(f"{name} has shape {array.shape}, not {(count, *shape)}")
        return rows

    def _finite(self, rows: Any) -> Any:
        finite = np.ones(len(rows.reward), bool)
        for array in rows:
            finite &= np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        if finite.all():
            return rows
        self.rejected += int((~finite).sum())
        return self._type(*(array[finite] for array in rows))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a .npz as ``np.savez`` does, which leaves a file open that did not fit, and so its room taken.

    Raises OSError.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
