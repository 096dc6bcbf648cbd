"""How a run goes, as read from the cache, and as told to a person."""

from __future__ import annotations

import msgspec
import pytest

from processes.console import line
from processes.progress import Figures, Follower
from robo import config
from robo.cache import Cache
from robo.cache_values import LapRecord, Progress

STARTED = 1000.0
LIMITS = config.load().limits


def follower(cache: Cache, **limits: float) -> Follower:
    return Follower(cache, {"eval"}, msgspec.structs.replace(LIMITS, **limits), STARTED)


def lap(at: float, seconds: float, row: int, car: str = "eval", role: str = "evaluator") -> LapRecord:
    """A lap that is clean if there is a ``row`` of clean ones."""
    return LapRecord(STARTED + at, car, role, seconds, clean=row > 0, clean_in_a_row=row)


def progress(env_steps: int = 0, train_steps: int = 0, **values: float | None) -> Progress:
    return Progress(STARTED, env_steps, train_steps, 100, 118.4, 61.7, values)


@pytest.fixture
def cache(redis_url: str) -> Cache:
    return Cache(redis_url, "mine")


def test_before_anything_happened(cache: Cache) -> None:
    reader = follower(cache, env_steps=10, clean_laps=1, wall_seconds=5.0)
    assert reader.read(STARTED + 4.5) == []
    assert reader.figures == Figures(wall_seconds=4.5)
    assert reader.reached() is None


def test_laps_are_taken_once_and_only_those_of_scored_cars(cache: Cache) -> None:
    reader = follower(cache)
    cache.add_lap(lap(1.0, 12.0, 0))
    cache.add_lap(lap(1.5, 9.0, 4, car="explorer"))
    assert reader.read(STARTED + 2.0) == [lap(1.0, 12.0, 0)]
    cache.add_lap(lap(3.0, 11.5, 1))
    cache.add_lap(lap(4.0, 10.5, 2))
    assert reader.read(STARTED + 5.0) == [lap(3.0, 11.5, 1), lap(4.0, 10.5, 2)]
    assert reader.read(STARTED + 6.0) == []
    figures = reader.figures
    assert (figures.laps, figures.clean_laps, figures.clean_laps_in_a_row) == (3, 2, 2)
    assert figures.best_lap == 10.5
    assert figures.first_clean_lap_at == 3.0


@pytest.mark.parametrize("role", ["hand", "policy"])
def test_a_lap_that_was_not_driven_by_what_is_learned_ends_no_run(cache: Cache, role: str) -> None:
    reader = follower(cache, clean_laps=1, laps=1)
    cache.add_lap(lap(1.0, 5.0, 1, role=role))
    assert reader.read(STARTED + 2.0) == []
    assert reader.figures.laps == 0
    assert reader.reached() is None
    cache.add_lap(lap(3.0, 9.0, 1))
    assert reader.read(STARTED + 4.0) == [lap(3.0, 9.0, 1)]
    assert reader.figures.best_lap == 9.0


def test_a_lap_that_is_not_clean_is_never_the_best(cache: Cache) -> None:
    reader = follower(cache)
    for done in (lap(1.0, 10.0, 1), lap(2.0, 5.0, 0)):
        cache.add_lap(done)
    reader.read(STARTED + 3.0)
    assert (reader.figures.best_lap, reader.figures.clean_laps_in_a_row) == (10.0, 0)


def test_enough_clean_laps_in_a_row_end_the_run(cache: Cache) -> None:
    reader = follower(cache, clean_laps=2)
    for done in (lap(1.0, 10.0, 1), lap(2.0, 10.0, 0), lap(3.0, 10.0, 1)):
        cache.add_lap(done)
    reader.read(STARTED + 4.0)
    assert reader.reached() is None
    cache.add_lap(lap(5.0, 10.0, 2))
    cache.add_lap(lap(5.5, 10.0, 0))
    cache.add_lap(lap(6.0, 10.0, 1))
    reader.read(STARTED + 7.0)
    assert reader.figures.enough_laps_at == 5.0
    assert "2 clean laps" in reader.reached()


def test_without_a_limit_laps_never_end_it(cache: Cache) -> None:
    reader = follower(cache)
    cache.add_lap(lap(1.0, 10.0, 100))
    cache.put_progress(progress(10**9))
    reader.read(STARTED + 1e6)
    assert reader.reached() is None


def test_a_limit_of_steps(cache: Cache) -> None:
    reader = follower(cache, env_steps=500)
    cache.put_progress(progress(499))
    reader.read(STARTED)
    assert reader.reached() is None
    cache.put_progress(progress(503))
    reader.read(STARTED)
    assert reader.reached() == "503 steps"


def test_a_limit_of_wall_time(cache: Cache) -> None:
    reader = follower(cache, wall_seconds=30.0)
    reader.read(STARTED + 29.9)
    assert reader.reached() is None
    reader.read(STARTED + 30.0)
    assert reader.reached() == "30 s"


def test_the_line_of_a_run_that_starts() -> None:
    figures = Figures(wall_seconds=3.9, waiting_for="starting: learner")
    assert line(figures) == "0:03  starting: learner  no lap yet"
    assert line(Figures(wall_seconds=61.0)) == "1:01  driving  no lap yet"


def test_the_line_of_a_run_that_learns() -> None:
    figures = Figures(wall_seconds=3725.0, progress=progress(9_999, 12_345, **{"return": 21.26}))
    figures.laps, figures.clean_laps, figures.clean_laps_in_a_row, figures.best_lap = 5, 3, 2, 10.456
    parts = ["62:05", "9999 steps (118/s)", "12.3k trained (62/s)", "return 21.3"]
    parts += ["3 clean laps (2 in a row)", "best 10.46 s"]
    assert line(figures) == "  ".join(parts)


def test_the_line_of_a_run_in_trouble() -> None:
    figures = Figures(progress=progress(2_340_000, **{"return": None}), laps=2, troubles=["1 restarts", "x"])
    assert line(figures).endswith("2 laps, none clean yet  1 restarts, x")
    assert "2.34M steps" in line(figures)
    assert "return" not in line(figures)
