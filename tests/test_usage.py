"""What a process uses of its machine: told as soon as it is known, and never of another process."""

from __future__ import annotations

import os
import subprocess
import time

from processes.usage import LOOK_SECONDS, Usage

UNKNOWN = {"cpu": None, "memory": None}


def work(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_memory_is_known_at_once_and_the_cpu_from_the_second_look_on() -> None:
    usage = Usage()
    first = usage.of(os.getpid(), 100.0)
    assert first["cpu"] is None
    assert first["memory"] > 1 << 20
    work(0.1)
    assert usage.of(os.getpid(), 100.0 + 0.9 * LOOK_SECONDS) == first
    second = usage.of(os.getpid(), 100.0 + LOOK_SECONDS)
    assert second["cpu"] > 0.0


def test_a_process_that_rests_uses_less_than_one_that_works() -> None:
    with subprocess.Popen(["sleep", "60"]) as resting:
        usages = {os.getpid(): Usage(), resting.pid: Usage()}
        for pid, usage in usages.items():
            usage.of(pid, 0.0)
        work(0.2)
        busy, idle = (usage.of(pid, LOOK_SECONDS)["cpu"] for pid, usage in usages.items())
        resting.kill()
    assert idle < 0.1 < busy


def test_no_process_uses_nothing_that_is_known() -> None:
    usage = Usage()
    assert usage.of(None, 0.0) == UNKNOWN
    usage.of(os.getpid(), 1.0)
    assert usage.of(None, 1.0) == UNKNOWN


def test_a_process_that_takes_another_s_place_begins_anew() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        usage = Usage()
        usage.of(os.getpid(), 0.0)
        work(0.05)
        assert usage.of(os.getpid(), LOOK_SECONDS)["cpu"] is not None
        assert usage.of(other.pid, LOOK_SECONDS)["cpu"] is None
        assert usage.of(other.pid, 2 * LOOK_SECONDS)["cpu"] is not None
        other.kill()


def test_a_process_that_has_ended_is_no_error() -> None:
    with subprocess.Popen(["sleep", "60"]) as ended:
        usage = Usage()
        assert usage.of(ended.pid, 0.0)["memory"] is not None
        ended.kill()
    assert usage.of(ended.pid, LOOK_SECONDS) == UNKNOWN
    assert usage.of(ended.pid, 2 * LOOK_SECONDS) == UNKNOWN
