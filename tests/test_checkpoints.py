"""A checkpoint brings training back exactly; a save that was cut short is as if it had not begun."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robo import config
from robo.driving.transitions import Transitions, layout
from robo.errors import UserError
from robo.learning import agents
from robo.learning.checkpoints import MANIFEST, Checkpoints
from robo.learning.replay import Replay

COUNTERS = {"env_steps": 1234, "best": 5.5}


@pytest.fixture(autouse=True)
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """XLA takes seconds for each agent."""
    monkeypatch.setattr(agents.Agent, "compiled", False)


class StubAgent:
    """An agent whose whole state is a few bytes, which may refuse to be written."""

    def __init__(self, content: str = "") -> None:
        self.content = content
        self.shapes: dict[str, Any] = {"observation size": 3}
        self.error: BaseException | None = None

    def save(self, prefix: Path) -> None:
        Path(f"{prefix}.txt").write_text(self.content)
        if self.error:
            raise self.error

    def restore(self, prefix: Path) -> None:
        self.content = Path(f"{prefix}.txt").read_text()


def replay(observation_size: int = 3, seed: int = 0) -> Replay:
    return Replay(1000, layout(observation_size), np.random.default_rng(seed))


def fill(filled: Replay, observation_size: int, count: int = 300) -> None:
    random = np.random.default_rng(3)

    def normal(*size: int) -> np.ndarray:
        return random.standard_normal((count, *size), dtype=np.float32)

    filled.add(
        Transitions(
            normal(observation_size),
            np.tanh(normal(2)),
            normal(),
            np.ones(count, "f"),
            normal(observation_size),
        )
    )


def build(*sets: str, observation_size: int = 8) -> agents.Agent:
    small = ("agent.actor_layers=[16, 16]", "agent.critic_layers=[16, 16]")
    return agents.build(config.load(sets=[*small, *sets]), observation_size)


def everything(agent: agents.Agent) -> list[np.ndarray]:
    """All that training goes on from: networks, targets, optimisers, step."""
    return agent.snapshot()


def test_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    agent, kept = build(), replay(8)
    fill(kept, 8)
    agent.train(kept.sample(32, batches=20))
    checkpoints.save(agent.step, agent, kept, COUNTERS)

    resumed, refilled = build("seed=77"), replay(8, seed=77)
    resumed.train(kept.sample(32, batches=1))  # also what has trained already is put back
    kept.load(tmp_path / "checkpoints" / "step-000000020" / "replay.npz")
    assert checkpoints.restore(resumed, refilled) == COUNTERS
    assert resumed.step == agent.step == 20
    for one, other in zip(everything(resumed), everything(agent), strict=True):
        np.testing.assert_array_equal(one, other)

    for trained, source in ((agent, kept), (resumed, refilled)):
        trained.train(source.sample(32, batches=5))
    for one, other in zip(everything(resumed), everything(agent), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("sets", "observation_size", "difference"),
    [
        ((), 9, "observation size is 8 there and 9 here"),
        (("agent.actor_layers=[16]",), 8, r"agent.actor_layers is \[16, 16\] there and \[16\] here"),
        (("agent.critic_layers=[16, 8]",), 8, r"agent.critic_layers is \[16, 16\] there and \[16, 8\] here"),
    ],
)
def test_another_network_is_named(
    tmp_path: Path, sets: tuple[str, ...], observation_size: int, difference: str
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    kept = replay(8)
    fill(kept, 8)
    checkpoints.save(0, build(), kept, {})
    other = build(*sets, observation_size=observation_size)
    with pytest.raises(UserError, match=difference):
        checkpoints.restore(other, replay(observation_size))


def test_spoilt_weights_are_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    agent = build()
    saved = checkpoints.save(0, agent, replay(8), {})
    for path in saved.glob("agent*"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(UserError, match="not a readable agent"):
        checkpoints.restore(agent, replay(8))


def test_without_a_checkpoint_there_is_nothing_to_restore(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "not there yet", keep=2)
    assert checkpoints.latest() is None
    assert checkpoints.restore(StubAgent(), replay()) is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (8, 9, 10, 11):
        checkpoints.save(step, StubAgent(), replay(), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010", "step-000000011"]
    assert checkpoints.latest() == tmp_path / "step-000000011"


def test_the_same_step_can_be_saved_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    for env_steps in (10, 20):
        checkpoints.save(5, StubAgent(), replay(), {"env_steps": env_steps})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000005"]
    assert checkpoints.restore(StubAgent(), replay()) == {"env_steps": 20}


def test_a_checkpoint_that_was_being_replaced_still_counts(tmp_path: Path) -> None:
    """As when the machine stops between moving the old one aside and moving the new one in."""
    checkpoints = Checkpoints(tmp_path, keep=1)
    saved = checkpoints.save(5, StubAgent("kept"), replay(), COUNTERS)
    saved.rename(tmp_path / "step-000000005.old")
    agent = StubAgent()
    assert checkpoints.restore(agent, replay()) == COUNTERS
    assert agent.content == "kept"
    checkpoints.save(6, StubAgent(), replay(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000006"]


@pytest.mark.parametrize("damage", ["temporary", "no manifest", "torn manifest", "cut", "missing"])
def test_a_torn_save_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    good = checkpoints.save(1, StubAgent("good"), replay(), {"at": 1})
    torn = checkpoints.save(2, StubAgent("torn"), replay(), {"at": 2})
    if damage == "temporary":
        torn.rename(tmp_path / "step-000000002.tmp")
    elif damage == "no manifest":
        (torn / MANIFEST).unlink()
    elif damage == "torn manifest":
        (torn / MANIFEST).write_text((torn / MANIFEST).read_text()[:40])
    elif damage == "cut":
        (torn / "replay.npz").write_bytes((torn / "replay.npz").read_bytes()[:-10])
    else:
        (torn / "agent.txt").unlink()
    assert checkpoints.latest() == good
    agent = StubAgent()
    assert checkpoints.restore(agent, replay()) == {"at": 1}
    assert agent.content == "good"
    checkpoints.save(2, StubAgent(), replay(), {"at": 3})
    assert checkpoints.restore(agent, replay()) == {"at": 3}
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    good = checkpoints.save(1, StubAgent("good"), replay(), {})
    failing = StubAgent("half")
    failing.error = error
    for step in (1, 2):
        with pytest.raises(type(error)):
            checkpoints.save(step, failing, replay(), {})
    assert list(tmp_path.iterdir()) == [good]
    assert (good / "agent.txt").read_text() == "good"


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    kept = replay()
    fill(kept, 3)
    folder = Checkpoints(tmp_path, keep=1).save(7, StubAgent("abc"), kept, COUNTERS)
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["step"] == 7
    assert manifest["counters"] == COUNTERS
    assert manifest["shapes"] == {"observation size": 3}
    assert manifest["files"] == {"agent.txt": 3, "replay.npz": (folder / "replay.npz").stat().st_size}


def test_a_copied_checkpoint_is_whole(tmp_path: Path) -> None:
    agent = build()
    saved = Checkpoints(tmp_path / "one", keep=1).save(3, agent, replay(8), COUNTERS)
    shutil.copytree(saved, tmp_path / "two" / saved.name)
    other = build("seed=9")
    assert Checkpoints(tmp_path / "two", keep=1).restore(other, replay(8)) == COUNTERS
    np.testing.assert_array_equal(other.actor_weights(), agent.actor_weights())
