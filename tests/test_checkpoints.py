"""A checkpoint brings training back exactly; a save that was cut short is as if it had not begun."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from robo import config
from robo.driving.transitions import Transitions, layout
from robo.errors import UserError
from robo.learning import agents
from robo.learning.checkpoints import MANIFEST, Checkpoints
from robo.learning.replay import Replay
from tests import small_disk

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


def test_weights_that_were_spoilt_before_they_were_saved_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    agent = build()
    monkeypatch.setattr(agent, "save", lambda prefix: Path(f"{prefix}.index").write_bytes(bytes(100)))
    checkpoints.save(0, agent, replay(8), {})
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


def flip(path: Path, place: int = -1) -> None:
    """Flip a bit of a byte, by default of the middle one."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place < 0 else place] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def as_earlier_versions_wrote_it(path: Path) -> None:
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    manifest["files"] = {name: known["bytes"] for name, known in manifest["files"].items()}
    path.write_text(json.dumps(manifest, indent=1))


@pytest.mark.parametrize(
    ("name", "damage", "why"),
    [
        ("replay.npz", flip, "replay.npz has another checksum"),
        ("agent.txt", flip, "agent.txt has another checksum"),
        ("replay.npz", cut, r"replay.npz has \d+ bytes, not \d+"),
        ("agent.txt", Path.unlink, "agent.txt is missing"),
        (MANIFEST, Path.unlink, "manifest.json is missing"),
        (MANIFEST, cut, "manifest.json can't be read"),
        (MANIFEST, lambda path: path.write_bytes(b""), "manifest.json can't be read"),
        (MANIFEST, lambda path: path.write_bytes(bytes(99)), "manifest.json can't be read"),
        (MANIFEST, lambda path: path.write_text("[3]"), "manifest.json has no checksums"),
        (MANIFEST, as_earlier_versions_wrote_it, "manifest.json has no checksums; an earlier version"),
    ],
)
def test_a_torn_checkpoint_is_passed_over_and_told(
    tmp_path: Path, name: str, damage: Callable[[Path], Any], why: str
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.save(1, StubAgent("good"), replay(), {"at": 1})
    torn = checkpoints.save(2, StubAgent("torn"), replay(), {"at": 2})
    damage(torn / name)
    agent = StubAgent()
    with capture_logs() as logged:
        assert checkpoints.restore(agent, replay()) == {"at": 1}
    assert agent.content == "good"
    (passed_over,) = checkpoints.passed_over
    assert passed_over.folder == torn
    assert re.match(why, passed_over.why)
    event = {"event": "torn checkpoint passed over", "checkpoint": str(torn), "why": passed_over.why}
    assert logged == [{**event, "log_level": "error"}]
    assert torn.is_dir()

    checkpoints.save(2, StubAgent("new"), replay(), {"at": 3})
    assert checkpoints.passed_over == []
    assert checkpoints.restore(agent, replay()) == {"at": 3}
    assert checkpoints.passed_over == []


def test_no_flipped_bit_of_a_manifest_goes_unnoticed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, StubAgent(), replay(), {"at": 1})
    manifest = checkpoints.save(2, StubAgent(), replay(), {"at": 2}) / MANIFEST
    for place in range(manifest.stat().st_size):
        flip(manifest, place)
        assert checkpoints.restore(StubAgent(), replay()) == {"at": 1}
        flip(manifest, place)
    assert checkpoints.restore(StubAgent(), replay()) == {"at": 2}


def test_the_latest_is_told_by_sizes_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    saved = [checkpoints.save(step, StubAgent("12345678910"), replay(), {"at": step}) for step in (1, 2, 3)]
    cut(saved[2] / "agent.txt")
    flip(saved[1] / "agent.txt")
    assert checkpoints.latest() == saved[1]
    assert checkpoints.latest_counters() == {"at": 2}
    assert checkpoints.restore(StubAgent(), replay()) == {"at": 1}
    assert [torn.folder for torn in checkpoints.passed_over] == [saved[2], saved[1]]


def test_where_all_are_torn_that_is_said(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    saved = [checkpoints.save(step, StubAgent("12345678910"), replay(), {}) for step in (1, 2)]
    flip(saved[0] / "replay.npz")
    cut(saved[1] / "agent.txt")
    with pytest.raises(UserError) as told:
        checkpoints.restore(StubAgent(), replay())
    assert str(told.value) == (
        f"{tmp_path}: no checkpoint is whole (step-000000002, the newest: agent.txt has 1 bytes, not 11); "
        "put a copy of one there, or begin anew with --restart"
    )
    assert len(checkpoints.passed_over) == 2
    assert sorted(tmp_path.iterdir()) == saved


def folders(path: Path) -> list[str]:
    return sorted(folder.name.replace("step-00000", "") for folder in path.iterdir())


def test_torn_ones_go_when_enough_whole_ones_came_after_them(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1000, 2000, 3000):
        saved = checkpoints.save(step, StubAgent("content"), replay(), {"at": step})
        if step > 1000:
            flip(saved / "agent.txt")
    assert checkpoints.restore(StubAgent(), replay()) == {"at": 1000}
    checkpoints.save(1500, StubAgent(), replay(), {"at": 1500})
    assert folders(tmp_path) == ["1000", "1500", "2000", "3000"]
    checkpoints.save(1600, StubAgent(), replay(), {"at": 1600})
    assert folders(tmp_path) == ["1000", "1500", "1600"]
    checkpoints.save(1700, StubAgent(), replay(), {"at": 1700})
    assert folders(tmp_path) == ["1500", "1600", "1700"]


def test_a_torn_one_does_not_push_out_what_training_resumed_from(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1000, StubAgent(), replay(), {"at": 1000})
    flip(checkpoints.save(2000, StubAgent("content"), replay(), {}) / "agent.txt")
    assert checkpoints.restore(StubAgent(), replay()) == {"at": 1000}
    checkpoints.save(2500, StubAgent(), replay(), {"at": 2500})
    assert folders(tmp_path) == ["1000", "2000", "2500"]
    checkpoints.save(2600, StubAgent(), replay(), {"at": 2600})
    assert folders(tmp_path) == ["2500", "2600"]


def test_with_one_kept_it_is_the_new_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1000, StubAgent("content"), replay(), {})
    flip(checkpoints.save(2000, StubAgent("content"), replay(), {}) / "agent.txt")
    Checkpoints(tmp_path, keep=1).save(1500, StubAgent(), replay(), {"at": 1500})
    assert folders(tmp_path) == ["1500"]
    assert checkpoints.restore(StubAgent(), replay()) == {"at": 1500}


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from robo.driving.transitions import layout
from robo.learning.checkpoints import Checkpoints
from robo.learning.replay import Replay

