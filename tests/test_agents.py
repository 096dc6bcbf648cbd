"""The agent learns: what a train step changes, what it bootstraps from, and that it finds an optimum."""

from __future__ import annotations

import numpy as np
import pytest

from robo import config
from robo.driving import actor as actors
from robo.driving.sequences import Sequences
from robo.driving.transitions import Transitions
from robo.learning import agents

OBSERVATION_SIZE = 6
LAYERS = ("agent.actor_layers=[32, 32]", "agent.critic_layers=[32, 32]")
MEMORY = ("agent.input_layers=[16]", "agent.lstm=16", "agent.output_layers=[16]")
STEPS = ("agent.sequence_length=3", "agent.burn_in=1")


def build(*sets: str, kind: str = "ddpg") -> agents.Agent:
    sizes = (*MEMORY, *STEPS) if kind == "rdpg" else LAYERS
    return agents.build(config.load(sets=[f"agent.type={kind}", *sizes, *sets]), OBSERVATION_SIZE)


def train(agent: agents.Agent, given: Transitions | Sequences, *more: np.ndarray) -> dict[str, np.ndarray]:
    """A single train step."""
    losses = agent.train(tuple(array[np.newaxis] for array in given), *(array[np.newaxis] for array in more))
    return {name: loss.numpy() for name, loss in losses.items()}


