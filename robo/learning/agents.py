"""The learning agents: TF-Agents behind what the learner, the checkpoints and the export need of them."""

from __future__ import annotations

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

with contextlib.redirect_stderr(io.StringIO()):  # TF-Agents imports gym, which prints an advertisement
    from tf_agents.agents.ddpg import actor_network, critic_network, ddpg_agent
    from tf_agents.agents.td3 import td3_agent
    from tf_agents.policies import actor_policy
    from tf_agents.specs import tensor_spec
    from tf_agents.trajectories import policy_step, time_step, trajectory

from robo import config
from robo.config import Config
from robo.driving.transitions import ACTION_SIZE, Transitions
from robo.errors import UserError


class LossNotFiniteError(ArithmeticError):
    """A loss became NaN or infinite; the weights may be spoilt."""


def set_threads(threads: int) -> None:
    """Let TensorFlow use so many threads.

    Call it before anything else of TensorFlow runs; later it raises RuntimeError.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def build(config: Config, observation_size: int) -> Agent:
    """The agent that ``config.agent`` describes, with fresh weights drawn from ``config.seed``.

    Seeds TensorFlow's, NumPy's and Python's global random states, which is where networks draw theirs from.
    Raises UserError on an unknown ``agent.type``.
    """
    if config.agent.type not in BUILDERS:
        known = ", ".join(sorted(BUILDERS))
        raise UserError(f"agent.type: {config.agent.type!r} is not known; use one of: {known}")
    tf.keras.utils.set_random_seed(config.seed % 2**32)
    return BUILDERS[config.agent.type](config, observation_size)


class Agent(ABC):
    """What all agents have in common: an actor, its target, their sizes, and a train step on batches.

    Observations are float32 [O], actions float32 [2] in -1..1.
    """

    critic_names: ClassVar[tuple[str, ...]]
    """Those that learn, then their targets."""

    def __init__(self, config: Config, observation_size: int) -> None:
        settings = config.agent
        self._type = settings.type
        self._observation = tensor_spec.TensorSpec([observation_size], tf.float32, "observation")
        self._action = tensor_spec.BoundedTensorSpec([ACTION_SIZE], tf.float32, -1.0, 1.0, "action")
        self._actor_layers = tuple(settings.actor_layers)
        self._critic_layers = tuple(settings.critic_layers)
        self.actor = self._new_actor("actor")
        self.target_actor = self._new_actor("target_actor")
        self.step_variable = tf.Variable(0, dtype=tf.int64, trainable=False, name="train_step")
        actor_optimizer = tf.keras.optimizers.Adam(settings.actor_learning_rate)
        critic_optimizer = tf.keras.optimizers.Adam(settings.critic_learning_rate)
        self.critics = {name: self._new_critic(name) for name in self.critic_names}
        self._agent = self._make_agent(
            settings,
            time_step_spec=time_step.time_step_spec(self._observation),
            action_spec=self._action,
            actor_network=self.actor,
            target_actor_network=self.target_actor,
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            target_update_tau=settings.target_update,
            td_errors_loss_fn=tf.math.squared_difference,
            gamma=settings.discount,
            train_step_counter=self.step_variable,
        )
        self._agent.initialize()
        # Built now, so that the train function need not be traced a second time for its variables.
        actor_optimizer.build(self.actor.trainable_variables)
        learn = [self.critics[name] for name in self.critic_names[: len(self.critic_names) // 2]]
        critic_optimizer.build([variable for critic in learn for variable in critic.trainable_variables])
        self.checkpoint = tf.train.Checkpoint(
            actor=self.actor,
            target_actor=self.target_actor,
            actor_optimizer=actor_optimizer,
            critic_optimizer=critic_optimizer,
            step=self.step_variable,
            **self.critics,
        )
        self._train = self._train_function()

    @abstractmethod
    def _make_agent(self, settings: config.Agent, **common: Any) -> Any:
        """TF-Agents' agent, of what all have in ``common`` and of the critics."""

    @property
    def step(self) -> int:
        """Train steps done, ever."""
        return int(self.step_variable.numpy())

    @property
    def shapes(self) -> dict[str, Any]:
        """What must agree for saved weights to fit."""
        return {
            "agent.type": self._type,
            "observation size": self._observation.shape[0],
            "action size": self._action.shape[0],
            "agent.actor_layers": list(self._actor_layers),
            "agent.critic_layers": list(self._critic_layers),
        }

    def train(self, batches: Transitions) -> dict[str, tf.Tensor]:
        """Do one train step for each of K batches (arrays [K, B, ...]), or a single one (arrays [B, ...]).

        Returns ``actor_loss`` and ``critic_loss``, means over the K steps: scalars for ``float()``. Several
        batches a call cost less each: K = 8 takes a fifth less time a step than K = 1.

        Raises LossNotFiniteError; steps before the one that failed have then been done.
        """
        if batches.reward.ndim == 1:
            batches = Transitions(*(array[np.newaxis] for array in batches))
        try:
            actor_loss, critic_loss = self._train(*batches)
        except tf.errors.InvalidArgumentError as error:
            if "inf or nan" in str(error):
                raise LossNotFiniteError("a loss is not finite") from None
            raise
        return {"actor_loss": actor_loss, "critic_loss": critic_loss}

    def prepare(self, batch_size: int) -> None:
        """Trace the train function and have TensorFlow optimise it, so that the first train step is quick.

        Changes no weight.
        """
        size = self._observation.shape[0]
        none = np.empty((0, batch_size), np.float32)
        observations = np.empty((0, batch_size, size), np.float32)
        actions = np.empty((0, batch_size, ACTION_SIZE), np.float32)
        self.train(Transitions(observations, actions, none, none, observations))

    def actor_weights(self) -> NDArray[np.float32]:
        """A copy of the actor's weights, float32 [P], in the order of ``robo.driving.actor.Actor``."""
        return np.concatenate([variable.numpy().ravel() for variable in self.actor.trainable_variables])

    def load_actor(self, flat: NDArray[np.float32]) -> None:
        """Set the actor's weights, float32 [P], but not its target's. Raises ValueError on another length."""
        _assign_flat(self.actor, flat)

    def greedy_policy(self, weights: NDArray[np.float32] | None = None) -> actor_policy.ActorPolicy:
        """The policy without noise: of a copy of the actor with ``weights``, float32 [P], or of the actor."""
        actor = self.actor
        if weights is not None:
            actor = self._new_actor("greedy_actor")
            _assign_flat(actor, weights)
        return actor_policy.ActorPolicy(
            time_step.time_step_spec(self._observation), self._action, actor_network=actor, clip=True
        )

    @property
    def policy(self) -> actor_policy.ActorPolicy:
        """The greedy policy of the actor as it learns on."""
        return self._agent.policy

    def save(self, prefix: Path) -> None:
        """Write networks, target networks, optimisers and step to files that begin with ``prefix``.

        Raises OSError when they can't be written.
        """
        try:
            self.checkpoint.write(str(prefix))
        except tf.errors.OpError as error:
            raise OSError(f"{prefix}: {error.message}") from None

    def restore(self, prefix: Path) -> None:
        """Take on what ``save`` wrote, exactly. Raises UserError when it can't be read or does not fit."""
        try:
            self.checkpoint.read(str(prefix)).assert_consumed()
        except (tf.errors.OpError, ValueError, AssertionError):
            raise UserError(
                f"{prefix}: not a readable agent; remove its checkpoint to use the one before"
            ) from None

    def _new_actor(self, name: str) -> actor_network.ActorNetwork:
        network = actor_network.ActorNetwork(
            self._observation, self._action, fc_layer_params=self._actor_layers, name=name
        )
        network.create_variables()
        return network

    def _new_critic(self, name: str) -> critic_network.CriticNetwork:
        network = critic_network.CriticNetwork(
            (self._observation, self._action), joint_fc_layer_params=self._critic_layers, name=name
        )
        network.create_variables()
        return network

    def _train_function(self) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        """One graph for any number of batches: a loop in it costs less than a call for each."""
        size = self._observation.shape[0]
        observations = tf.TensorSpec([None, None, size], tf.float32)
        actions = tf.TensorSpec([None, None, ACTION_SIZE], tf.float32)
        numbers = tf.TensorSpec([None, None], tf.float32)

        # Compiled by XLA a step takes 30% longer on a core; AutoGraph would only add seconds of tracing.
        @tf.function(input_signature=[observations, actions, numbers, numbers, observations], autograph=False)
        def train(*batches: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            count = tf.shape(batches[0])[0]

            def update(index: tf.Tensor, actor: tf.Tensor, critic: tf.Tensor) -> tuple[tf.Tensor, ...]:
                transition = _transition(*(batch[index] for batch in batches))
                losses = self._agent.train(transition).extra
                return index + 1, actor + losses.actor_loss, critic + losses.critic_loss

            _, actor, critic = tf.while_loop(
                lambda index, *_: index < count, update, (0, 0.0, 0.0), parallel_iterations=1
            )
            steps = tf.cast(tf.maximum(count, 1), tf.float32)
            return actor / steps, critic / steps

        return train


def _transition(
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


def _assign_flat(network: Any, flat: NDArray[np.float32]) -> None:
    variables: Sequence[tf.Variable] = network.trainable_variables
    sizes = [variable.shape.num_elements() for variable in variables]
    if flat.shape != (sum(sizes),):
        raise ValueError(f"expected {sum(sizes)} weights, not an array of shape {flat.shape}")
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    for variable, part in zip(variables, parts, strict=True):
        variable.assign(part.reshape(variable.shape))


class Ddpg(Agent):
    """DDPG (Lillicrap et al., 2015, "Continuous control with deep reinforcement learning"), by TF-Agents.

    One train step is one update of the critic by the squared temporal-difference error, one of the actor, and
    one of the target networks.
    """

    critic_names = ("critic", "target_critic")

    def _make_agent(self, settings: config.Agent, **common: Any) -> ddpg_agent.DdpgAgent:
        return ddpg_agent.DdpgAgent(
            critic_network=self.critics["critic"],
            target_critic_network=self.critics["target_critic"],
            **common,
        )


class Td3(Agent):
    """TD3 (Fujimoto et al., 2018, "Addressing function approximation error in actor-critic methods").

    One train step updates two critics by the smaller of their targets' values of the target actor's action,
    noise added, and the target networks; every ``agent.actor_update_period``-th one the actor.
    """

    critic_names = ("critic", "critic_2", "target_critic", "target_critic_2")

    def _make_agent(self, settings: config.Agent, **common: Any) -> td3_agent.Td3Agent:
        return td3_agent.Td3Agent(
            critic_network=self.critics["critic"],
            critic_network_2=self.critics["critic_2"],
            target_critic_network=self.critics["target_critic"],
            target_critic_network_2=self.critics["target_critic_2"],
            actor_update_period=settings.actor_update_period,
            target_policy_noise=settings.target_noise_stddev,
            target_policy_noise_clip=settings.target_noise_most,
            **common,
        )


BUILDERS: dict[str, Callable[[Config, int], Agent]] = {"ddpg": Ddpg, "td3": Td3}
"""Agent types by their name in the configuration."""
