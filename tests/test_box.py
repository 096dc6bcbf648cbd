"""What a run tells of itself, its machine and what it has saved: also where some of that is damaged."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from processes import box
from processes.box import policy_folders, shelf
from processes.orders import Orders, PolicyOrder
from processes.table import cars
from robo import config
from robo.cache_values import CarInfo, SavedPolicy, Shelf
from robo.config import ROOT, Config
from robo.learning.checkpoints import CHECKSUM, MANIFEST, _seal
from robo.learning.details import DETAILS, MODEL

SETTINGS = config.load()
DRIVES_HERE = {
    "observation": msgspec.to_builtins(SETTINGS.observation),
    "action": msgspec.to_builtins(SETTINGS.action),
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that has begun."""
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    return folder


def policy(run: Path, name: str = "best", details: str | dict[str, object] | None = None) -> Path:
    """An exported policy of a run, or what can be taken for one."""
    folder = run / "policies" / name
    folder.mkdir(parents=True)
    (folder / MODEL).touch()
    if details is not None:
        text = details if isinstance(details, str) else json.dumps(details)
        (folder / DETAILS).write_text(text)
    return folder


def checkpoint(run: Path, steps: int, at: float) -> None:
    folder = run / "checkpoints" / f"step-{steps:09d}"
    folder.mkdir(parents=True)
    (folder / "replay.npz").write_bytes(bytes(steps))
    counters = {"env_steps": steps, "train_steps": 2 * steps, "replay": steps}
    manifest = {"counters": counters, "files": {"replay.npz": {"bytes": steps}}}
    (folder / MANIFEST).write_text(json.dumps({**manifest, CHECKSUM: _seal(manifest)}))
    os.utime(folder, (at, at))


def mine(run: Path, settings: Config = SETTINGS) -> dict[str, SavedPolicy]:
    """The run's own policies on the shelf, by their folder's name; as they come out of the cache."""
    told = msgspec.json.decode(msgspec.json.encode(shelf(run, settings)), type=Shelf)
    prefix = "runs/mine/policies/"
    return {one.name.removeprefix(prefix): one for one in told.policies if one.name.startswith(prefix)}


def test_a_run_tells_what_it_is() -> None:
    settings = config.load(
        [ROOT / "configs" / "td3.yml"],
        ["track=configs/tracks/meander.json", "cars.explorers=1", "simulator.clock=realtime"],
    )
    before = time.time()
    told = box.run_info(settings, cars(settings), 12.5, Orders())
    assert before <= told.at <= time.time()
    assert told.started_at == 12.5
    assert (told.agent, told.clock, told.simulator, told.track) == ("td3", "realtime", "embedded", "meander")
    assert told.cars == [
        CarInfo("robo1", "explorer", "explorer0"),
        CarInfo("robo-eval1", "evaluator", "evaluator"),
    ]
    assert (told.observation, told.observation_shape) == ("color_grid", [48, 3])
    assert (told.throttle_max, told.decisions_per_second) == (settings.action.throttle_max, 20.0)
    assert (told.control, told.paused, told.policy) == (False, False, "")


def test_a_run_tells_what_it_was_asked_to() -> None:
    settings = config.load(sets=["monitor.control=true"])
    told = box.run_info(
        settings, [], 0.0, Orders(paused=True, policy=PolicyOrder("id", "policies/ddpg", "/x"))
    )
    assert (told.control, told.paused, told.policy) == (True, True, "policies/ddpg")
    assert "/x" not in msgspec.json.encode(told).decode()


@pytest.mark.parametrize(
    ("sets", "agent", "simulator", "track"),
    [
        (["driver=debug", "observation.kind=color_mass"], "debug", "embedded", "esses"),
        (["driver=policy", "policy=policies/ddpg"], "policy", "embedded", "esses"),
        (["simulator.host=192.0.2.7", "simulator.car_port=7"], "ddpg", "192.0.2.7:7", ""),
    ],
)
def test_a_run_that_does_not_learn_or_drives_elsewhere_tells_that(
    sets: list[str], agent: str, simulator: str, track: str
) -> None:
    told = box.run_info(config.load(sets=sets), [], 0.0, Orders())
    assert (told.agent, told.simulator, told.track) == (agent, simulator, track)


def test_the_machine_is_told_of(tmp_path: Path) -> None:
    box.machine(tmp_path)
    told = box.machine(tmp_path)
    assert told.cores == os.cpu_count()
    assert 0.0 <= told.cpu <= 1.0
    assert 0 < told.memory_used < told.memory_total
    assert 0 < told.disk_free <= told.disk_total
    assert told.disk_total == shutil.disk_usage(tmp_path).total


def test_a_folder_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        box.machine(tmp_path / "none")


def test_a_run_that_has_saved_nothing_has_the_projects_policies(run: Path) -> None:
    told = shelf(run, SETTINGS)
    assert told.checkpoints == []
    assert {policy.name for policy in told.policies} >= {"policies/ddpg", "policies/tracks_full_speed"}
    assert all(policy.name.startswith("policies/") for policy in told.policies)


def test_a_policy_of_the_project_is_told_with_its_score() -> None:
    told = {one.name: one for one in shelf(ROOT / "runs" / "none", SETTINGS).policies}
    ddpg = told["policies/ddpg"]
    assert (ddpg.train_step, ddpg.clean_lap_rate, ddpg.track) == (24336, 1.0, "meander")
    assert ddpg.lap_time == pytest.approx(9.557, abs=0.001)
    assert ddpg.metres == pytest.approx(58.30, abs=0.01)
    assert ddpg.fits == ""
    assert told["policies/rdpg"].fits == "it sees something else"


