"""Whoever watches and stops reading costs a run nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import psutil
import pytest
import redis

from robo import config
from robo.runs import CONFIG
from tests.faults.conftest import LEARNING, Start, allowed, sets
from tests.running import Run

SECONDS = 10.0
LEAST_RATIO = 0.8
MOST_BYTES = 100e6


def rate(run: Run) -> float:
    """Environment steps a second over a while."""
    before, began = run.progress().env_steps, time.monotonic()
    run.wait(lambda: time.monotonic() - began > SECONDS)
    return (run.progress().env_steps - before) / (time.monotonic() - began)


@pytest.mark.slow
def test_watchers_that_stop_reading_are_dropped(start: Start, measured: Callable[..., None]) -> None:
    run = start(*LEARNING, *sets("replay.random_transitions=1000000", "cars.evaluators=0"))
    run.wait_until_driving()
    rate(run)
    memory = {name: _memory(run, name) for name in ("redis", "simulator")}
    alone = rate(run)
    port = config.read(run.folder / CONFIG).simulator.spectator_port
    spectator = socket.create_connection(("127.0.0.1", port))
    reader = redis.Redis.from_url(f"unix://{run.folder}/redis.sock").connection_pool.get_connection()
    reader.connect()
    reader._sock.settimeout(1.0)
    ask = b"*2\r\n$7\r\nHGETALL\r\n$%d\r\n%s\r\n" % (
        len(f"robo:{run.name}:frames"),
        f"robo:{run.name}:frames".encode(),
    )
    asked = 0
    try:
        while asked < 200_000:
            reader._sock.sendall(ask * 100)
            asked += 100
    except OSError:
        pass  # it was dropped, or is no longer listened to
    watched = rate(run)
    growth = {name: _memory(run, name) - before for name, before in memory.items()}
    measured(
        steps_per_s_alone=round(alone),
        steps_per_s_watched=round(watched),
        growth_mb={name: round(size / 1e6, 1) for name, size in growth.items()},
        asked=asked,
    )
    assert watched > LEAST_RATIO * alone
    assert max(growth.values()) < MOST_BYTES
    assert all(each.restarts == 0 for each in run.health().values())
    spectator.close()
    reader.disconnect()
    assert run.interrupt() < allowed(5.0)


def _memory(run: Run, name: str) -> int:
    return psutil.Process(run.pid(name)).memory_info().rss
