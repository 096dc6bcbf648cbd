"""The zoo: policies are packed with all that there is to know of them, and those that are there drive."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from robo import config
from robo.config import ROOT
from robo.driving.transitions import observation_size
from robo.errors import UserError
from robo.learning import agents
from robo.learning.details import read_details
from robo.learning.export import export_policy
from robo.learning.saved_policy import SavedPolicy
from scripts import zoo

POLICIES = sorted(path.parent for path in zoo.ZOO.glob(f"*/{zoo.CARD}"))
MOST_BYTES = 5_000_000
FIGURES = {
    "lap_time": 9.5,
    "lap_time_min": 9.25,
    "lap_seconds_per_metre": 0.489,
    "laps": 12.0,
    "clean_laps": 11.0,
    "clean_lap_rate": 11 / 12,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a policy that scored 65 s after the command."""
    folder = tmp_path / "zoo-ddpg"
    settings = config.load(sets=["agent.actor_layers=[8]", "agent.critic_layers=[8]", "seed=3"])
    details = {"evaluation": FIGURES, "env_steps": 12_345, "train_step": 6789}
    agent = agents.build(settings, observation_size(settings.observation))
    export_policy(agent, folder / "policies" / "best", details)
    (folder / "logs").mkdir()
    (folder / "logs" / "supervisor.log").write_text('{"timestamp": "1970-01-01T00:16:40.000000Z"}\n')
    (folder / "config.yml").write_text(config.dump(settings))
    line = {"time": 1065.0, "kind": "evaluation", "env_steps": 12_345, "train_steps": 7000}
    line |= {"values": FIGURES | {"weights_age_s": 1.5}}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def test_a_policy_is_packed_with_its_card_config_and_curves(run: Path, tmp_path: Path) -> None:
    folder = zoo.pack("ddpg", run, tmp_path / "policies")
    SavedPolicy(folder)
    assert config.read(folder / "config.yml").seed == 3
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / zoo.CARD).read_text()
    for told in ("9.50 s, 0.489", "9.25 s", "11 of 12", "65 s", "12,345", "6,789", "configs/ddpg.yml"):
        assert told in card
    assert "[ddpg](ddpg/CARD.md)" in zoo.index(tmp_path / "policies")


def test_a_run_without_a_policy_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no exported policy"):
        zoo.pack("ddpg", tmp_path, tmp_path / "policies")
    assert not (tmp_path / "policies").exists()


def test_the_zoo_is_small_and_its_index_is_of_what_is_there() -> None:
    files = [path for path in zoo.ZOO.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {path.name for path in POLICIES} <= set(zoo.ENTRIES)
    if POLICIES:
        assert (zoo.ZOO / "README.md").read_text() == zoo.index(zoo.ZOO)


@pytest.mark.parametrize("folder", POLICIES, ids=lambda path: path.name)
def test_a_policy_of_the_zoo_is_good_and_can_be_driven(folder: Path) -> None:
    details = read_details(folder)
    assert details["evaluation"]["clean_lap_rate"] >= 0.9
    assert (ROOT / details["track"]).is_file()
    settings = config.read(folder / "config.yml")
    policy = SavedPolicy(folder)
    policy.begin()
    action = policy(np.zeros(observation_size(settings.observation), np.float32))
    assert action.shape == (2,)
    assert np.abs(action).max() <= 1.0


def test_nothing_in_the_zoo_names_a_place_on_the_machine_it_was_trained_on() -> None:
    for path in zoo.ZOO.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            assert str(ROOT).encode() not in path.read_bytes(), path
