"""The monitor by itself: python -m scripts.monitor."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RedisServer
from monitoring import LIMIT_SECONDS, FakeRun

from robo import config
from robo.config import ROOT
from robo.runs import RunFolder
from scripts.command import redis_url
from scripts.monitor import PORT, TRIES

Environment = dict[str, str]


def command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "MONITOR_TOKEN")}
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.monitor", *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def showing(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command under way, and where its page is."""
    process = command("--port", "0", *arguments, **environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"page: (http://127\.0\.0\.1:\d+/)  \(Ctrl-C stops\)\n", line)
        assert found, line + process.communicate(timeout=LIMIT_SECONDS)[1]
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def state(page: str) -> dict[str, dict[str, object]]:
    with urllib.request.urlopen(page + "api/state", timeout=LIMIT_SECONDS) as answer:
        return json.load(answer)["box"]


def wait_for_run(page: str) -> None:
    give_up = time.monotonic() + LIMIT_SECONDS
    while state(page)["run"] is None:
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_the_newest_run_until_it_is_stopped(redis_url: str, number: int) -> None:
    FakeRun(redis_url).fill()
    with showing(REDIS_URL=redis_url) as (process, page):
        assert state(page)["run"]["agent"] == "ddpg"
        process.send_signal(number)
        began = time.monotonic()
        rest, errors = process.communicate(timeout=LIMIT_SECONDS)
        assert time.monotonic() - began < 2.0
        assert (process.returncode, rest, errors) == (0, "", "")


def test_a_redis_that_does_not_answer_is_said_and_waited_for(redis_server: RedisServer) -> None:
    redis_server.stop()
    with showing(REDIS_URL=redis_server.url) as (process, page):
        line = process.stdout.readline() if process.stdout else ""
        assert line.startswith("Redis: ")
        assert line.endswith("(--run NAME for a run that has its own); waiting for it\n")
        redis_server.start()
        FakeRun(redis_server.url).fill()
        wait_for_run(page)


def test_a_run_is_found_by_its_folder_also_when_that_comes_later(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    FakeRun(redis_server.url).fill()
    runs = tmp_path / "runs"
    with showing("--run", "mine", "--runs", str(runs), REDIS_URL="redis://127.0.0.1:1/0") as (_, page):
        assert not state(page)["redis"]["ok"]
        folder = RunFolder("mine", runs)
        folder.lock()
        folder.write_config(config.load())
        folder.redis_socket.symlink_to(tmp_path / "redis.sock")
        wait_for_run(page)


def test_where_a_runs_redis_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    folder = RunFolder("mine", tmp_path)
    folder.lock()
    folder.write_config(config.load(sets=["redis.url=redis://box:1/0"]))
    assert redis_url(folder) == "redis://box:1/0"
    monkeypatch.setenv("REDIS_URL", "redis://other:1/0")
    assert redis_url(folder) == "redis://other:1/0"
    folder.redis_socket.touch()
    assert redis_url(folder) == f"unix://{folder.redis_socket}"


@pytest.mark.parametrize(
    ("arguments", "environment", "error"),
    [
        (["--run", "a/b"], {}, "error: run name 'a/b'"),
        ([], {"REDIS_URL": "redis://:hunter2@host:port/0"}, "error: REDIS_URL: no Redis URL"),
        (["--control", "--host", "0.0.0.0"], {}, "error: monitor.control: on 0.0.0.0 a token is needed"),
        (["--port", "70000"], {}, "argument --port: invalid"),
        (["--host", "192.0.2.7"], {}, "error: --host 192.0.2.7: "),
        (["--host", "192.0.2.7", "--port", "8081"], {}, "error: --host 192.0.2.7 --port 8081: "),
        (["--host", "no.such.host.invalid"], {}, "error: --host no.such.host.invalid: "),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], environment: Environment, error: str) -> None:
    process = command(*arguments, **environment)
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2, errors
    last = errors.strip().splitlines()[-1]
    assert error in last
    assert "Traceback" not in errors
    assert "hunter2" not in errors


def test_where_no_port_is_asked_for_the_next_free_one_is_taken() -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # then somebody else has it, which is as good
            stack.enter_context(socket.create_server(("127.0.0.1", PORT)))
        process = command(REDIS_URL="redis://127.0.0.1:1/0")
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
        finally:
            process.kill()
            _, errors = process.communicate()
    found = re.fullmatch(r"page: http://127\.0\.0\.1:(\d+)/  \(Ctrl-C stops\)\n", line)
    assert found, line + errors
    assert PORT < int(found[1]) < PORT + TRIES


def test_a_port_that_is_asked_for_must_be_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = command("--port", str(port))
        _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2
    assert errors.startswith(f"error: --port {port}: in use, perhaps by the page of a run that is under way")
    assert errors.count("\n") == 1
