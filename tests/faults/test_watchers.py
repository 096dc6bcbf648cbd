"""Whoever watches and stops reading costs a run nothing."""

from __future__ import annotations

import json
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
LEAST_RATIO = 0.6
"""Of the steps a second of the same run alone: two looks at one run differ by a fifth by themselves."""
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


@pytest.mark.slow
def test_a_page_that_stops_reading_costs_nothing(start: Start, measured: Callable[..., None]) -> None:
    """Of the run's live page, which watches all cars and reads none of what it is sent."""
    run = start(
        *LEARNING, *sets("replay.random_transitions=1000000", "cars.evaluators=0", "monitor.enabled=true")
    )
    run.wait_until_driving()
    rate(run)
    before = _memory(run, "monitor")
    alone = rate(run)
    port = config.read(run.folder / CONFIG).monitor.port
    deaf = [_page(port, [car.name for car in run.cache.box()[0].cars]) for _ in range(20)]
    watched = rate(run)
    growth = _memory(run, "monitor") - before
    measured(
        pages=len(deaf),
        steps_per_s_alone=round(alone),
        steps_per_s_watched=round(watched),
        growth_mb=round(growth / 1e6, 1),
    )
    assert watched > LEAST_RATIO * alone
    assert growth < MOST_BYTES
    assert all(each.restarts == 0 for each in run.health().values())
    for page in deaf:
        page.close()
    assert run.interrupt() < allowed(5.0)


def _page(port: int, cars: list[str]) -> socket.socket:
    """A page's connection that has said what it watches, and does no more."""
    page = socket.create_connection(("127.0.0.1", port))
    page.sendall(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert page.recv(4096).startswith(b"HTTP/1.1 101 ")
    watch = json.dumps({"watch": cars}).encode()
    # A final text frame (RFC 6455, 5.2), masked by zeros, which change nothing.
    page.sendall(bytes((0x81, 0x80 | 126)) + len(watch).to_bytes(2, "big") + bytes(4) + watch)
    return page


def _memory(run: Run, name: str) -> int:
    return psutil.Process(run.pid(name)).memory_info().rss
