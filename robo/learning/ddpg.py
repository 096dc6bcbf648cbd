"""DDPG and TD3: deterministic actors without a memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf
from tf_agents.agents.ddpg import actor_network, critic_network, ddpg_agent
from tf_agents.agents.td3 import td3_agent

from robo.learning.agent import Agent, Parts, adam, as_transition


class FeedForward(Agent):
    """An actor and critics of dense layers.

    ``critic_names``: of those that learn; each has a target that follows it, named ``target_`` and that.
    """

    shape_settings = ("actor_layers", "critic_layers")
    critic_names: ClassVar[tuple[str, ...]]

    def _new_critic(self, name: str) -> critic_network.CriticNetwork:
        critic = critic_network.CriticNetwork(
            (self._observation, self._action),
            joint_fc_layer_params=tuple(self.settings.critic_layers),
            name=name,
        )
        critic.create_variables()
        return critic

    def _new_critics(self) -> dict[str, critic_network.CriticNetwork]:
        names = [*self.critic_names, *(f"target_{name}" for name in self.critic_names)]
        return {name: self._new_critic(name) for name in names}

    def _learning(self, critics: dict[str, critic_network.CriticNetwork]) -> list[tf.Variable]:
        """The variables of the critics that learn."""
        return [variable for name in self.critic_names for variable in critics[name].trainable_variables]

    def _td_errors(self, batch: Sequence[tf.Tensor]) -> tf.Tensor:
        before, action, after = as_transition(*batch)
        next_action = self._next_action(after.observation)
        targets = [
            self.networks[f"target_{name}"]((after.observation, next_action))[0] for name in self.critic_names
        ]
        value, _ = self.networks[self.critic_names[0]]((before.observation, action.action))
        target = after.reward + self.settings.discount * after.discount * tf.reduce_min(targets, axis=0)
        return tf.abs(target - value)

    def _next_action(self, observation: tf.Tensor) -> tf.Tensor:
        """The action that a target counts on, float32 [B, 2]."""
        return self.networks["target_actor"](observation)[0]


class _Deterministic(FeedForward):
    """An actor whose output is the action, and a target actor that follows it."""

    def _new_actor(self, name: str) -> actor_network.ActorNetwork:
        actor = actor_network.ActorNetwork(
            self._observation,
            self._action,
            fc_layer_params=tuple(self.settings.actor_layers),
            name=name,
        )
        actor.create_variables()
        return actor

    def _parts(self) -> Parts:
        settings = self.settings
        actor, target_actor = self._new_actor("actor"), self._new_actor("target_actor")
        critics = self._new_critics()
        optimizers = {
            "actor_optimizer": adam(settings.actor_learning_rate, actor.trainable_variables),
            "critic_optimizer": adam(settings.critic_learning_rate, self._learning(critics)),
        }
        agent = self._make_agent(
            critics,
            time_step_spec=self._time_step,
            action_spec=self._action,
            actor_network=actor,
            target_actor_network=target_actor,
            target_update_tau=settings.target_update,
            td_errors_loss_fn=tf.math.squared_difference,
            gamma=settings.discount,
            train_step_counter=self.step_variable,
            **optimizers,
        )
        return Parts(agent, actor, {"target_actor": target_actor, **critics}, optimizers, {})

    def _make_agent(self, critics: dict[str, Any], **common: Any) -> Any:
        """TF-Agents' agent, of what both have in ``common`` and of the critics."""
        raise NotImplementedError


class _UnweightedActor:
    """Has rows count the same for the actor: TF-Agents can't weigh its loss, which has a number an action."""

    def actor_loss(
        self, time_steps: Any, weights: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """See TF-Agents' agents."""
        return super().actor_loss(time_steps, training=training)


class _Ddpg(_UnweightedActor, ddpg_agent.DdpgAgent):
    pass


class _Td3(_UnweightedActor, td3_agent.Td3Agent):
    pass


class Ddpg(_Deterministic):
    """DDPG (Lillicrap et al., 2015, "Continuous control with deep reinforcement learning"), by TF-Agents.

    One train step is one update of the critic by the squared temporal-difference error, one of the actor, and
    one of the target networks.
    """

    critic_names = ("critic",)

    def _make_agent(self, critics: dict[str, Any], **common: Any) -> ddpg_agent.DdpgAgent:
        return _Ddpg(
            critic_network=critics["critic"], target_critic_network=critics["target_critic"], **common
        )


class Td3(_Deterministic):
    """TD3 (Fujimoto et al., 2018, "Addressing function approximation error in actor-critic methods").

    One train step updates two critics by the smaller of their targets' values of the target actor's action,
    noise added, and the target networks; every ``agent.actor_update_period``-th one the actor.
    """

    critic_names = ("critic", "critic_2")

    def _make_agent(self, critics: dict[str, Any], **common: Any) -> td3_agent.Td3Agent:
        return _Td3(
            critic_network=critics["critic"],
            critic_network_2=critics["critic_2"],
            target_critic_network=critics["target_critic"],
            target_critic_network_2=critics["target_critic_2"],
            actor_update_period=self.settings.actor_update_period,
            target_policy_noise=self.settings.target_noise_stddev,
            target_policy_noise_clip=self.settings.target_noise_most,
            **common,
        )
