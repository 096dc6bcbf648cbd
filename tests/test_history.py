"""Whoever watches has a run's learning curves from their beginning, whatever has become of Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from processes.history import MOST_POINTS, History, points, thinned
from robo.cache import Cache
from robo.cache_values import Point
from robo.learning import metrics


def point(number: int, kind: str = "training") -> Point:
    return Point(1000.0 + 2.0 * number, kind, 10 * number, number, {"loss": 0.5, "return": None})


def measure(folder: Path, *measured: Point) -> None:
    """Add points to the run's own metrics."""
    lines = [
        {"time": one.at, "kind": one.kind, "values": one.values}
        | {"env_steps": one.env_steps, "train_steps": one.train_steps}
        for one in measured
    ]
    with (folder / metrics.FILE).open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def cache(redis_url: str) -> Cache:
    return Cache(redis_url, "mine")


def test_a_run_that_has_measured_nothing_has_no_history(cache: Cache, tmp_path: Path) -> None:
    History(cache, tmp_path).refill()
    (tmp_path / metrics.FILE).touch()
    History(cache, tmp_path).refill()
    assert cache.points() == ("0", [])


def test_what_a_resumed_run_measured_before_comes_first(cache: Cache, tmp_path: Path) -> None:
    measure(tmp_path, *(point(number) for number in range(3)))
    cache.add_point(point(2))  # Redis was empty when the run went on, and this is what came since
    History(cache, tmp_path).refill()
    assert cache.points()[1] == [point(0), point(1), point(2)]


def test_a_history_that_is_there_is_left_alone(cache: Cache, tmp_path: Path) -> None:
    measure(tmp_path, *(point(number) for number in range(3)))
    history = History(cache, tmp_path)
    history.refill()
    place, _ = cache.points()
    for number in range(3, 6):
        measure(tmp_path, point(number))
        cache.add_point(point(number))
        history.refill()
    assert cache.points(place)[1] == [point(3), point(4), point(5)]


def test_a_history_that_was_lost_with_redis_comes_back(cache: Cache, redis_url: str, tmp_path: Path) -> None:
    measure(tmp_path, *(point(number) for number in range(3)))
    history = History(cache, tmp_path)
    history.refill()
    redis.Redis.from_url(redis_url).flushall()
    history.refill()
    assert cache.points()[1] == [point(0), point(1), point(2)]


def test_a_line_that_was_cut_short_is_left_out(cache: Cache, tmp_path: Path) -> None:
    measure(tmp_path, point(0))
    with (tmp_path / metrics.FILE).open("a") as file:
        file.write('{"time": 1002.0, "ki\n')
    measure(tmp_path, point(2))
    History(cache, tmp_path).refill()
    assert cache.points()[1] == [point(0), point(2)]


def test_points_are_those_of_the_metrics(tmp_path: Path) -> None:
    with metrics.Metrics(tmp_path, now=lambda: 7.5) as written:
        written.write("evaluation", 3, 2, {"return": 1.5, "lap_time": float("nan")})
    assert points(tmp_path) == [Point(7.5, "evaluation", 3, 2, {"return": 1.5, "lap_time": None})]


@pytest.mark.parametrize("count", [0, 1, 2, MOST_POINTS, MOST_POINTS + 1, 3 * MOST_POINTS + 7])
def test_a_long_history_is_thinned_and_keeps_its_first_and_its_newest_point(count: int) -> None:
    every = [point(number) for number in range(count)]
    kept = thinned(every)
    assert len(kept) <= MOST_POINTS + 1
    assert len(kept) >= min(count, MOST_POINTS / 2)
    assert kept[:1] == every[:1]
    assert kept[-1:] == every[-1:]
    assert kept == sorted(set_of(kept), key=lambda one: one.at)


def set_of(kept: list[Point]) -> list[Point]:
    """Each once."""
    return list({one.at: one for one in kept}.values())


def test_what_is_rare_is_not_thinned_for_what_is_frequent() -> None:
    often = [point(number) for number in range(10 * MOST_POINTS)]
    rare = [point(100 * number, "evaluation") for number in range(20)]
    kept = thinned([*often, *rare])
    assert [one for one in kept if one.kind == "evaluation"] == rare
    assert [one.at for one in kept] == sorted(one.at for one in kept)


def test_a_history_of_days_is_refilled_once_and_then_left_alone(cache: Cache, tmp_path: Path) -> None:
    measure(tmp_path, *(point(number) for number in range(3 * MOST_POINTS)))
    history = History(cache, tmp_path)
    history.refill()
    place, told = cache.points()
    assert (told[0], told[-1]) == (point(0), point(3 * MOST_POINTS - 1))
    assert len(told) <= MOST_POINTS + 1
    history.refill()
    assert cache.points(place)[1] == []
