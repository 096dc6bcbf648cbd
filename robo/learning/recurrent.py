"""Networks with an LSTM, as TF-Agents' agents and policies want them.

They take batches of single observations, float32 [B, O], or of sequences, [B, T, O], and begin with an empty
memory where no state is given, or where a batch's first step is an episode's.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step

LAST = 0.003
"""The range of the last layer's first weights, as DDPG's authors have it: actions and values begin near 0."""

State = Sequence[tf.Tensor]
"""Output and memory, float32 [B, L] each."""


class _Memory(tf.keras.layers.Layer):
    """Dense layers and an LSTM over observations."""

    def __init__(self, layers: Sequence[int], size: int) -> None:
        super().__init__()
        self._size = size
        self._dense = _dense(layers)
        self._lstm = tf.keras.layers.LSTM(size, return_sequences=True, return_state=True, unroll=True)

    def call(
        self, observation: tf.Tensor, step_type: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """What is remembered after each of T observations, float32 [B, T, L], and the last state."""
        if not state:
            nothing = tf.zeros([tf.shape(observation)[0], self._size])
            state = [nothing, nothing]
        elif not isinstance(step_type, tuple):
            goes_on = tf.cast(step_type[:, :1] != time_step.StepType.FIRST, tf.float32)
            state = [part * goes_on for part in state]
        for layer in self._dense:
            observation = layer(observation)
        outputs, *state = self._lstm(observation, initial_state=list(state))
        return outputs, state


class RecurrentActor(network.Network):
    """Dense layers, an LSTM, dense layers, then tanh: actions in -1..1, float32 [B, (T,) 2]."""

    def __init__(  # noqa: PLR0917
        self,
        observation: tensor_spec.TensorSpec,
        action: tensor_spec.BoundedTensorSpec,
        input_layers: Sequence[int],
        lstm: int,
        output_layers: Sequence[int],
        name: str,
    ) -> None:
        super().__init__(observation, state_spec=_state_spec(lstm), name=name)
        self._memory = _Memory(input_layers, lstm)
        self._output_layers = _dense(output_layers)
        self._action = tf.keras.layers.Dense(
            action.shape[0],
            activation="tanh",
            kernel_initializer=tf.keras.initializers.RandomUniform(-LAST, LAST),
        )

    def call(
        self,
        observation: tf.Tensor,
        step_type: tf.Tensor | tuple[()] = (),
        network_state: State = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Actions and the state to go on from."""
        single = observation.shape.rank == 2
        if single:
            observation = observation[:, tf.newaxis]
            step_type = step_type if isinstance(step_type, tuple) else step_type[:, tf.newaxis]
        signal, state = self._memory(observation, step_type, network_state)
        for layer in self._output_layers:
            signal = layer(signal)
        action = self._action(signal)
        return (action[:, 0] if single else action), state


class RecurrentCritic(network.Network):
    """Dense layers and an LSTM over observations; dense layers over what it remembers and an action.

    Values of sequences, float32 [B, T]. Actions stay out of its memory, so that a target's value of another
    action than the one that was taken is still that of the same history.
    """

    def __init__(
        self,
        inputs: tuple[tensor_spec.TensorSpec, tensor_spec.BoundedTensorSpec],
        input_layers: Sequence[int],
        lstm: int,
        output_layers: Sequence[int],
        name: str,
    ) -> None:
        super().__init__(inputs, state_spec=_state_spec(lstm), name=name)
        self._memory = _Memory(input_layers, lstm)
        self._output_layers = _dense(output_layers)
        self._value = tf.keras.layers.Dense(
            1, kernel_initializer=tf.keras.initializers.RandomUniform(-LAST, LAST)
        )

    def call(
        self,
        inputs: tuple[tf.Tensor, tf.Tensor],
        step_type: tf.Tensor | tuple[()] = (),
        network_state: State = (),
        training: bool = False,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Values and the state to go on from."""
        observation, action = inputs
        single = observation.shape.rank == 2
        if single:
            observation, action = observation[:, tf.newaxis], action[:, tf.newaxis]
            step_type = step_type if isinstance(step_type, tuple) else step_type[:, tf.newaxis]
        signal, state = self._memory(observation, step_type, network_state)
        signal = tf.concat([signal, action], axis=-1)
        for layer in self._output_layers:
            signal = layer(signal)
        value = self._value(signal)[..., 0]
        return (value[:, 0] if single else value), state


def _dense(sizes: Sequence[int]) -> list[tf.keras.layers.Dense]:
    return [tf.keras.layers.Dense(size, activation="relu") for size in sizes]


def _state_spec(size: int) -> list[tensor_spec.TensorSpec]:
    return [tensor_spec.TensorSpec([size], tf.float32, name) for name in ("output", "memory")]
