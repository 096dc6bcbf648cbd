"""``make status`` says how a run is, whatever state it is in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import RedisServer

from robo import config
from robo.cache import Cache
from robo.cache_values import ProcessHealth, Progress
from robo.config import ROOT
from robo.errors import UserError
from robo.runs import RunFolder
from scripts.status import look

NOW = 1_700_000_000.0


def health(**changes: object) -> ProcessHealth:
    values = {"at": NOW - 1.0, "state": "running", "pid": 7, "restarts": 0, "beat_age_s": 0.5, **changes}
    return ProcessHealth(**values)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_redis_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has is nobody's business."""
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture
def folder(tmp_path: Path, redis_server: RedisServer) -> RunFolder:
    """A run that is under way, with a Redis that is not its own."""
    folder = RunFolder("mine", tmp_path)
    folder.lock()
    folder.write_config(config.load(sets=[f"redis.url={redis_server.url}"]))
    return folder


def test_a_run_that_is_there_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run there"):
        look(RunFolder("none", tmp_path), NOW)


def test_a_run_that_is_not_under_way_is_told_by_what_it_left(tmp_path: Path) -> None:
    folder = RunFolder("old", tmp_path)
    folder.path.mkdir()
    folder.write_config(config.load())
    (folder.path / "summary.json").write_text('{"exit_code": 1, "cause": "explorer0 ended 5 times"}')
    status = look(folder, NOW)
    assert (status["under_way"], status["wrong"], status["checkpoint"]) == (False, [], None)
    assert status["last_session"]["cause"] == "explorer0 ended 5 times"


def test_a_run_in_order(folder: RunFolder, redis_server: RedisServer) -> None:
    cache = Cache(redis_server.url, "mine")
    cache.put_processes({"learner": health(), "explorer0": health(counts={"steps sent": 9})})
    cache.put_progress(Progress(NOW, 100, 20, 100, 50.0, 10.0, {}))
    status = look(folder, NOW)
    assert status["under_way"]
    assert status["wrong"] == []
    assert status["progress"]["env_steps"] == 100
    assert status["processes"]["explorer0"]["counts"] == {"steps sent": 9}


def test_what_is_wrong_is_said_in_words(folder: RunFolder, redis_server: RedisServer) -> None:
    cache = Cache(redis_server.url, "mine")
    cache.put_processes(
        {
            "learner": health(complaint="checkpoint not written: No space left on device"),
            "explorer0": health(state="backing off", pid=None, beat_age_s=None),
            "simulator": health(state="starting"),
        }
    )
    assert look(folder, NOW)["wrong"] == [
        "learner: checkpoint not written: No space left on device",
        "explorer0 is backing off",
    ]
    assert look(folder, NOW + 60.0)["wrong"][-1] == "the supervisor has told nothing for 61 s"


def test_a_redis_that_is_gone_is_said(folder: RunFolder, redis_server: RedisServer) -> None:
    redis_server.stop()
    assert look(folder, NOW)["wrong"][0].startswith("nothing is known of it: Redis: ")


def test_before_anything_is_known_that_is_said(folder: RunFolder) -> None:
    assert look(folder, NOW)["wrong"] == ["no process of it is known"]


def test_a_redis_with_a_password_is_asked_for(tmp_path: Path) -> None:
    folder = RunFolder("mine", tmp_path)
    folder.lock()
    folder.write_config(config.load(sets=["redis.url=redis://:secret@127.0.0.1:1/0"]))
    with pytest.raises(UserError, match="REDIS_URL: this run's Redis wants a password"):
        look(folder, NOW)


def test_the_command_line(folder: RunFolder, redis_server: RedisServer, tmp_path: Path) -> None:
    cache = Cache(redis_server.url, "mine")
    cache.put_processes({"learner": health(at=time.time(), counts={"rollbacks": 2})})

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "scripts.status", *arguments, "--runs", str(tmp_path)]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    shown = command("mine")
    assert shown.returncode == 0, shown.stderr
    assert "under way" in shown.stdout
    assert "2 rollbacks" in shown.stdout
    assert json.loads(command("mine", "--json").stdout)["processes"]["learner"]["state"] == "running"
    cache.put_processes({"learner": health(at=time.time(), state="fatal")})
    assert command("mine").returncode == 1
    missing = command("other")
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: ")
