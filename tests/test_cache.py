"""The car-state cache, against a real server: what is put is what comes back, and its loss is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import RedisServer

from robo.cache import Cache, LapRecord, Lost, ProcessHealth, Progress, Telemetry
from robo.driving.state import CarState

STATE = CarState(
    session=1_700_000_000_123_456_789,
    time=1.0 / 3.0,
    position=(0.1, 0.2, -0.3),
    speed=1e-9,
    track_angle=179.9,
    segment=-1,
    segments_in_order=1,
    segments_backwards=2,
    segment_seconds=0.3,
    crashes=3,
    returns=4,
    bumps=5,
    laps=6,
    last_lap=7.5,
)
OTHER = CarState(session=1, time=2.0, position=(0.0, 0.0, 0.0), speed=0.0, track_angle=0.0, segment=4)
TELEMETRY = Telemetry("explorer", at=1.5, throttle=0.1, last_episode_end="no progress", best_lap=None)
HEALTH = ProcessHealth("running", pid=None, restarts=2, beat_age_s=0.25)
PROGRESS = Progress(1.0, 2, 3, 4, 5.5, 6.5, {"loss": 0.1, "return": None})


def lap(number: int) -> LapRecord:
    return LapRecord(float(number), "robo1", "explorer", 10.0 + number, clean=True, clean_in_a_row=number)


@pytest.fixture
def cache(redis_url: str) -> Cache:
    return Cache(redis_url, "mine")


def test_car_states_come_back_exactly_and_in_the_order_asked_for(cache: Cache) -> None:
    cache.put_cars({"a": STATE, "b": OTHER})
    assert cache.cars(["b", "unknown", "a"]) == [OTHER, None, STATE]


def test_the_newest_state_wins_and_others_stay(cache: Cache) -> None:
    cache.put_cars({"a": STATE, "b": OTHER})
    cache.put_cars({"a": OTHER})
    assert cache.cars(["a", "b"]) == [OTHER, OTHER]


def test_putting_nothing_is_no_error(cache: Cache) -> None:
    cache.put_cars({})
    cache.put_telemetry({})
    assert cache.cars(["a"]) == [None]
    assert cache.telemetry() == {}


def test_pictures_are_bytes(cache: Cache) -> None:
    assert cache.frame("a") is None
    cache.put_frame("a", b"\x89PNG\r\n\0\xff")
    assert cache.frame("a") == b"\x89PNG\r\n\0\xff"


def test_telemetry_health_and_progress_come_back(cache: Cache) -> None:
    assert (cache.telemetry(), cache.processes(), cache.progress()) == ({}, {}, None)
    cache.put_telemetry({"a": TELEMETRY})
    cache.put_processes({"learner": HEALTH})
    cache.put_progress(PROGRESS)
    assert cache.telemetry() == {"a": TELEMETRY}
    assert cache.processes() == {"learner": HEALTH}
    assert cache.progress() == PROGRESS


def test_laps_are_read_on_from_where_one_was(cache: Cache) -> None:
    place, laps = cache.laps()
    assert laps == []
    cache.add_lap(lap(1))
    cache.add_lap(lap(2))
    place, laps = cache.laps(place)
    assert laps == [lap(1), lap(2)]
    assert cache.laps(place) == (place, [])
    cache.add_lap(lap(3))
    assert cache.laps(place)[1] == [lap(3)]
    assert cache.laps()[1] == [lap(1), lap(2), lap(3)]


def test_runs_do_not_see_each_other(redis_url: str, cache: Cache) -> None:
    another = Cache(redis_url, "another")
    cache.put_cars({"a": STATE})
    another.put_cars({"a": OTHER})
    assert cache.cars(["a"]) == [STATE]
    another.clear()
    assert another.cars(["a"]) == [None]
    assert cache.cars(["a"]) == [STATE]


def test_clearing_forgets_everything(cache: Cache) -> None:
    cache.put_cars({"a": STATE})
    cache.put_frame("a", b"x")
    cache.put_telemetry({"a": TELEMETRY})
    cache.put_processes({"p": HEALTH})
    cache.put_progress(PROGRESS)
    cache.add_lap(lap(1))
    cache.clear()
    assert cache.cars(["a"]) == [None]
    assert (cache.frame("a"), cache.telemetry(), cache.processes()) == (None, {}, {})
    assert (cache.progress(), cache.laps()) == (None, ("0", []))


CALLS: list[Callable[[Cache], object]] = [
    lambda cache: cache.put_cars({"a": STATE}),
    lambda cache: cache.cars(["a"]),
    lambda cache: cache.put_frame("a", b"x"),
    lambda cache: cache.frame("a"),
    lambda cache: cache.put_telemetry({"a": TELEMETRY}),
    lambda cache: cache.telemetry(),
    lambda cache: cache.put_processes({"p": HEALTH}),
    lambda cache: cache.processes(),
    lambda cache: cache.put_progress(PROGRESS),
    lambda cache: cache.progress(),
    lambda cache: cache.add_lap(lap(1)),
    lambda cache: cache.laps(),
    lambda cache: cache.clear(),
]


def test_a_server_that_is_gone_is_told_by_every_call_and_one_that_is_back_is_used(
    redis_server: RedisServer,
) -> None:
    cache = Cache(redis_server.url, "mine")
    for call in CALLS:
        call(cache)
    assert cache.answers()
    redis_server.stop()
    assert not cache.answers()
    for call in CALLS:
        with pytest.raises(Lost, match="Redis"):
            call(cache)
    redis_server.start()
    for call in CALLS:
        call(cache)


def test_a_server_that_is_not_there_yet_is_used_when_it_is(redis_server: RedisServer) -> None:
    redis_server.stop()
    cache = Cache(redis_server.url, "mine")
    assert not cache.answers()
    with pytest.raises(Lost):
        cache.cars(["a"])
    redis_server.start()
    assert cache.answers()
    assert cache.cars(["a"]) == [None]


def test_a_server_that_refuses_is_lost_too(redis_url: str) -> None:
    import redis

    redis.Redis.from_url(redis_url).set("robo:mine:cars", "not a hash")
    with pytest.raises(Lost, match="WRONGTYPE"):
        Cache(redis_url, "mine").cars(["a"])
