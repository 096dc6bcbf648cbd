"""Replay: a ring of the newest transitions, sampled uniformly."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from robo.driving.transitions import Transitions
from robo.errors import UserError

SMALLEST = 4096
"""Rows to begin with; they double as they fill, so that memory costs what is used."""


class Replay:
    """At most ``capacity`` transitions; when full, the oldest go first."""

    def __init__(
        self, capacity: int, observation_size: int, action_size: int, rng: np.random.Generator
    ) -> None:
        self.capacity = capacity
        self.inserted = 0
        """Transitions added, ever: also those that were overwritten since."""
        self.rejected = 0
        """Transitions refused since the start of this process, because a number in them was not finite."""
        self._rng = rng
        self._row_shapes = ((observation_size,), (action_size,), (), (), (observation_size,))
        self._rows = self._allocate(min(SMALLEST, capacity))
        self._filled = 0
        self._next = 0

    def __len__(self) -> int:
        return self._filled

    def add(self, transitions: Transitions) -> None:
        """Add N transitions, in order; those with a number that is not finite are counted, not kept.

        Raises ValueError when a shape is not this replay's.
        """
        transitions = self._finite(self._checked(transitions))
        count = len(transitions.reward)
        self.inserted += count
        newest = Transitions(*(array[-self.capacity :] for array in transitions))
        self._grow(min(self._filled + len(newest.reward), self.capacity))
        places = (self._next + np.arange(len(newest.reward))) % self.capacity
        for rows, array in zip(self._rows, newest, strict=True):
            rows[places] = array
        self._next = (self._next + len(places)) % self.capacity
        self._filled = min(self._filled + len(places), self.capacity)

    def sample(self, batch_size: int, batches: int | None = None) -> Transitions:
        """Drawn uniformly, with repetition: shapes [batch_size, ...] or [batches, batch_size, ...].

        The arrays are the caller's. Raises ValueError when the replay is empty.
        """
        if not self._filled:
            raise ValueError("the replay is empty")
        shape = batch_size if batches is None else (batches, batch_size)
        places = self._rng.integers(0, self._filled, shape)
        return Transitions(*(rows[places] for rows in self._rows))

    def save(self, path: Path) -> None:
        """Write the filled part, where the ring stands and the random state to ``path`` (.npz)."""
        state = json.dumps(
            {
                "inserted": self.inserted,
                "next": self._next,
                "capacity": self.capacity,
                "rng": self._rng.bit_generator.state,
            }
        )
        filled = {
            name: rows[: self._filled] for name, rows in zip(Transitions._fields, self._rows, strict=True)
        }
        np.savez(path, allow_pickle=False, state=np.array(state), **filled)

    def load(self, path: Path) -> None:
        """Take on what ``save`` wrote, and go on exactly from there.

        Where ``capacity`` has become smaller, the newest are kept. Raises UserError when the file can't be
        read or holds other shapes.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                state = json.loads(str(saved["state"]))
                rows = Transitions(*(saved[name] for name in Transitions._fields))
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
            rows = Transitions(*(np.roll(array, -oldest, axis=0)[-self.capacity :] for array in rows))
            place = len(rows.reward) % self.capacity
        self._rows, self._filled, self._next = rows, len(rows.reward), place
        self.inserted = state["inserted"]
        self._rng.bit_generator.state = state["rng"]

    def _allocate(self, count: int) -> Transitions:
        return Transitions(*(np.empty((count, *shape), np.float32) for shape in self._row_shapes))

    def _grow(self, needed: int) -> None:
        have = len(self._rows.reward)
        if needed <= have:
            return
        larger = self._allocate(min(max(needed, 2 * have), self.capacity))
        for rows, array in zip(larger, self._rows, strict=True):
            rows[: self._filled] = array[: self._filled]
        self._rows = larger

    def _checked(self, transitions: Transitions) -> Transitions:
        count = len(transitions.reward)
        for name, array, shape in zip(Transitions._fields, transitions, self._row_shapes, strict=True):
            if array.shape != (count, *shape):
                raise ValueError(f"{name} has shape {array.shape}, not {(count, *shape)}")
        return transitions

    def _finite(self, transitions: Transitions) -> Transitions:
        finite = np.ones(len(transitions.reward), bool)
        for array in transitions:
            finite &= np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        if finite.all():
            return transitions
        self.rejected += int((~finite).sum())
        return Transitions(*(array[finite] for array in transitions))
