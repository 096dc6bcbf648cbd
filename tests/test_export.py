"""An exported policy acts as the agent did."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from robo import config
from robo.driving.actor import FeedForwardActor
from robo.learning import agents
from robo.learning.details import DETAILS
from robo.learning.export import export_policy
from robo.learning.saved_policy import SavedPolicy
from tests.small_disk import fill, small_disk

SIZE = 8
LAYERS = (16, 16)


@pytest.fixture(scope="module")
def agent() -> agents.Agent:
    return agents.build(config.load(sets=[f"agent.actor_layers={list(LAYERS)}"]), SIZE)


def weights(seed: int) -> np.ndarray:
    return (
        np.random.default_rng(seed).normal(0.0, 0.3, FeedForwardActor(SIZE, LAYERS).size).astype(np.float32)
    )


def actions(flat: np.ndarray, observation: np.ndarray) -> np.ndarray:
    actor = FeedForwardActor(SIZE, LAYERS)
    actor.load(flat)
    return actor(observation)


def acted(folder: Path, observation: np.ndarray) -> np.ndarray:
    policy = SavedPolicy(folder)
    return np.stack([policy(one) for one in observation])


def test_a_loaded_policy_gives_the_same_actions(tmp_path: Path, agent: agents.Agent) -> None:
    observation = np.random.default_rng(0).uniform(0.0, 1.0, (5, SIZE)).astype(np.float32)
    best = tmp_path / "policies" / "best"
    agent.load_actor(weights(1))
    export_policy(agent, best, {"score": 1.5})
    np.testing.assert_allclose(acted(best, observation), actions(weights(1), observation), atol=1e-5)
    assert json.loads((best / DETAILS).read_text()) == {"score": 1.5}

    # A better one takes its place: of given weights, while the agent learns on with its own.
    export_policy(agent, best, {"score": 2.5}, weights(2))
    np.testing.assert_allclose(acted(best, observation), actions(weights(2), observation), atol=1e-5)
    np.testing.assert_array_equal(agent.actor_weights(), weights(1))
    assert json.loads((best / DETAILS).read_text()) == {"score": 2.5}
    assert [path.name for path in best.parent.iterdir()] == ["best"]


def test_an_export_that_fails_leaves_the_one_before(tmp_path: Path, agent: agents.Agent) -> None:
    export_policy(agent, tmp_path / "best", {"score": 1})
    with pytest.raises(TypeError):
        export_policy(agent, tmp_path / "best", {"score": object()})
    assert json.loads((tmp_path / "best" / DETAILS).read_text()) == {"score": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("room", [0, 8, 40, 80, 100, 112, 116, 120])
def test_a_full_disk_leaves_the_one_before_and_nothing_else(
    tmp_path: Path, agent: agents.Agent, room: int
) -> None:
    """``room``: KiB; it ends in one file or another of those that make a policy, of 125 KiB in all."""
    observation = np.random.default_rng(0).uniform(0.0, 1.0, (5, SIZE)).astype(np.float32)
    with small_disk(tmp_path / "disk", "1m") as disk:
        best = disk / "policies" / "best"
        export_policy(agent, best, {"score": 1}, weights(1))
        ballast = fill(disk, but=1024 * room)
        with pytest.raises(OSError, match="No space left") as told:
            export_policy(agent, best, {"score": 2, "size": "x" * 20_000}, weights(2))
        assert told.value.errno == errno.ENOSPC
        assert "\n" not in str(told.value)
        assert [path.name for path in best.parent.iterdir()] == ["best"]
        np.testing.assert_allclose(acted(best, observation), actions(weights(1), observation), atol=1e-5)
        ballast.unlink()
        export_policy(agent, best, {"score": 2}, weights(2))
        np.testing.assert_allclose(acted(best, observation), actions(weights(2), observation), atol=1e-5)
        assert [path.name for path in best.parent.iterdir()] == ["best"]
