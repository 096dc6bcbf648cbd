"""What all learning agents have in common: TF-Agents behind what the learner, checkpoints and export need."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

with contextlib.redirect_stderr(io.StringIO()):  # TF-Agents imports gym, which prints an advertisement
    from tf_agents.networks import network
    from tf_agents.policies import actor_policy, greedy_policy, policy_saver, tf_policy
    from tf_agents.specs import tensor_spec
    from tf_agents.trajectories import policy_step, time_step, trajectory

from robo.config import Config
from robo.driving.transitions import ACTION_SIZE
from robo.errors import UserError

Array = NDArray[np.float32]


class LossNotFiniteError(ArithmeticError):
    """A loss became NaN or infinite; the weights may be spoilt."""


class Parts(NamedTuple):
    """What an agent is made of."""

    agent: Any
    """TF-Agents' agent."""
    actor: network.Network
    networks: dict[str, network.Network]
    """All others that learn or follow, by name."""
    optimizers: dict[str, tf.keras.optimizers.legacy.Optimizer]
    variables: dict[str, tf.Variable]
    """What else is learned."""


class Agent(ABC):
    """An actor, its critics, and a train step on batches.

    Observations are float32 [O], actions float32 [2] in -1..1. ``shapes`` names the settings that decide
    which weights there are.
    """

    shape_settings: ClassVar[tuple[str, ...]]
    """Those keys of the agent's settings on which the networks' shapes depend."""
    compiled: ClassVar[bool] = True
    """Whether XLA compiles the train step, once for each number of batches: it takes seconds, and a step is
    then quicker by a tenth (DDPG) to a third (SAC)."""

    def __init__(self, config: Config, observation_size: int) -> None:
        self.settings = config.agent
        self._prioritised = config.replay.priority > 0.0
        self._observation = tensor_spec.TensorSpec([observation_size], tf.float32, "observation")
        self._action = tensor_spec.BoundedTensorSpec([ACTION_SIZE], tf.float32, -1.0, 1.0, "action")
        self._time_step = time_step.time_step_spec(self._observation)
        self.step_variable = tf.Variable(0, dtype=tf.int64, trainable=False, name="train_step")
        parts = self._parts()
        self._agent, self.actor, self.networks = parts.agent, parts.actor, parts.networks
        self._agent.initialize()
        self.checkpoint = tf.train.Checkpoint(
            actor=self.actor,
            step=self.step_variable,
            **parts.networks,
            **parts.optimizers,
            **parts.variables,
        )
        self._everything = [
            self.step_variable,
            *self.actor.variables,
            *(variable for each in parts.networks.values() for variable in each.variables),
            *(variable for each in parts.optimizers.values() for variable in each.variables()),
            *parts.variables.values(),
        ]
        self._saver: policy_saver.PolicySaver | None = None
        self._train = self._train_function()

    # What the kinds of agents differ in

    @abstractmethod
    def _parts(self) -> Parts:
        """Build networks, optimisers and TF-Agents' agent."""

    @abstractmethod
    def _new_actor(self, name: str) -> network.Network:
        """An actor with fresh weights."""

    def _rows(self) -> list[list[int]]:
        """The shape of a row of each array that a batch consists of, for the train function's signature."""
        size = self._observation.shape[0]
        return [[size], [ACTION_SIZE], [], [], [size]]

    def _experience(self, *batch: tf.Tensor) -> tuple[trajectory.Transition, tf.Tensor | None]:
        """A batch in TF-Agents' form, and what each row (and step) of it counts; None: all the same."""
        return as_transition(*batch), None

    @abstractmethod
    def _td_errors(self, batch: Sequence[tf.Tensor]) -> tf.Tensor:
        """How far off each row's value is, float32 [B], not negative: what it is worth to learn from."""

    # What the learner uses

    @property
    def step(self) -> int:
        """Train steps done, ever."""
        return int(self.step_variable.numpy())

    @property
    def shapes(self) -> dict[str, Any]:
        """What must agree for saved weights to fit."""
        settings = msgspec.to_builtins(self.settings)
        return {
            "agent.type": self.settings.type,
            "observation size": self._observation.shape[0],
            "action size": self._action.shape[0],
            **{f"agent.{name}": _as_json(settings[name]) for name in self.shape_settings},
        }

    def train(self, batches: tuple[Array, ...], weights: Array | None = None) -> dict[str, tf.Tensor]:
        """Do one train step for each of K batches (arrays [K, B, ...]).

        ``weights``: float32 [K, B], how much each row counts; needed where replay is prioritised. Returns the
        losses by name, means over the K steps, and where replay is prioritised ``td_errors``, [K, B]. Several
        batches a call cost less each: K = 8 takes a fifth less time a step than K = 1.

        Raises LossNotFiniteError; steps before the one that failed have then been done.
        """
        given = batches if weights is None else (*batches, weights)
        try:
            results = self._train(*given)
        except tf.errors.InvalidArgumentError as error:
            if "inf or nan" in str(error):
                raise LossNotFiniteError("a loss is not finite") from None
            raise
        # What XLA compiles does not tell by itself.
        if not all(np.isfinite(results[name].numpy()) for name in self._loss_names()):
            raise LossNotFiniteError("a loss is not finite")
        return results

    def prepare(self, batch_size: int, batches: int) -> None:
        """Trace and compile the train function for so many batches, so that the first train step is quick.

        Changes no weight.
        """
        before = self.snapshot()
        rows = tuple(np.zeros((batches, batch_size, *row), np.float32) for row in self._rows())
        self.train(rows, np.ones((batches, batch_size), np.float32) if self._prioritised else None)
        self.go_back(before)

    def actor_weights(self) -> Array:
        """A copy of the actor's weights, float32 [P], in the order of ``robo.driving.actor``."""
        return np.concatenate([variable.numpy().ravel() for variable in self.actor.trainable_variables])

    def load_actor(self, flat: Array) -> None:
        """Set the actor's weights, float32 [P], but no target's. Raises ValueError on another length."""
        _assign_flat(self.actor, flat)

    @property
    def policy(self) -> tf_policy.TFPolicy:
        """The greedy policy of the actor as it learns on."""
        return greedy_policy.GreedyPolicy(self._agent.policy)

    def policy_saver(self, weights: Array | None = None) -> policy_saver.PolicySaver:
        """What exports the policy without noise, with these weights, float32 [P], or the actor's.

        It is traced once, on an actor of its own, which takes most of the time of an export.
        """
        if self._saver is None:
            self._exported = self._new_actor("exported_actor")
            policy = actor_policy.ActorPolicy(
                self._time_step, self._action, actor_network=self._exported, clip=True
            )
            greedy = greedy_policy.GreedyPolicy(policy)
            self._saver = policy_saver.PolicySaver(greedy, train_step=self.step_variable)
        _assign_flat(self._exported, self.actor_weights() if weights is None else weights)
        return self._saver

    def snapshot(self) -> list[NDArray[Any]]:
        """A copy of everything that learning changes."""
        return [variable.numpy() for variable in self._everything]

    def go_back(self, snapshot: Sequence[NDArray[Any]]) -> None:
        """Put everything where it was when ``snapshot`` was taken."""
        for variable, value in zip(self._everything, snapshot, strict=True):
            variable.assign(value)

    def save(self, prefix: Path) -> None:
        """Write networks, target networks, optimisers and step to files that begin with ``prefix``.

        Raises OSError when they can't be written.
        """
        try:
            self.checkpoint.write(str(prefix))
        except tf.errors.OpError as error:
            raise as_os_error(error, prefix) from None

    def restore(self, prefix: Path) -> None:
        """Take on what ``save`` wrote, exactly. Raises UserError when it can't be read or does not fit."""
        try:
            self.checkpoint.read(str(prefix)).assert_consumed()
        except (tf.errors.OpError, ValueError, AssertionError):
            raise UserError(
                f"{prefix}: not a readable agent; remove its checkpoint to use the one before"
            ) from None

    # The train step

    def _train_function(self) -> Any:
        """One graph for any number of batches: a loop in it costs less than a call for each."""
        signature = [tf.TensorSpec([None, None, *row], tf.float32) for row in self._rows()]
        arrays = len(signature)
        if self._prioritised:
            signature.append(tf.TensorSpec([None, None], tf.float32))

        # AutoGraph would only add seconds of tracing.
        @tf.function(input_signature=signature, autograph=False, jit_compile=self.compiled)
        def train(*given: tf.Tensor) -> dict[str, tf.Tensor]:
            count = tf.shape(given[0])[0]
            errors = tf.zeros(tf.shape(given[0])[:2])

            def update(index: tf.Tensor, sums: dict[str, tf.Tensor], errors: tf.Tensor) -> tuple[Any, ...]:
                batch = [array[index] for array in given[:arrays]]
                transition, weights = self._experience(*batch)
                if self._prioritised:
                    errors = tf.tensor_scatter_nd_update(errors, [[index]], [self._td_errors(batch)])
                    rows = given[arrays][index]
                    weights = rows if weights is None else weights * rows[:, tf.newaxis]
                losses = self._agent.train(transition, weights=weights).extra._asdict()
                return index + 1, {name: sums[name] + losses[name] for name in sums}, errors

            names = self._loss_names()
            _, sums, errors = tf.while_loop(
                lambda index, *_: index < count,
                update,
                (0, dict.fromkeys(names, 0.0), errors),
                parallel_iterations=1,
            )
            steps = tf.cast(tf.maximum(count, 1), tf.float32)
            results = {name: total / steps for name, total in sums.items()}
            return results | ({"td_errors": errors} if self._prioritised else {})

        return train

    def _loss_names(self) -> tuple[str, ...]:
        return ("actor_loss", "critic_loss")


