"""A Redis that dies, comes back empty, is full, or hangs: nothing else stops for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
import redis

from processes.vitals import Count
from robo.cache import Cache
from robo.learning import metrics
from tests.conftest import RedisServer
from tests.faults.conftest import LEARNING, Start, allowed, sets
from tests.running import Run

FULL_AGAIN_SECONDS = 1.0
AWAY_SECONDS = 4.0


def steps(run: Run) -> int:
    """Environment steps that the learner has, read where no Redis is needed."""
    return max((line["env_steps"] for line in metrics.read(run.folder)), default=0)


def goes_on(run: Run, *, beyond: int) -> None:
    """Wait until the learner has more steps than that, in the metrics file."""
    run.wait(lambda: steps(run) > beyond, 60.0, what=f"beyond {beyond} steps")


def full(cache: Cache, cars: set[str]) -> bool:
    """Whether the cache has everything of every car, every process, and the learner."""
    return (
        all(cache.cars(cars))
        and cache.telemetry().keys() >= cars
        and all(cache.frame(car) for car in cars)
        and bool(cache.processes())
        and cache.progress() is not None
    )


def learning(start: Start, url: str = "") -> Run:
    """A run that learns."""
    run = start(*LEARNING, *sets("learner.log_seconds=0.25"), redis_url=url)
    run.wait_until_learning()
    run.wait_until_driving()
    return run


def test_a_redis_that_comes_back_empty_is_soon_full_again(
    start: Start, redis_server: RedisServer, measured: Callable[..., None]
) -> None:
    run = learning(start, redis_server.url)
    cars, pids = set(run.telemetry()), {name: each.pid for name, each in run.health().items()}
    redis_server.stop()
    before, gone = steps(run), time.monotonic()
    goes_on(run, beyond=before + 200)
    run.wait(lambda: time.monotonic() - gone > AWAY_SECONDS)
    redis_server.start()
    took = run.wait(lambda: _answered(lambda: full(run.cache, cars)), what="full again")
    assert {name: each.pid for name, each in run.health().items()} == pids
    run.wait_until_driving()
    errors = {name: each.counts.get(Count.CACHE.value, 0) for name, each in run.health().items()}
    measured(full_after_s=round(took, 2), errors=errors, steps_while_away=steps(run) - before)
    assert took < allowed(FULL_AGAIN_SECONDS)
    writers = {"explorer0", "evaluator", "frame_processor0", "spectator_reader", "learner"}
    assert all(errors[name] for name in writers)
    assert run.interrupt() < allowed(5.0)
    assert run.left_behind() == []


def _answered(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except Exception:
        return False


@pytest.mark.slow
def test_a_redis_that_is_full_stops_nothing(
    start: Start, redis_server: RedisServer, measured: Callable[..., None]
) -> None:
    run = learning(start, redis_server.url)
    pids = {name: each.pid for name, each in run.health().items()}
    client = redis.Redis.from_url(redis_server.url)
    limit = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", 1)
    goes_on(run, beyond=steps(run) + 400)
    client.config_set("maxmemory", limit)
    run.wait(lambda: run.count(Count.CACHE) > 0, 5.0, what="counted")
    run.wait_until_driving()
    measured(errors=run.count(Count.CACHE))
    assert {name: each.pid for name, each in run.health().items()} == pids
    assert run.interrupt() < allowed(5.0)


def test_the_run_s_own_redis_is_started_again_when_it_is_killed(
    start: Start, measured: Callable[..., None]
) -> None:
    run = learning(start)
    cars = set(run.telemetry())
    before = {name: each.pid for name, each in run.health().items() if name != "redis"}
    began = time.monotonic()
    run.kill("redis")
    run.wait(lambda: not run.cache.answers(), what="gone")
    run.wait(lambda: run.cache.answers() and run.pid("redis"), what="back")
    back = time.monotonic()
    full_after = run.wait(lambda: _answered(lambda: full(run.cache, cars)), what="full again")
    run.wait_until_driving()
    measured(back_after_s=round(back - began, 2), full_after_s=round(full_after, 2))
    assert full_after < allowed(FULL_AGAIN_SECONDS)
    assert {name: each.pid for name, each in run.health().items() if name != "redis"} == before
    assert run.interrupt() < allowed(5.0)


@pytest.mark.slow
def test_a_redis_that_hangs_is_ended_and_no_car_waits_for_it(
    start: Start, measured: Callable[..., None]
) -> None:
    run = start(*LEARNING, *sets("learner.log_seconds=0.25", "supervision.heartbeat_seconds=4"))
    run.wait_until_learning()
    pid = run.kill("redis", signal.SIGSTOP)
    before, began = steps(run), time.monotonic()
    run.wait(lambda: time.monotonic() - began > 3.0)
    driven = steps(run) - before
    run.wait_for_another("redis", pid, 30.0)
    run.wait_until_driving()
    measured(steps_in_3_s=driven)
    assert driven > 100
    assert run.interrupt() < allowed(5.0)
