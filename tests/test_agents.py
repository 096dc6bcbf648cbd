"""The agent learns: what a train step changes, what it bootstraps from, and that it finds an optimum."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from robo import config
from robo.driving.transitions import Transitions
from robo.errors import UserError
from robo.learning import agents

OBSERVATION_SIZE = 6
SMALL = ("agent.actor_layers=[32, 32]", "agent.critic_layers=[32, 32]")


def build(*sets: str) -> agents.Agent:
    return agents.build(config.load(sets=[*SMALL, *sets]), OBSERVATION_SIZE)


def batch(count: int = 32, batches: int | None = None, discount: float = 1.0, seed: int = 0) -> Transitions:
    random = np.random.default_rng(seed)
    shape = (count,) if batches is None else (batches, count)

    def uniform(*size: int) -> np.ndarray:
        return random.uniform(-1.0, 1.0, (*shape, *size)).astype(np.float32)

    return Transitions(
        uniform(OBSERVATION_SIZE),
        uniform(2),
        uniform(),
        np.full(shape, discount, np.float32),
        uniform(OBSERVATION_SIZE),
    )


def variables(agent: agents.Agent) -> dict[str, list[np.ndarray]]:
    networks = {"actor": agent.actor, "target_actor": agent.target_actor, **agent.critics}
    return {name: [v.numpy() for v in network.variables] for name, network in networks.items()}


def squared_error(agent: agents.Agent, given: Transitions, gamma: float) -> float:
    """The critics' loss, written out: of each the mean of (r + gamma d Q'(s', mu'(s')) - Q(s, a)) squared.

    Q' is the least of the targets' values.
    """
    next_action, _ = agent.target_actor(given.next_observation)

    def value(critic: str, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        return agent.critics[critic]((observation, action))[0].numpy()

    learning = [name for name in agent.critics if not name.startswith("target")]
    after = [value(f"target_{name}", given.next_observation, next_action) for name in learning]
    target = given.reward + gamma * given.discount * np.min(after, axis=0)
    return sum(
        float(np.mean((target - value(name, given.observation, given.action)) ** 2)) for name in learning
    )


TYPES = pytest.mark.parametrize("kind", ["ddpg", "td3"])


@TYPES
def test_a_train_step_changes_every_network(kind: str) -> None:
    agent = build(f"agent.type={kind}")
    before = variables(agent)
    np.testing.assert_array_equal(before["actor"][0], before["target_actor"][0])
    losses = agent.train(batch())
    assert agent.step == 1
    assert all(np.isfinite(float(losses[name])) for name in ("actor_loss", "critic_loss"))
    for name, values in variables(agent).items():
        assert not np.array_equal(values[0], before[name][0]), name
    moved = variables(agent)
    step, followed = (np.abs(moved[name][0] - before[name][0]).max() for name in ("critic", "target_critic"))
    assert followed == pytest.approx(0.005 * step, rel=0.05)


def test_the_critic_comes_to_fit_a_fixed_batch() -> None:
    agent = build("agent.critic_learning_rate=0.003")
    given = batch(discount=0.0)
    losses = [float(agent.train(given)["critic_loss"]) for _ in range(200)]
    assert losses[-1] < 0.1 * losses[0]


def test_several_batches_in_a_call_are_as_many_steps() -> None:
    together, apart = build(), build()
    batches = batch(batches=5)
    losses = together.train(batches)
    each = [apart.train(Transitions(*(array[k] for array in batches))) for k in range(5)]
    assert together.step == apart.step == 5
    for name, loss in losses.items():
        assert float(loss) == pytest.approx(np.mean([float(one[name]) for one in each]), abs=1e-6)
    for name, values in variables(together).items():
        for one, other in zip(values, variables(apart)[name], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6, err_msg=name)


@TYPES
@pytest.mark.parametrize("gamma", [0.98, 0.5])
def test_termination_stops_bootstrapping_and_truncation_does_not(gamma: float, kind: str) -> None:
    losses = {}
    for discount in (0.0, 1.0):
        quick = ("agent.critic_learning_rate=0.01", "agent.target_update=0.1")
        agent = build(
            f"agent.type={kind}", "agent.target_noise_stddev=0.0", f"agent.discount={gamma}", *quick
        )
        paid = batch(batches=100)
        paid.reward[:] = 1.0
        agent.train(paid)  # so that the target critic says something
        given = batch(seed=1, discount=discount)
        expected = squared_error(agent, given, gamma)
        losses[discount] = float(agent.train(given)["critic_loss"])
        assert losses[discount] == pytest.approx(expected, rel=1e-4)
    assert losses[0.0] != pytest.approx(losses[1.0], rel=0.01)


def test_preparing_changes_nothing() -> None:
    agent = build()
    before = variables(agent)
    agent.prepare(32)
    assert agent.step == 0
    for name, values in variables(agent).items():
        for one, other in zip(values, before[name], strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_seed_decides_the_first_weights() -> None:
    one, same, other = build("seed=5"), build("seed=5"), build("seed=6")
    np.testing.assert_array_equal(one.actor_weights(), same.actor_weights())
    assert not np.array_equal(one.actor_weights(), other.actor_weights())


def test_the_actor_can_be_set() -> None:
    agent = build()
    weights = np.arange(agent.actor_weights().size, dtype=np.float32)
    agent.load_actor(weights)
    np.testing.assert_array_equal(agent.actor_weights(), weights)
    with pytest.raises(ValueError, match="weights, not an array of shape"):
        agent.load_actor(weights[1:])


def test_a_loss_that_is_not_finite_is_told() -> None:
    agent = build()
    given = batch()
    given.reward[3] = np.nan
    with pytest.raises(agents.LossNotFiniteError):
        agent.train(given)


def test_an_unknown_type_is_named() -> None:
    settings = config.load()
    unknown = msgspec.structs.replace(settings, agent=msgspec.structs.replace(settings.agent, type="dddpg"))
    with pytest.raises(UserError, match=r"agent\.type: 'dddpg' is not known; use one of: ddpg"):
        agents.build(unknown, OBSERVATION_SIZE)


def test_td3_learns_with_its_actor_every_few_steps() -> None:
    agent = build("agent.type=td3", "agent.actor_update_period=3")
    changes = []
    for _ in range(7):
        before = agent.actor_weights()
        agent.train(batch())
        changes.append(not np.array_equal(before, agent.actor_weights()))
    assert changes == [True, False, False, True, False, False, True]


@TYPES
def test_it_finds_the_best_action_of_a_toy(kind: str) -> None:
    """Reward -(a - f(o))^2, nothing after it: the actor comes to f, within a few hundred steps."""
    rates = ("agent.actor_learning_rate=0.001", "agent.critic_learning_rate=0.003")
    agent = build(f"agent.type={kind}", *rates)
    random = np.random.default_rng(0)
    observation = random.uniform(-1.0, 1.0, (60, 128, OBSERVATION_SIZE)).astype(np.float32)
    action = random.uniform(-1.0, 1.0, (60, 128, 2)).astype(np.float32)
    best = 0.6 * observation[..., :2]
    reward = -np.sum((action - best) ** 2, axis=-1)
    given = Transitions(observation, action, reward, np.zeros_like(reward), observation)

    def distance() -> float:
        chosen, _ = agent.actor(observation[0])
        return float(np.sqrt(np.mean((chosen.numpy() - best[0]) ** 2)))

    at_first = distance()
    for _ in range(10):
        agent.train(given)
    assert agent.step == 600
    assert at_first > 0.3
    assert distance() < 0.1