def test_checkpoints_are_told_newest_first_and_torn_ones_not_at_all(run: Path) -> None:
    for steps in (100, 300, 200):
        checkpoint(run, steps, at=1000.0 + steps)
    (run / "checkpoints" / "step-000000300" / "replay.npz").write_bytes(b"short")
    (run / "checkpoints" / "step-000000400.tmp").mkdir()
    told = shelf(run, SETTINGS).checkpoints
    assert [one.name for one in told] == ["step-000000200", "step-000000100"]
    newest = told[0]
    assert (newest.env_steps, newest.train_steps, newest.bytes, newest.at) == (200, 400, 200, 1200.0)


def test_policies_are_told_newest_first(run: Path) -> None:
    for name, at in (("old", 1e9), ("new", 3e9), ("middle", 2e9)):
        os.utime(policy(run, name, DRIVES_HERE) / MODEL, (at, at))
    assert list(mine(run)) == ["new", "middle", "old"]
    assert mine(run)["new"].at == 3e9


def test_what_is_no_policy_or_not_whole_is_not_on_the_shelf(run: Path, tmp_path: Path) -> None:
    real = policy(tmp_path / "elsewhere")
    policies = run / "policies"
    (policies / "empty").mkdir(parents=True)
    (policies / "file").touch()
    (policies / "link").symlink_to(real)
    (policies / "folder" / MODEL).mkdir(parents=True)
    for name in ("best", "best.tmp", "best.old"):  # as they are while a better one is exported
        policy(run, name, DRIVES_HERE)
    assert list(mine(run)) == ["best"]


def test_policies_of_all_runs_are_found_by_names_that_lead_nowhere_else(run: Path) -> None:
    other = policy(run.parent / "other", "last")
    own = policy(run)
    found = policy_folders(run.parent)
    assert found["runs/mine/policies/best"] == own
    assert found["runs/other/policies/last"] == other
    assert found["policies/ddpg"] == ROOT / "policies" / "ddpg"
    assert not [name for name in found if name.startswith("/") or ".." in name]


def test_a_name_that_can_not_be_told_is_on_no_shelf(run: Path) -> None:
    policy(run, "best", DRIVES_HERE)
    for name in (b"\xff".decode(errors="surrogateescape"), "a\nb", "a\x1b[1m"):
        policy(run, name, DRIVES_HERE)
    assert set(mine(run)) == {"best"}


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, ""),
        ({"observation": {"kind": "color_mass"}}, "it sees something else"),
        ({"observation": {"history": 2}}, "it sees something else"),
        ({"observation": {"of a later version": 1}}, "it sees something else"),
        ({"action": {"repeat": 6}}, "its decisions last longer or shorter"),
        ({"action": {"throttle_max": 1.0}}, ""),  # each drives with its own range
    ],
)
def test_a_policy_says_why_it_can_not_drive_here(
    run: Path, changes: dict[str, dict[str, object]], fits: str
) -> None:
    details = {key: {**part, **changes.get(key, {})} for key, part in DRIVES_HERE.items()}
    policy(run, "best", details)
    assert mine(run)["best"].fits == fits


def test_of_an_earlier_policy_what_is_not_said_is_taken_to_be_as_here(run: Path) -> None:
    policy(run, "best", {"score": [1.0]})
    assert mine(run)["best"].fits == ""


@pytest.mark.parametrize(
    "details",
    [
        None,
        "",
        "{",
        "null",
        "[]",
        "7",
        "[" * 100_000,
        b"\xff\xfe".decode("latin-1"),
        '{"observation": 1, "action": [], "evaluation": "none", "track": 5, "train_step": "many"}',
        '{"observation": null, "action": null, "evaluation": null, "track": null, "train_step": null}',
        '{"observation": [1], "action": "fast"}',
        '{"train_step": NaN, "evaluation": {"lap_time": NaN, "metres": Infinity}}',
        '{"train_step": 1e999, "evaluation": {"clean_lap_rate": -1e999, "lap_time": true}}',
        '{"train_step": 1' + "0" * 400 + ', "evaluation": {"metres": 1' + "0" * 400 + "}}",
        '{"track": "a\\u0000b/c\\ud800.json"}',
    ],
)
def test_damaged_details_leave_a_policy_on_the_shelf_of_which_less_is_known(
    run: Path, details: str | None
) -> None:
    policy(run, "damaged", details)
    policy(run, "whole", DRIVES_HERE)
    told = mine(run)
    assert set(told) == {"damaged", "whole"}
    damaged = told["damaged"]
    figures = (damaged.train_step, damaged.clean_lap_rate, damaged.lap_time, damaged.metres)
    assert (figures, damaged.track) == ((None,) * 4, "")
    assert told["whole"].fits == ""


def test_a_policy_that_is_replaced_meanwhile_is_no_error(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is moved aside between the look at the folder and that at what is in it."""
    folder = policy(run, "best", DRIVES_HERE)
    policy(run, "other", DRIVES_HERE)
    monkeypatch.setattr(box, "policy_folders", lambda _: _and_then_remove(folder, policy_folders(run.parent)))
    assert set(mine(run)) == {"other"}


def _and_then_remove(folder: Path, found: dict[str, Path]) -> dict[str, Path]:
    shutil.rmtree(folder)
    return found
