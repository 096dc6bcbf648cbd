"""SAC: a stochastic actor that is paid for its entropy."""

from __future__ import annotations

import math
from functools import partial

import tensorflow as tf
from tf_agents.agents.sac import sac_agent, tanh_normal_projection_network
from tf_agents.networks import actor_distribution_network

from robo.driving.actor import LOG_STDDEV
from robo.learning.agent import Parts, adam
from robo.learning.ddpg import FeedForward


class Sac(FeedForward):
    """SAC (Haarnoja et al., 2018, "Soft actor-critic algorithms and applications"), by TF-Agents.

    One train step updates two critics, the actor, the temperature, so that the entropy comes to
    ``agent.target_entropy``, and the critics' targets. There is no target actor.
    """

    critic_names = ("critic", "critic_2")

    def _new_actor(self, name: str) -> actor_distribution_network.ActorDistributionNetwork:
        actor = actor_distribution_network.ActorDistributionNetwork(
            self._observation,
            self._action,
            fc_layer_params=tuple(self.settings.actor_layers),
            continuous_projection_net=partial(
                tanh_normal_projection_network.TanhNormalProjectionNetwork, std_transform=_stddev
            ),
            name=name,
        )
        actor.create_variables()
        return actor

    def _parts(self) -> Parts:
        settings = self.settings
        actor, critics = self._new_actor("actor"), self._new_critics()
        optimizers = {
            "actor_optimizer": adam(settings.actor_learning_rate, actor.trainable_variables),
            "critic_optimizer": adam(settings.critic_learning_rate, self._learning(critics)),
        }
        agent = sac_agent.SacAgent(
            self._time_step,
            self._action,
            critic_network=critics["critic"],
            critic_network_2=critics["critic_2"],
            target_critic_network=critics["target_critic"],
            target_critic_network_2=critics["target_critic_2"],
            actor_network=actor,
            alpha_optimizer=tf.keras.optimizers.legacy.Adam(settings.temperature_learning_rate),
            target_update_tau=settings.target_update,
            gamma=settings.discount,
            initial_log_alpha=math.log(settings.temperature),
            target_entropy=settings.target_entropy,
            train_step_counter=self.step_variable,
            **optimizers,
        )
        optimizers["temperature_optimizer"] = agent._alpha_optimizer
        _ = agent._alpha_optimizer.iterations
        agent._alpha_optimizer._create_all_weights([agent._log_alpha])
        return Parts(agent, actor, dict(critics), optimizers, {"log_temperature": agent._log_alpha})

    def _next_action(self, observation: tf.Tensor) -> tf.Tensor:
        return self.actor(observation, step_type=(), network_state=())[0].sample()

    def _loss_names(self) -> tuple[str, ...]:
        return (*super()._loss_names(), "alpha_loss")


def _stddev(parameter: tf.Tensor) -> tf.Tensor:
    return tf.exp(tf.clip_by_value(parameter, *LOG_STDDEV))
