"""How the driving processes choose actions, and what those become on the wire."""

from __future__ import annotations

import numpy as np
import pytest

from robo import config
from robo.driving import policies
from robo.driving.actor import Actor, FeedForwardActor, GaussianActor
from robo.driving.debug_policy import follow_colors
from robo.driving.policies import Exploring, FollowColors, Greedy, to_action, to_command

SIZE = 3
VECTOR = np.array([0.5, -1.0, 2.0], np.float32)
PICTURE = np.zeros((8, 3), np.float32)
ACTION = config.load().action


def actor(scale: float | None = 0.0) -> Actor:
    """Weights times ``scale``; None: none loaded."""
    network = FeedForwardActor(SIZE, (4,))
    if scale is not None:
        random = np.random.default_rng(1)
        network.load((scale * random.standard_normal(network.size)).astype(np.float32))
    return network


def exploring(network: Actor, stddev: float = 0.1, damping: float = 0.15, seed: int = 0) -> Exploring:
    return Exploring(network, stddev, damping, np.random.default_rng(seed))


def actions(policy: Exploring, count: int) -> np.ndarray:
    return np.array([policy.act(VECTOR, PICTURE) for _ in range(count)])


def test_greedy_does_what_the_actor_says() -> None:
    network = actor(0.5)
    np.testing.assert_array_equal(Greedy(network).act(VECTOR, PICTURE), network(VECTOR[None])[0])


def test_greedy_has_nothing_to_say_before_there_are_weights() -> None:
    with pytest.raises(RuntimeError, match="no weights"):
        Greedy(actor(None)).act(VECTOR, PICTURE)


def test_before_there_are_weights_actions_are_uniformly_random() -> None:
    drawn = actions(exploring(actor(None)), 20_000)
    assert drawn.dtype == np.float32
    assert drawn.min() >= -1.0
    assert drawn.max() <= 1.0
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), 1 / np.sqrt(3), atol=0.01)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.03


def test_weights_end_the_randomness() -> None:
    network = actor(None)
    policy = exploring(network, stddev=0.0)
    assert np.ptp(actions(policy, 5)) > 0.0
    network.load(np.zeros(network.size, np.float32))
    np.testing.assert_array_equal(actions(policy, 5), 0.0)


