"""The learned actors evaluated in NumPy, so that a process that drives needs no TensorFlow.

All of an actor's weights are one flat vector: layer after layer, the kernel [inputs, outputs] in row-major
order and the bias [outputs]; an LSTM has a kernel for its input and one for its state before the bias. That
is the order of ``robo.learning.agent.Agent.actor_weights``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from robo import config
from robo.driving.transitions import ACTION_SIZE

Array = NDArray[np.float32]
Layer = tuple[Array, Array]
"""Kernel and bias."""

LOG_STDDEV = (-5.0, 2.0)
"""Where a Gaussian actor's logarithms of its standard deviations end."""


def build(agent: config.Agent, observation_size: int) -> Actor:
    """The actor that goes with an agent's settings, without weights."""
    if isinstance(agent, config.Rdpg):
        return RecurrentActor(observation_size, agent.input_layers, agent.lstm, agent.output_layers)
    if isinstance(agent, config.Sac):
        return GaussianActor(observation_size, agent.actor_layers)
    return FeedForwardActor(observation_size, agent.actor_layers)


class Actor(ABC):
    """What all actors have in common: one flat vector of weights, and a greedy action."""

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """``shapes``: of the arrays that make up the weights, in their order."""
        sizes = [int(np.prod(shape)) for shape in shapes]
        self.size = sum(sizes)
        """Length of the flat weight vector."""
        self.loaded = False
        """Whether weights have been loaded; until then there are no actions."""
        self._weights = np.zeros(self.size, np.float32)
        parts = np.split(self._weights, np.cumsum(sizes)[:-1])
        self._arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

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

    def begin(self) -> None:  # noqa: B027 most have nothing to forget
        """An episode begins."""

    def __call__(self, observation: Array) -> Array:
        """Greedy actions in -1..1, float32 [B, 2], for observations, float32 [B, O]. Needs ``loaded``.

        An actor with a memory takes them as the next observations of the same B cars.
        """
        self._need_weights()
        return self._act(observation)

    @abstractmethod
    def _act(self, observation: Array) -> Array:
        """See ``__call__``."""

    def _need_weights(self) -> None:
        if not self.loaded:
            raise RuntimeError("the actor has no weights yet")


class FeedForwardActor(Actor):
    """Relu hidden layers, then tanh."""

    def __init__(self, observation_size: int, layers: Sequence[int]) -> None:
        super().__init__(_dense_shapes((observation_size, *layers, ACTION_SIZE)))
        self._layers = _layers(self._arrays)

    def _act(self, observation: Array) -> Array:
        signal = _linear(_hidden(observation, self._layers[:-1]), self._layers[-1])
        return np.tanh(signal, out=signal)


class GaussianActor(Actor):
    """Relu hidden layers, then the means and the logarithms of the standard deviations of a Gaussian.

    An action is the tanh of a sample (SAC's actor, Haarnoja et al., 2018); the greedy one, of the mean.
    """

    def __init__(self, observation_size: int, layers: Sequence[int]) -> None:
        super().__init__(_dense_shapes((observation_size, *layers, 2 * ACTION_SIZE)))
        self._layers = _layers(self._arrays)

    def sample(self, observation: Array, random: np.random.Generator, spread: float = 1.0) -> Array:
        """Sampled actions, float32 [B, 2], of ``spread`` times the standard deviations. Needs ``loaded``."""
        self._need_weights()
        mean, log_stddev = np.split(self._parameters(observation), 2, axis=1)
        stddev = spread * np.exp(np.clip(log_stddev, *LOG_STDDEV))
        return np.tanh(mean + stddev * random.standard_normal(mean.shape, np.float32))

    def _act(self, observation: Array) -> Array:
        return np.tanh(self._parameters(observation)[:, :ACTION_SIZE])

    def _parameters(self, observation: Array) -> Array:
        return _linear(_hidden(observation, self._layers[:-1]), self._layers[-1])


class RecurrentActor(Actor):
    """Relu layers, an LSTM (Hochreiter & Schmidhuber, 1997) as Keras has it, relu layers, then tanh.

    It remembers what it saw since ``begin``, and goes on from there with other weights, too.
    """

    def __init__(
        self, observation_size: int, input_layers: Sequence[int], lstm: int, output_layers: Sequence[int]
    ) -> None:
        before = _dense_shapes((observation_size, *input_layers))
        inputs = (observation_size, *input_layers)[-1]
        cell = [(inputs, 4 * lstm), (lstm, 4 * lstm), (4 * lstm,)]
        after = _dense_shapes((lstm, *output_layers, ACTION_SIZE))
        super().__init__([*before, *cell, *after])
        self._before = _layers(self._arrays[: len(before)])
        self._kernel, self._recurrent, self._bias = self._arrays[len(before) : len(before) + len(cell)]
        self._after = _layers(self._arrays[len(before) + len(cell) :])
        self._state: tuple[Array, Array] | None = None

    def begin(self) -> None:
        """Forget what was seen."""
        self._state = None

    def _act(self, observation: Array) -> Array:
        signal = self._remember(_hidden(observation, self._before))
        signal = _linear(_hidden(signal, self._after[:-1]), self._after[-1])
        return np.tanh(signal, out=signal)

    def _remember(self, signal: Array) -> Array:
        size = self._recurrent.shape[0]
        nothing = np.zeros((len(signal), size), np.float32)
        output, memory = self._state or (nothing, nothing)
        gates = signal @ self._kernel + output @ self._recurrent + self._bias
        into, forget, fresh, out = (gates[:, size * gate : size * (gate + 1)] for gate in range(4))
        memory = _sigmoid(forget) * memory + _sigmoid(into) * np.tanh(fresh)
        output = _sigmoid(out) * np.tanh(memory)
        self._state = (output, memory)
        return output


def _dense_shapes(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    return [shape for inputs, outputs in pairwise(sizes) for shape in ((inputs, outputs), (outputs,))]


def _layers(arrays: Sequence[Array]) -> list[Layer]:
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _hidden(signal: Array, layers: Sequence[Layer]) -> Array:
    for layer in layers:
        signal = _linear(signal, layer)
        np.maximum(signal, 0.0, out=signal)
    return signal


def _linear(signal: Array, layer: Layer) -> Array:
    kernel, bias = layer
    signal = signal @ kernel
    signal += bias
    return signal


def _sigmoid(signal: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * signal))
