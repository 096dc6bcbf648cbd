"""Priorities of replay's rows, and drawing in proportion to them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 1e-6
"""Added to an error, so that no row is never drawn again."""


class Priorities:
    """Proportional prioritisation (Schaul et al., 2016, "Prioritized experience replay").

    A row's priority is its last error to the power ``priority``; a new row's is the largest so far, so that
    it is soon drawn. The sums of a binary tree tell where a drawn share of the whole lies.
    """

    def __init__(self, capacity: int, priority: float, importance: float) -> None:
        self._power = priority
        self._importance = importance
        self._leaves = 1 << max(capacity - 1, 1).bit_length()
        self._sums = np.zeros(2 * self._leaves)
        self._largest = 1.0

    def add(self, places: Ints) -> None:
        """New rows are at these places."""
        _set(self._sums, self._leaves, places, np.full(len(places), self._largest))

    def update(self, places: Ints, errors: NDArray[np.float32]) -> None:
        """These rows' errors, not negative, are now so large."""
        values = (np.asarray(errors, np.float64) + LEAST) ** self._power
        self._largest = max(self._largest, float(values.max()))
        _set(self._sums, self._leaves, places, values)

    def draw(self, uniform: Floats, rows: int) -> tuple[Ints, NDArray[np.float32]]:
        """Places for numbers in 0..1, [K, B], among so many ``rows``, and what each of them counts.

        That is ``(1 / (rows * probability)) ** importance``, scaled to at most 1 in each of the K batches.
        """
        places = np.empty(uniform.shape, np.int64)
        _find(self._sums, self._leaves, uniform.ravel() * self._sums[1], places.ravel())
        np.minimum(places, rows - 1, out=places)  # where rounding led beyond the last one
        share = self._sums[self._leaves + places] / self._sums[1]
        weights = (rows * np.maximum(share, 1e-12)) ** -self._importance
        return places, (weights / weights.max(axis=1, keepdims=True)).astype(np.float32)

    def values(self, rows: int) -> Floats:
        """The priorities of the first so many rows."""
        return self._sums[self._leaves : self._leaves + rows].copy()

    def restore(self, values: Floats) -> None:
        """Take on what ``values`` gave."""
        self._sums[:] = 0.0
        self._largest = max(1.0, float(values.max(initial=0.0)))
        _set(self._sums, self._leaves, np.arange(len(values)), np.asarray(values, np.float64))


@njit(cache=True)
def _set(sums: Floats, leaves: int, places: Ints, values: Floats) -> None:
    for index in range(len(places)):
        node = leaves + places[index]
        sums[node] = values[index]
        node //= 2
        while node:
            sums[node] = sums[2 * node] + sums[2 * node + 1]
            node //= 2


@njit(cache=True)
def _find(sums: Floats, leaves: int, wanted: Floats, places: Ints) -> None:
    for index in range(len(wanted)):
        left, node = wanted[index], 1
        while node < leaves:
            node *= 2
            if left >= sums[node]:
                left -= sums[node]
                node += 1
        places[index] = node - leaves
