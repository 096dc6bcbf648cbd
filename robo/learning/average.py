"""The average of an actor's weights over the train steps behind it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Average:
    """Exponential averaging of weights (Polyak & Juditsky, 1992), which evens out the last steps' swings.

    While fewer than ``steps`` train steps were seen, it is over those.
    """

    def __init__(self, steps: float) -> None:
        """``steps``: the time constant; 0: no averaging."""
        self._steps = steps
        self._value: Array | None = None
        self._first = self._last = 0

    def update(self, weights: Array, step: int) -> Array:
        """Take the weights, float32 [P], as of a train step. The average, the caller's own."""
        if self._value is None or not self._steps:
            self._value = weights.copy()
            self._first = self._last = step
            return weights
        constant = min(self._steps, max(step - self._first, 1))
        self._value += (1.0 - math.exp(-(step - self._last) / constant)) * (weights - self._value)
        self._last = step
        return self._value.copy()