class Killed:
    shapes = {}

    def save(self, prefix):
        Path(f"{prefix}.txt").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints(Path(sys.argv[1]), keep=2).save(int(sys.argv[2]), Killed(), Replay(9, layout(3), None), {})
"""


def kill_in_mid_save(folder: Path, step: int) -> None:
    command = [sys.executable, "-c", KILLED, str(folder), str(step)]
    assert subprocess.run(command, cwd=config.ROOT, check=False).returncode == -signal.SIGKILL


def test_saves_killed_again_and_again_leave_what_was_there(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 2):
        kill_in_mid_save(tmp_path, step)
        assert len(list(tmp_path.glob("*.tmp"))) == 1
        assert checkpoints.latest() is None
        assert checkpoints.restore(StubAgent(), replay()) is None
        assert checkpoints.passed_over == []
    good = checkpoints.save(2, StubAgent("good"), replay(), {"at": 2})
    for step in (2, 3):
        kill_in_mid_save(tmp_path, step)
        assert checkpoints.latest() == good
        assert checkpoints.restore(StubAgent(), replay()) == {"at": 2}
        assert checkpoints.passed_over == []
    checkpoints.clear_leftovers()
    assert list(tmp_path.iterdir()) == [good]


def test_only_what_a_save_left_is_cleared(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    checkpoints.clear_leftovers()
    others = {"step-best.tmp", "step-3.tmp.tmp", "notes.old", "step-4", "a copy of step-5.old"}
    for name in (*others, "step-7.tmp", "step-000000009.tmp"):
        (checkpoints.folder / name).mkdir(parents=True)
    (checkpoints.folder / "step-6.tmp").write_text("a file")
    (checkpoints.folder / "step-8.tmp").symlink_to(tmp_path)
    checkpoints.clear_leftovers()
    left = {path.name for path in checkpoints.folder.iterdir()}
    assert left == others | {"step-6.tmp", "step-8.tmp"}


@pytest.mark.parametrize("torn", [False, True])
def test_one_that_was_replaced_is_cleared_unless_its_replacement_is_torn(tmp_path: Path, torn: bool) -> None:
    """As when the machine stops between moving the new one in and removing the old one."""
    checkpoints = Checkpoints(tmp_path, keep=1)
    saved = checkpoints.save(5, StubAgent("before"), replay(), {"at": 1})
    saved.rename(tmp_path / "aside")
    checkpoints.save(5, StubAgent("after"), replay(), {"at": 2})
    replaced = (tmp_path / "aside").rename(tmp_path / f"{saved.name}.old")
    if torn:
        flip(saved / "agent.txt")
    checkpoints.clear_leftovers()
    assert replaced.exists() == torn
    agent = StubAgent()
    checkpoints.restore(agent, replay())
    assert agent.content == ("before" if torn else "after")


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
    content = {"agent.txt": b"abc", "replay.npz": (folder / "replay.npz").read_bytes()}
    assert manifest["files"] == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
    }


def test_a_copied_checkpoint_is_whole(tmp_path: Path) -> None:
    agent = build()
    saved = Checkpoints(tmp_path / "one", keep=1).save(3, agent, replay(8), COUNTERS)
    shutil.copytree(saved, tmp_path / "two" / saved.name)
    other = build("seed=9")
    assert Checkpoints(tmp_path / "two", keep=1).restore(other, replay(8)) == COUNTERS
    np.testing.assert_array_equal(other.actor_weights(), agent.actor_weights())


@pytest.mark.parametrize("room", [0, 8, 40, 60, 80])
def test_a_full_disk_leaves_the_one_before_and_nothing_else(tmp_path: Path, room: int) -> None:
    """``room``: KiB; it ends in one file or another of those that make a checkpoint, of 90 KiB in all."""
    agent, kept = build(), replay(8)
    fill(kept, 8, count=600)
    with small_disk.small_disk(tmp_path / "disk", "1m") as disk:
        checkpoints = Checkpoints(disk / "checkpoints", keep=1)
        good = checkpoints.save(1, agent, kept, {"at": 1})
        ballast = small_disk.fill(disk, but=1024 * room)
        for step in (1, 2):
            with pytest.raises(OSError, match="No space left") as told:
                checkpoints.save(step, agent, kept, {"at": step})
            assert told.value.errno == errno.ENOSPC
            assert list(checkpoints.folder.iterdir()) == [good]
            assert checkpoints.restore(agent, kept) == {"at": 1}
        ballast.unlink()
        saved = checkpoints.save(3, agent, kept, {"at": 3})
        assert list(checkpoints.folder.iterdir()) == [saved]
        assert checkpoints.restore(agent, kept) == {"at": 3}