@pytest.fixture(autouse=True)
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA takes seconds for each agent."""
    monkeypatch.setattr(agents.Agent, "compiled", False)


def sequences(count: int = 8, seed: int = 0) -> Sequences:
    """Of a step of burn-in and three that count, but the last one."""
    random = np.random.default_rng(seed)
    weight = np.ones((count, 4), np.float32)
    weight[:, 0] = weight[:, 3] = 0.0

    def uniform(*size: int) -> np.ndarray:
        return random.uniform(-1.0, 1.0, (count, *size)).astype(np.float32)

    return Sequences(
        uniform(5, OBSERVATION_SIZE), uniform(4, 2), uniform(4), np.ones((count, 4), np.float32), weight
    )


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
    networks = {"actor": agent.actor, **agent.networks}
    return {name: [v.numpy() for v in network.variables] for name, network in networks.items()}


def squared_error(agent: agents.Agent, given: Transitions, gamma: float) -> float:
    """The critics' loss, written out: of each the mean of (r + gamma d Q'(s', mu'(s')) - Q(s, a)) squared.

    Q' is the least of the targets' values.
    """
    next_action, _ = agent.networks["target_actor"](given.next_observation)

    def value(critic: str, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        return agent.networks[critic]((observation, action))[0].numpy()

    learning = [name for name in agent.networks if name.startswith("critic")]
    after = [value(f"target_{name}", given.next_observation, next_action) for name in learning]
    target = given.reward + gamma * given.discount * np.min(after, axis=0)
    return sum(
        float(np.mean((target - value(name, given.observation, given.action)) ** 2)) for name in learning
    )


TYPES = pytest.mark.parametrize("kind", ["ddpg", "td3"])
ALL = pytest.mark.parametrize("kind", ["ddpg", "td3", "sac", "rdpg"])


def rows(kind: str, seed: int = 0) -> Transitions | Sequences:
    return sequences(seed=seed) if kind == "rdpg" else batch(seed=seed)


@ALL
def test_a_train_step_changes_every_network(kind: str) -> None:
    agent = build(kind=kind)
    before = variables(agent)
    for name in before:
        if name.startswith("target"):
            np.testing.assert_array_equal(before[name][0], before[name.removeprefix("target_")][0])
    losses = train(agent, rows(kind))
    assert agent.step == 1
    assert set(losses) >= {"actor_loss", "critic_loss"}
    assert all(np.isfinite(loss) for loss in losses.values())
    for name, values in variables(agent).items():
        assert not np.array_equal(values[0], before[name][0]), name
    moved = variables(agent)
    step, followed = (np.abs(moved[name][0] - before[name][0]).max() for name in ("critic", "target_critic"))
    assert followed == pytest.approx(0.005 * step, rel=0.05)


def test_the_critic_comes_to_fit_a_fixed_batch() -> None:
    agent = build("agent.critic_learning_rate=0.003")
    given = batch(discount=0.0)
    losses = [train(agent, given)["critic_loss"] for _ in range(200)]
    assert losses[-1] < 0.1 * losses[0]


def test_several_batches_in_a_call_are_as_many_steps() -> None:
    together, apart = build(), build()
    batches = batch(batches=5)
    losses = together.train(batches)
    each = [train(apart, Transitions(*(array[k] for array in batches))) for k in range(5)]
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
        still = ["agent.target_noise_stddev=0.0"] if kind == "td3" else []
        agent = build(f"agent.discount={gamma}", *quick, *still, kind=kind)
        paid = batch(batches=100)
        paid.reward[:] = 1.0
        agent.train(paid)  # so that the target critic says something
        given = batch(seed=1, discount=discount)
        expected = squared_error(agent, given, gamma)
        losses[discount] = train(agent, given)["critic_loss"]
        assert losses[discount] == pytest.approx(expected, rel=1e-4)
    assert losses[0.0] != pytest.approx(losses[1.0], rel=0.01)


@ALL
def test_preparing_changes_nothing(kind: str) -> None:
    agent = build(kind=kind)
    before = variables(agent)
    agent.prepare(8, 2)
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
        train(agent, given)


def test_td3_learns_with_its_actor_every_few_steps() -> None:
    agent = build("agent.actor_update_period=3", kind="td3")
    changes = []
    for _ in range(7):
        before = agent.actor_weights()
        train(agent, batch())
        changes.append(not np.array_equal(before, agent.actor_weights()))
    assert changes == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("kind", ["ddpg", "td3", "sac"])
def test_it_finds_the_best_action_of_a_toy(kind: str) -> None:
    """Reward -(a - f(o))^2, nothing after it: the actor comes to f, within a few hundred steps."""
    rates = ("agent.actor_learning_rate=0.001", "agent.critic_learning_rate=0.003")
    cool = ["agent.temperature=0.01", "agent.target_entropy=-6"] if kind == "sac" else []
    agent = build(*rates, *cool, kind=kind)
    actor = actors.build(agent.settings, OBSERVATION_SIZE)
    random = np.random.default_rng(0)
    observation = random.uniform(-1.0, 1.0, (60, 128, OBSERVATION_SIZE)).astype(np.float32)
    action = random.uniform(-1.0, 1.0, (60, 128, 2)).astype(np.float32)
    best = 0.6 * observation[..., :2]
    reward = -np.sum((action - best) ** 2, axis=-1)
    given = Transitions(observation, action, reward, np.zeros_like(reward), observation)

    def distance() -> float:
        actor.load(agent.actor_weights())
        return float(np.sqrt(np.mean((actor(observation[0]) - best[0]) ** 2)))

    at_first = distance()
    for _ in range(10):
        agent.train(given)
    assert agent.step == 600
    assert at_first > 0.3
    assert distance() < 0.1


def test_sac_learns_its_temperature_towards_its_entropy() -> None:
    for target, warmer in ((2.0, True), (-8.0, False)):
        agent = build(f"agent.target_entropy={target}", kind="sac")
        before = float(agent.checkpoint.log_temperature)
        for _ in range(20):
            train(agent, batch())
        assert (float(agent.checkpoint.log_temperature) > before) == warmer


def test_rdpg_learns_only_from_the_steps_that_count() -> None:
    """What happens at a step of weight 0, after those that count, changes nothing; before them it does."""
    agent = build(kind="rdpg")
    fresh = agent.snapshot()

    def after(given: Sequences) -> np.ndarray:
        agent.go_back(fresh)
        train(agent, given)
        return agent.actor_weights()

    given = sequences()
    plain = after(given)
    late = sequences()
    late.observation[:, 4:] += 1.0
    for array in (late.action, late.reward, late.discount):
        array[:, 3:] += 1.0
    np.testing.assert_array_equal(after(late), plain)
    early = sequences()
    early.observation[:, 0] += 1.0
    assert not np.array_equal(after(early), plain)
    early = sequences()
    early.reward[:, 0] += 1.0
    np.testing.assert_array_equal(after(early), plain)


def test_rdpg_learns_what_only_a_memory_can() -> None:
    """The best action is what the first of four observations said."""
    agent = build("agent.actor_learning_rate=0.003", "agent.critic_learning_rate=0.003", kind="rdpg")
    random = np.random.default_rng(0)
    shape = (150, 64)
    observation = np.zeros((*shape, 5, OBSERVATION_SIZE), np.float32)
    observation[:, :, 0, :2] = random.choice([-1.0, 1.0], (*shape, 2))
    action = random.uniform(-1.0, 1.0, (*shape, 4, 2)).astype(np.float32)
    best = 0.6 * observation[:, :, :1, :2]
    reward = -np.sum((action - best) ** 2, axis=-1)
    weight = np.ones((*shape, 4), np.float32)
    given = Sequences(observation, action, reward, np.zeros_like(reward), weight)
    for _ in range(4):
        agent.train(given)
    actor = actors.build(agent.settings, OBSERVATION_SIZE)
    actor.load(agent.actor_weights())
    for step in range(4):
        chosen = actor(observation[0, :, step])
    assert float(np.sqrt(np.mean((chosen - best[0, :, 0]) ** 2))) < 0.3


@ALL
def test_prioritised_rows_count_by_their_weights_and_tell_their_errors(kind: str) -> None:
    agent = build("replay.priority=0.6", kind=kind)
    given = rows(kind)
    count = len(given.reward)
    before = agent.networks["critic"].variables[0].numpy()
    fresh = agent.snapshot()
    train(agent, given, np.zeros(count, np.float32))
    np.testing.assert_allclose(agent.networks["critic"].variables[0].numpy(), before, atol=1e-6)
    agent.go_back(fresh)
    told = train(agent, given, np.ones(count, np.float32))["td_errors"]
    assert told.shape == (1, count)
    assert (told > 0.0).all()
    if kind != "sac":  # which draws random numbers
        plain = build(kind=kind)
        train(plain, given)
        np.testing.assert_allclose(plain.actor_weights(), agent.actor_weights(), atol=1e-6)


@ALL
def test_going_back_undoes_train_steps(kind: str) -> None:
    agent = build(kind=kind)
    train(agent, rows(kind))
    snapshot, before = agent.snapshot(), variables(agent)
    train(agent, rows(kind, seed=2))
    once = agent.actor_weights()
    agent.go_back(snapshot)
    assert agent.step == 1
    for name, values in variables(agent).items():
        for one, same in zip(values, before[name], strict=True):
            np.testing.assert_array_equal(one, same, err_msg=name)
    if kind != "sac":  # which draws random numbers
        train(agent, rows(kind, seed=2))
        np.testing.assert_allclose(agent.actor_weights(), once, atol=1e-6)


def test_what_xla_compiles_learns_the_same_and_tells_of_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = build()
    monkeypatch.setattr(agents.Agent, "compiled", True)
    compiled = build()
    losses = [train(agent, batch()) for agent in (plain, compiled)]
    assert losses[0]["critic_loss"] == pytest.approx(losses[1]["critic_loss"], rel=1e-4)
    np.testing.assert_allclose(plain.actor_weights(), compiled.actor_weights(), atol=1e-5)
    given = batch()
    given.reward[3] = np.nan
    with pytest.raises(agents.LossNotFiniteError):
        train(compiled, given)
