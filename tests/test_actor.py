"""The NumPy actor does what TF-Agents' actor does, from the same weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from robo import config
from robo.driving import actor as actors
from robo.driving.actor import Actor, FeedForwardActor, GaussianActor, RecurrentActor


def random_weights(actor: Actor, seed: int = 0, scale: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, scale, actor.size).astype(np.float32)


@pytest.mark.parametrize(
    "sets",
    [
        ["agent.type=ddpg", "agent.actor_layers=[16]"],
        ["agent.type=td3", "agent.actor_layers=[8, 12, 4]"],
        ["agent.type=sac", "agent.actor_layers=[16, 8]"],
        ["agent.type=rdpg", "agent.input_layers=[12]", "agent.lstm=7", "agent.output_layers=[9, 5]"],
        ["agent.type=rdpg", "agent.input_layers=[]", "agent.lstm=4", "agent.output_layers=[]"],
    ],
)
def test_it_equals_the_tf_agents_policy(sets: list[str], tmp_path: Path) -> None:
    """Over an episode, and the one after it, of several cars: also what it remembers is the same."""
    import tensorflow as tf
    from tf_agents.trajectories import time_step

    from robo.learning import agents
    from robo.learning.export import export_policy

    settings = config.load(sets=[*sets, "agent.batch_size=4"])
    agent = agents.build(settings, 24)
    actor = actors.build(settings.agent, 24)
    actor.load(random_weights(actor))
    export_policy(agent, tmp_path / "policy", {}, actor.weights)
    policy = tf.saved_model.load(str(tmp_path / "policy"))
    random = np.random.default_rng(1)
    for _ in range(2):
        actor.begin()
        state = policy.get_initial_state(5)
        for step in range(4):
            observation = random.uniform(0.0, 1.0, (5, 24)).astype(np.float32)
            seen = tf.constant(observation)
            now = time_step.transition(seen, tf.zeros(5)) if step else time_step.restart(seen, batch_size=5)
            expected, state, _ = policy.action(now, state)
            assert np.abs(expected.numpy()).max() > 1e-3
            np.testing.assert_allclose(actor(observation), expected.numpy(), atol=1e-5)


def test_a_recurrent_actor_remembers_until_an_episode_begins() -> None:
    actor = RecurrentActor(5, (8,), 6, (4,))
    actor.load(random_weights(actor))
    observation = np.ones((1, 5), np.float32)
    first, second = actor(observation), actor(observation)
    assert not np.array_equal(first, second)
    actor.begin()
    np.testing.assert_array_equal(actor(observation), first)


def test_a_gaussian_actor_draws_what_its_parameters_say() -> None:
    actor = GaussianActor(3, ())
    mean, log_stddev = np.array([0.3, -0.5], np.float32), np.array([-1.0, -2.0], np.float32)
    actor.load(np.concatenate([np.zeros(12, np.float32), mean, log_stddev]))
    observation = np.ones((20_000, 3), np.float32)
    np.testing.assert_allclose(actor(observation[:1])[0], np.tanh(mean), atol=1e-6)
    for spread in (1.0, 0.5):
        drawn = np.arctanh(actor.sample(observation, np.random.default_rng(0), spread).astype(np.float64))
        np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.01)
        np.testing.assert_allclose(drawn.std(axis=0), spread * np.exp(log_stddev), rtol=0.02)


def test_actions_have_their_shape_type_and_range() -> None:
    actor = FeedForwardActor(5, (8,))
    actor.load(random_weights(actor, scale=100.0))
    observation = np.ones((4, 5), np.float32)
    action = actor(observation)
    assert action.shape == (4, 2)
    assert action.dtype == np.float32
    assert (np.abs(action) <= 1.0).all()
    assert (observation == 1.0).all()


def test_it_keeps_its_own_copy_of_the_weights() -> None:
    actor = FeedForwardActor(5, (8,))
    given = random_weights(actor)
    actor.load(given)
    kept = given.copy()
    given[:] = 0.0
    handed_out = actor.weights
    actor.load(given)
    np.testing.assert_array_equal(handed_out, kept)


def test_without_weights_there_is_no_action() -> None:
    actor = FeedForwardActor(5, (8,))
    assert not actor.loaded
    with pytest.raises(RuntimeError, match="no weights yet"):
        actor(np.zeros((1, 5), np.float32))
    with pytest.raises(ValueError, match="expected 66 weights"):
        actor.load(np.zeros(65, np.float32))
    assert not actor.loaded


def test_it_needs_no_tensorflow() -> None:
    code = "import sys, robo.driving.actor, robo.driving.transitions; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
