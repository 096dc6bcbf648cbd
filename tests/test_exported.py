"""An exported policy is taken up while its cars go on driving, or it is said why not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from processes import exported
from processes.exported import Loaded, Substitute, action_of
from processes.orders import PolicyOrder
from robo import config
from robo.config import ROOT
from robo.driving.transitions import observation_size
from robo.errors import UserError
from robo.learning.details import DETAILS

SETTINGS = config.load()
SIZE = observation_size(SETTINGS.observation)
DDPG = str(ROOT / "policies" / "ddpg")
LIMIT_SECONDS = 60.0


def wait(done: Callable[[], object]) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture
def substitute() -> Substitute:
    """For two evaluators."""
    return Substitute([6, 7], SIZE, SETTINGS.action)


class Policy:
    """Stands for one that TensorFlow has loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def act(self, vector: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.zeros(2, np.float32)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "Exported", Policy)


def taken_up(substitute: Substitute, name: str, folder: str) -> Loaded:
    wait(
        lambda: (
            (loaded := substitute.want(PolicyOrder("1", name, folder))) is not None and loaded.name == name
        )
    )
    return substitute.want(PolicyOrder("1", name, folder))


def test_a_policy_is_taken_up_for_every_evaluator_and_given_up_at_once(substitute: Substitute) -> None:
    assert substitute.want(None) is None
    assert (
        substitute.want(PolicyOrder("1", "policies/ddpg", DDPG)) is None
    )  # what drove before goes on meanwhile
    loaded = taken_up(substitute, "policies/ddpg", DDPG)
    assert substitute.trouble == ""
    assert set(loaded.policies) == {6, 7}
    assert loaded.action == action_of(Path(DDPG), SETTINGS.action)
    action = loaded.policies[6].act(np.zeros(SIZE, np.float32), np.zeros(0, np.float32))
    assert action.shape == (2,)
    assert np.abs(action).max() <= 1.0
    assert substitute.want(None) is None


@pytest.mark.usefixtures("quick")
def test_the_one_before_drives_until_the_next_is_loaded(substitute: Substitute, tmp_path: Path) -> None:
    before = taken_up(substitute, "one", str(tmp_path))
    seen = substitute.want(PolicyOrder("1", "other", str(tmp_path)))
    assert seen is before or seen.name == "other"
    assert taken_up(substitute, "other", str(tmp_path)).policies[6].folder == tmp_path
    assert substitute.want(None) is None
    assert taken_up(substitute, "one", str(tmp_path)) is not before


def test_a_policy_that_is_gone_or_sees_something_else_is_not_taken_up(
    substitute: Substitute, tmp_path: Path
) -> None:
    for name, folder in (("gone", str(tmp_path)), ("small", str(ROOT / "policies" / "rdpg"))):
        assert substitute.want(PolicyOrder("1", name, folder)) is None
        wait(lambda: substitute.trouble)
        assert substitute.trouble.startswith(f"{name} not taken up: {folder}: ")
        assert "\n" not in substitute.trouble
        assert substitute.want(PolicyOrder("1", name, folder)) is None
        assert substitute.want(None) is None
        assert substitute.trouble == ""


@pytest.mark.parametrize("error", [UserError("no"), RuntimeError("no\nof which more")])
def test_whatever_goes_wrong_with_it_is_said(
    substitute: Substitute, monkeypatch: pytest.MonkeyPatch, error: Exception, tmp_path: Path
) -> None:
    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr(exported, "Exported", fail)
    substitute.want(PolicyOrder("1", "broken", str(tmp_path)))
    wait(lambda: substitute.trouble)
    assert substitute.trouble == "broken not taken up: no"


def test_what_its_outputs_mean_is_said_with_it_or_as_here(tmp_path: Path) -> None:
    assert action_of(tmp_path, SETTINGS.action) == SETTINGS.action
    (tmp_path / DETAILS).write_text(json.dumps({"action": {"throttle_max": 0.5}}))
    assert action_of(tmp_path, SETTINGS.action).throttle_max == 0.5
    assert action_of(tmp_path, SETTINGS.action).turn_max == SETTINGS.action.turn_max
    for nonsense in ({"throttle_max": "fast"}, {"repeat": -1}):
        (tmp_path / DETAILS).write_text(json.dumps({"action": nonsense}))
        with pytest.raises(ValueError, match=next(iter(nonsense))):
            action_of(tmp_path, SETTINGS.action)


def test_one_that_was_not_taken_up_can_be_asked_for_again(
    substitute: Substitute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    substitute.want(PolicyOrder("1", "late", str(tmp_path / "none")))
    wait(lambda: substitute.trouble)
    monkeypatch.setattr(exported, "Exported", Policy)
    again = PolicyOrder("2", "late", str(tmp_path))
    wait(lambda: substitute.want(again))
    assert substitute.trouble == ""