def as_transition(
    observation: tf.Tensor,
    action: tf.Tensor,
    reward: tf.Tensor,
    discount: tf.Tensor,
    next_observation: tf.Tensor,
) -> trajectory.Transition:
    """TF-Agents' form of a batch; no agent reads its step type, or reward or discount of the first step."""
    middle = tf.ones_like(reward, tf.int32)
    before = time_step.TimeStep(middle, tf.zeros_like(reward), tf.ones_like(discount), observation)
    after = time_step.TimeStep(middle, reward, discount, next_observation)
    return trajectory.Transition(before, policy_step.PolicyStep(action, (), ()), after)


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def as_os_error(error: tf.errors.OpError, path: Path) -> OSError:
    """What kept TensorFlow from writing to ``path``, as Python would have told it."""
    for number in errno.errorcode:
        if f"; {os.strerror(number)}" in error.message:
            return OSError(number, os.strerror(number), str(path))
    return OSError(f"{path}: {error.message}")


def adam(learning_rate: float, variables: Sequence[tf.Variable]) -> tf.keras.optimizers.legacy.Adam:
    """Adam (Kingma & Ba, 2015) with its variables made, so that a graph need not be traced twice for them.

    Keras' legacy one updates a variable in one operation, which on small networks saves a tenth of a step.
    """
    optimizer = tf.keras.optimizers.legacy.Adam(learning_rate)
    _ = optimizer.iterations
    optimizer._create_all_weights(variables)
    return optimizer


def _assign_flat(actor: network.Network, flat: Array) -> None:
    variables: Sequence[tf.Variable] = actor.trainable_variables
    sizes = [variable.shape.num_elements() for variable in variables]
    if flat.shape != (sum(sizes),):
        raise ValueError(f"expected {sum(sizes)} weights, not an array of shape {flat.shape}")
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    for variable, part in zip(variables, parts, strict=True):
        variable.assign(part.reshape(variable.shape))