def test_the_noise_is_a_mean_reverting_walk_of_the_configured_size() -> None:
    """x' = (1 - damping) x + stddev N: the correlation of neighbours and the spread follow."""
    stddev, damping = 0.1, 0.15
    noise = actions(exploring(actor(), stddev, damping), 40_000)
    keep = 1.0 - damping
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=0.02)
    np.testing.assert_allclose(noise.std(axis=0), stddev / np.sqrt(1 - keep**2), rtol=0.05)
    steps = noise[1:] - keep * noise[:-1]
    np.testing.assert_allclose(steps.std(axis=0), stddev, rtol=0.02)
    assert abs(np.corrcoef(steps.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(steps[1:, 0], steps[:-1, 0])[0, 1]) < 0.03


def test_the_noise_comes_on_top_of_the_actor_and_is_clipped() -> None:
    network = actor(0.5)
    quiet, loud = exploring(network, 0.01), exploring(network, 50.0)
    np.testing.assert_allclose(quiet.act(VECTOR, PICTURE), network(VECTOR[None])[0], atol=0.05)
    shouted = actions(loud, 200)
    assert np.abs(shouted).max() == 1.0
    assert shouted.dtype == np.float32


def test_every_episode_starts_without_noise() -> None:
    one, other = exploring(actor(), seed=4), exploring(actor(), seed=4)
    first = actions(one, 1)
    np.testing.assert_array_equal(first, actions(other, 1))
    one.begin()
    begun, gone_on = actions(one, 1), actions(other, 1)
    np.testing.assert_allclose(gone_on - begun, 0.85 * first, atol=1e-6)


def test_cars_with_different_random_numbers_explore_differently() -> None:
    assert not np.array_equal(actions(exploring(actor(), seed=1), 3), actions(exploring(actor(), seed=2), 3))


def test_an_action_given_away_does_not_change_any_more() -> None:
    for policy in (exploring(actor(0.5)), exploring(actor(None)), Greedy(actor(0.5))):
        given = policy.act(VECTOR, PICTURE)
        copy = given.copy()
        policy.act(2 * VECTOR, PICTURE)
        np.testing.assert_array_equal(given, copy)


@pytest.mark.parametrize(
    ("action", "command"),
    [((-1.0, -1.0), (0.02, -1.0)), ((1.0, 1.0), (0.1, 1.0)), ((0.0, 0.25), (0.06, 0.25))],
)
def test_actions_span_the_configured_throttle_and_turn(action: tuple, command: tuple) -> None:
    assert to_command(ACTION, np.array(action, np.float32)) == pytest.approx(command)


def test_a_smaller_turn_can_be_configured() -> None:
    settings = config.load(sets=["action.turn_max=0.5"]).action
    assert to_command(settings, np.array([0.0, -1.0], np.float32))[1] == pytest.approx(-0.5)


@pytest.mark.parametrize("turn_max", [0.4, 1.0])
def test_commands_and_actions_are_each_others_inverse(turn_max: float) -> None:
    settings = config.load(sets=[f"action.turn_max={turn_max}"]).action
    for action in np.random.default_rng(0).uniform(-1.0, 1.0, (50, 2)).astype(np.float32):
        back = to_action(settings, *to_command(settings, action))
        assert back.dtype == np.float32
        np.testing.assert_allclose(back, action, atol=1e-6)


def test_a_command_out_of_reach_becomes_the_nearest_action() -> None:
    np.testing.assert_array_equal(to_action(ACTION, 0.5, 3.0), [1.0, 1.0])
    np.testing.assert_array_equal(to_action(ACTION, 0.0, -3.0), [-1.0, -1.0])
    straight = config.load(sets=["action.turn_max=0"]).action
    np.testing.assert_allclose(to_action(straight, 0.06, 0.7), [0.0, 0.0], atol=1e-6)


def test_the_hand_written_policy_drives_through_the_same_actions() -> None:
    picture = np.zeros((8, 3), np.float32)
    picture[4:, 1], picture[4:, 2] = 0.3, 1.0
    action = FollowColors(ACTION).act(VECTOR, picture)
    assert to_command(ACTION, action) == pytest.approx(follow_colors(picture), abs=1e-6)
    assert follow_colors(picture) == pytest.approx((0.04, 0.3))


@pytest.mark.parametrize("curve", [1.0, 2.0])
def test_throttle_follows_its_curve_there_and_back(curve: float) -> None:
    settings = config.load(
        sets=["action.throttle_min=0", "action.throttle_max=1", f"action.throttle_curve={curve}"]
    ).action
    throttle, _ = to_command(settings, np.array([0.0, 0.0], np.float32))
    assert throttle == pytest.approx(0.5**curve)
    np.testing.assert_allclose(to_action(settings, throttle, 0.0), [0.0, 0.0], atol=1e-6)


def test_cars_explore_from_carefully_to_boldly() -> None:
    assert [policies.boldness(index, 5) for index in range(5)] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert policies.boldness(0, 1) == 0.0
    agent = config.load(sets=["agent.noise_stddev=0.05", "agent.noise_spread=3.0"]).agent
    sizes = []
    for boldness in (-1.0, 0.0, 1.0):
        policy = policies.exploring(agent, actor(), boldness, np.random.default_rng(0))
        sizes.append(actions(policy, 5000).std())
    np.testing.assert_allclose(np.divide(sizes[1:], sizes[:-1]), 3.0, rtol=0.05)


def test_an_entropy_agents_cars_draw_from_its_actor() -> None:
    agent = config.load(sets=["agent.type=sac", "agent.noise_spread=2.0"]).agent
    network = GaussianActor(SIZE, (4,))
    policy = policies.exploring(agent, network, 0.0, np.random.default_rng(0))
    assert np.abs(actions(policy, 1000)).max() > 0.9  # without weights: uniform
    network.load(np.zeros(network.size, np.float32))
    np.testing.assert_allclose(np.arctanh(actions(policy, 5000)).std(axis=0), 1.0, rtol=0.05)
