"""The NumPy actor does what TF-Agents' actor does, from the same weights."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from robo.driving.actor import Actor


def random_weights(actor: Actor, seed: int = 0, scale: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, scale, actor.size).astype(np.float32)


@pytest.mark.parametrize("layers", [(16,), (256, 256), (8, 12, 4)])
def test_it_equals_the_tf_agents_actor(layers: tuple[int, ...]) -> None:
    from robo import config
    from robo.learning import agents

    agent = agents.build(config.load(sets=[f"agent.actor_layers={list(layers)}"]), 76)
    actor = Actor(76, layers, 2)
    observation = np.random.default_rng(1).uniform(0.0, 1.0, (32, 76)).astype(np.float32)
    for weights in (agent.actor_weights(), random_weights(actor, scale=0.1)):
        agent.load_actor(weights)
        actor.load(agent.actor_weights())
        expected, _ = agent.actor(observation)
        assert np.abs(expected.numpy()).max() > 1e-4
        np.testing.assert_allclose(actor(observation), expected.numpy(), atol=1e-5)


def test_actions_have_their_shape_type_and_range() -> None:
    actor = Actor(5, (8,), 2)
    actor.load(random_weights(actor, scale=100.0))
    observation = np.ones((4, 5), np.float32)
    action = actor(observation)
    assert action.shape == (4, 2)
    assert action.dtype == np.float32
    assert (np.abs(action) <= 1.0).all()
    assert (observation == 1.0).all()


def test_it_keeps_its_own_copy_of_the_weights() -> None:
    actor = Actor(5, (8,), 2)
    given = random_weights(actor)
    actor.load(given)
    kept = given.copy()
    given[:] = 0.0
    handed_out = actor.weights
    actor.load(given)
    np.testing.assert_array_equal(handed_out, kept)


def test_without_weights_there_is_no_action() -> None:
    actor = Actor(5, (8,), 2)
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
