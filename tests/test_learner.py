"""The learner survives losses that are not finite, a few times, and tells of what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processes.channels import Latest, Queue
from processes.launch import Context, Run
from processes.learner import FAILURES, MOST_ROLLBACKS, Learner, Pace
from processes.orders import OrderBook, Orders
from processes.table import AVERAGED, LEARNING, ORDERS_BYTES, Process
from processes.vitals import Count, Vitals
from robo import config
from robo.driving.transitions import Transitions
from robo.errors import FatalError
from robo.learning import agents

SETS = (
    "agent.actor_layers=[8]",
    "agent.critic_layers=[8]",
    "agent.batch_size=16",
    "observation.kind=color_mass",
    "observation.motion=false",
    "observation.action_history=0",
    "replay.random_transitions=32",
)
SIZE = 24


@pytest.fixture(autouse=True)
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA takes seconds for each agent."""
    monkeypatch.setattr(agents.Agent, "compiled", False)


def transitions(count: int, reward: float = 0.1) -> Transitions:
    random = np.random.default_rng(0)
    seen = random.uniform(0.0, 1.0, (2, count, SIZE)).astype(np.float32)
    action = random.uniform(-1.0, 1.0, (count, 2)).astype(np.float32)
    ones = np.ones(count, np.float32)
    return Transitions(seen[0], action, np.float32(reward) * ones, ones, seen[1])


class Lone:
    """A learner without the other processes."""

    def __init__(self, folder: Path, *sets: str) -> None:
        settings = config.load(sets=[*SETS, *sets])
        self.agent = agents.build(settings, SIZE)
        self.queue = Queue(10_000_000)
        self.weights = Latest(2, 4 * self.agent.actor_weights().size)
        self.vitals = Vitals(1)
        run = Run("test", folder, settings, "unix:///nowhere", [])
        self.orders = OrderBook(Latest(1, ORDERS_BYTES))
        channels = {
            "weights": self.weights,
            "experience:explorer0": self.queue,
            "orders": self.orders._board,
        }
        row = Process("learner", "processes.learner", heartbeat_seconds=60.0)
        self.learner = Learner(Context(run, row, 0, self.vitals, channels), self.agent)

    def feed(self, rows: Transitions) -> None:
        assert self.queue.put(Queue.pack(rows))
        self.learner._receive()


def test_a_loss_that_is_not_finite_puts_the_last_good_weights_back(tmp_path: Path) -> None:
    lone = Lone(tmp_path)
    lone.feed(transitions(64))
    assert lone.learner._train()
    lone.learner._keep_good()
    good, step = lone.agent.actor_weights(), lone.agent.step
    lone.feed(transitions(4000, reward=1e30))
    for time in range(1, MOST_ROLLBACKS + 1):
        assert lone.learner._train()
        np.testing.assert_array_equal(lone.agent.actor_weights(), good)
        assert lone.agent.step == step
        files = list((tmp_path / FAILURES).iterdir())
        assert len(files) == time
        assert lone.vitals.counts(0)[Count.ROLLBACKS] == time
    with np.load(files[0], allow_pickle=False) as batch:
        assert batch["reward"].shape == (4, 16)
        assert batch["reward"].max() > 1e29
    with pytest.raises(
        FatalError, match=r"a loss was not finite.*batch-.*\.npz; the weights were put back 3"
    ):
        lone.learner._train()


def test_rows_that_are_not_finite_are_counted_and_left_out(tmp_path: Path) -> None:
    lone = Lone(tmp_path)
    rows = transitions(64)
    rows.reward[:3] = np.nan
    lone.feed(rows)
    assert len(lone.learner._replay) == 61
    assert lone.vitals.counts(0) == {Count.ROWS: 3}


def test_what_can_not_be_written_is_said_and_training_goes_on(tmp_path: Path) -> None:
    lone = Lone(tmp_path)
    lone.feed(transitions(64))
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    lone.learner._save()
    assert lone.vitals.complaint(0).startswith("checkpoint not written: ")
    assert lone.vitals.counts(0) == {Count.WRITES: 1}
    assert lone.learner._train()
    (tmp_path / "checkpoints").unlink()
    lone.learner._save()
    assert lone.vitals.complaint(0) == ""
    assert list((tmp_path / "checkpoints").iterdir())


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    lone = Lone(tmp_path)
    lone.feed(transitions(64))
    lone.learner._keep_good()
    kept = lone.learner._good
    lone.agent.load_actor(np.full_like(lone.agent.actor_weights(), np.nan))
    lone.learner._keep_good()
    assert lone.learner._good is kept


def test_a_paused_run_learns_nothing_and_takes_in_what_comes(tmp_path: Path) -> None:
    lone = Lone(tmp_path)
    lone.orders.give(Orders(paused=True))
    lone.feed(transitions(64))
    assert not lone.learner._train()
    assert len(lone.learner._replay) == 64
    lone.orders.give(Orders())
    assert lone.learner._train()


def test_explorers_get_the_actor_and_the_evaluator_its_average(tmp_path: Path) -> None:
    lone = Lone(tmp_path, "agent.actor_learning_rate=0.05")
    lone.feed(transitions(2000))
    lone.learner._publish()
    for _ in range(5):
        lone.learner._train()
    lone.learner._publish()
    (version, newest), (same, average) = lone.weights.get(LEARNING), lone.weights.get(AVERAGED)
    assert version == same == lone.agent.step + 1
    assert newest == lone.agent.actor_weights().tobytes()
    assert average != newest
    assert np.isfinite(np.frombuffer(average, np.float32)).all()


def test_priorities_follow_what_was_learned(tmp_path: Path) -> None:
    lone = Lone(tmp_path, "replay.priority=0.6")
    lone.feed(transitions(64))
    before = lone.learner._replay._priorities.values(64)
    lone.learner._train()
    after = lone.learner._replay._priorities.values(64)
    assert (before == 1.0).all()
    assert (after != before).sum() > 16
    assert "td_errors" not in lone.learner._losses


def test_the_pace_counts_steps_also_in_sequences() -> None:
    plain = Pace(config.load(sets=["agent.batch_size=100", "replay.max_samples_per_insert=10"]))
    recurrent = Pace(
        config.load(
            [config.ROOT / "configs" / "rdpg.yml"],
            ["agent.batch_size=5", "agent.sequence_length=20", "replay.max_samples_per_insert=10"],
        )
    )
    for pace in (plain, recurrent):
        assert pace.allowed(2999, 0) == 0
        assert pace.allowed(3000, 0) == 1
        assert pace.allowed(3100, 0) == 11
