"""RDPG: DDPG with a memory in actor and critic."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tf_agents.agents.ddpg import ddpg_agent
from tf_agents.trajectories import time_step, trajectory

from robo.driving.transitions import ACTION_SIZE
from robo.learning.agent import Agent, Parts, adam, as_transition
from robo.learning.recurrent import RecurrentActor, RecurrentCritic

MOST = 0.9
"""What the largest error of a sequence counts towards its priority, beside the mean; as in R2D2."""


class Rdpg(Agent):
    """RDPG (Heess et al., 2015, "Memory-based control with recurrent neural networks").

    A row is a sequence of ``burn_in + sequence_length`` steps (``robo.driving.sequences.Sequences``) on which
    both networks' memories are unrolled from nothing. Steps of weight 0 only fill the memory: those before
    the ones that count, as in R2D2 (Kapturowski et al., 2019), and what follows an episode's end.
    """

    shape_settings = ("input_layers", "lstm", "output_layers")
    compiled = False  # it would take a minute, and make a large network's step slower

    @property
    def _steps(self) -> int:
        return self.settings.burn_in + self.settings.sequence_length

    def _new_actor(self, name: str) -> RecurrentActor:
        settings = self.settings
        actor = RecurrentActor(
            self._observation,
            self._action,
            settings.input_layers,
            settings.lstm,
            settings.output_layers,
            name=name,
        )
        actor.create_variables()
        return actor

    def _new_critic(self, name: str) -> RecurrentCritic:
        settings = self.settings
        critic = RecurrentCritic(
            (self._observation, self._action),
            settings.input_layers,
            settings.lstm,
            settings.output_layers,
            name=name,
        )
        critic.create_variables()
        return critic

    def _parts(self) -> Parts:
        settings = self.settings
        actor, target_actor = self._new_actor("actor"), self._new_actor("target_actor")
        critic, target_critic = self._new_critic("critic"), self._new_critic("target_critic")
        optimizers = {
            "actor_optimizer": adam(settings.actor_learning_rate, actor.trainable_variables),
            "critic_optimizer": adam(settings.critic_learning_rate, critic.trainable_variables),
        }
        agent = _Ddpg(
            time_step_spec=self._time_step,
            action_spec=self._action,
            actor_network=actor,
            target_actor_network=target_actor,
            critic_network=critic,
            target_critic_network=target_critic,
            target_update_tau=settings.target_update,
            td_errors_loss_fn=tf.math.squared_difference,
            gamma=settings.discount,
            train_step_counter=self.step_variable,
            **optimizers,
        )
        networks = {"target_actor": target_actor, "critic": critic, "target_critic": target_critic}
        return Parts(agent, actor, networks, optimizers, {})

    def _rows(self) -> list[list[int]]:
        steps = self._steps
        return [[steps + 1, self._observation.shape[0]], [steps, ACTION_SIZE], [steps], [steps], [steps]]

    def _experience(self, *batch: tf.Tensor) -> tuple[trajectory.Transition, tf.Tensor | None]:
        observation, action, reward, discount, weight = batch
        return as_transition(observation[:, :-1], action, reward, discount, observation[:, 1:]), weight

    def _td_errors(self, batch: Sequence[tf.Tensor]) -> tf.Tensor:
        transition, weight = self._experience(*batch)
        before, action, after = transition
        errors = weight * tf.abs(self._agent.td_errors(before, action.action, after, training=False))
        mean = tf.reduce_sum(errors, axis=1) / tf.maximum(tf.reduce_sum(weight, axis=1), 1.0)
        return MOST * tf.reduce_max(errors, axis=1) + (1.0 - MOST) * mean


class _Ddpg(ddpg_agent.DdpgAgent):
    """TF-Agents' DDPG, whose losses take a weight for each step of a sequence, float32 [B, T].

    The targets' memories see the whole sequence, from its first observation to its last; TF-Agents' own would
    begin with the second.
    """

    def td_errors(
        self, before: time_step.TimeStep, action: tf.Tensor, after: time_step.TimeStep, *, training: bool
    ) -> tf.Tensor:
        """Temporal-difference errors, float32 [B, T]."""
        seen = tf.concat([before.observation, after.observation[:, -1:]], axis=1)
        next_action, _ = self._target_actor_network(seen)
        value_after, _ = self._target_critic_network((seen, next_action))
        target = after.reward + self._gamma * after.discount * value_after[:, 1:]
        value, _ = self._critic_network((before.observation, action), training=training)
        return tf.stop_gradient(target) - value

    def critic_loss(
        self,
        time_steps: time_step.TimeStep,
        actions: tf.Tensor,
        next_time_steps: time_step.TimeStep,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """The mean squared error of the steps that count."""
        errors = self.td_errors(time_steps, actions, next_time_steps, training=training)
        return _mean(tf.square(errors), weights)

    def actor_loss(
        self, time_steps: time_step.TimeStep, weights: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """Minus the mean value of what the actor does at the steps that count."""
        action, _ = self._actor_network(time_steps.observation, training=training)
        value, _ = self._critic_network((time_steps.observation, action))
        return -_mean(value, weights)


def _mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    weights = tf.ones_like(values) if weights is None else weights
    return tf.reduce_sum(weights * values) / tf.maximum(tf.reduce_sum(weights), 1.0)
