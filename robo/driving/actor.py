"""The deterministic actor evaluated in NumPy, so that a process that drives needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Actor:
    """A feed-forward actor: relu hidden layers, then tanh, from one flat vector of weights.

    The vector holds, layer after layer, the kernel [inputs, outputs] in row-major order and the bias
    [outputs]: the order of ``robo.learning.agents.Agent.actor_weights``.
    """

    def __init__(self, observation_size: int, layers: Sequence[int], action_size: int) -> None:
        sizes = (observation_size, *layers, action_size)
        shapes = list(pairwise(sizes))
        self.size = sum((inputs + 1) * outputs for inputs, outputs in shapes)
        """Length of the flat weight vector."""
        self.loaded = False
        """Whether weights have been loaded; until then there are no actions."""
        self._weights = np.zeros(self.size, np.float32)
        self._layers: list[tuple[Array, Array]] = []
        start = 0
        for inputs, outputs in shapes:
            bias = start + inputs * outputs
            kernel = self._weights[start:bias].reshape(inputs, outputs)
            start = bias + outputs
            self._layers.append((kernel, self._weights[bias:start]))

    @property
    def weights(self) -> Array:
        """A copy of the weights, float32 [size]. Needs ``loaded``."""
        self._need_weights()
        return self._weights.copy()

    def load(self, flat: Array) -> None:
        """Copy the weights in: float32 [size]. Raises ValueError on another length."""
        if flat.shape != (self.size,):
            raise ValueError(f"expected {self.size} weights, not an array of shape {flat.shape}")
        self._weights[:] = flat
        self.loaded = True

    def __call__(self, observation: Array) -> Array:
        """Actions in -1..1, float32 [B, 2], for observations, float32 [B, O]. Needs ``loaded``."""
        self._need_weights()
        *hidden, (kernel, bias) = self._layers
        signal = observation
        for hidden_kernel, hidden_bias in hidden:
            signal = signal @ hidden_kernel
            signal += hidden_bias
            np.maximum(signal, 0.0, out=signal)
        signal = signal @ kernel
        signal += bias
        return np.tanh(signal, out=signal)

    def _need_weights(self) -> None:
        if not self.loaded:
            raise RuntimeError("the actor has no weights yet")
