"""What a process publishes reaches the cache, the newest of everything, also after Redis was away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import RedisServer

from processes.launch import Context, Run
from processes.publisher import CLOSE_SECONDS, RETRY_SECONDS, Publisher
from processes.table import Process
from processes.vitals import Count, Vitals
from robo import config
from robo.cache import HAND_SECONDS, Cache
from robo.cache_values import FilmStatus, Frame, Hand, LapLine, LapRecord, Outline, Point, Progress, Telemetry
from robo.driving.state import CarState

LIMIT_SECONDS = 20.0
PROGRESS = Progress(1.0, 2, 3, 4, 5.5, 6.5, {})
LINE = LapLine(0, 9.5, True, [(0.0, 1.0, 2.0)])
OUTLINE = Outline(0, "esses", 12.5, [(0.0, 1.0)], [(2.0, 3.0)])
HAND = Hand(0.1, -0.5, 0.0)


def state(time_: float) -> CarState:
    return CarState(session=1, time=time_, position=(0.0, 0.0, 0.0), speed=0.0, track_angle=0.0, segment=0)


def lap(number: int) -> LapRecord:
    return LapRecord(float(number), "a", "explorer", 10.0, clean=True, clean_in_a_row=number)


def point(number: int) -> Point:
    return Point(float(number), "training", number, number, {"loss": 0.5})


def film(seconds: float) -> FilmStatus:
    return FilmStatus(1.0, "id", "a", "film.mp4", seconds, over=False)


def wait(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Lone:
    """A publisher without the rest of its process."""

    def __init__(self, url: str, folder: Path, driven: Sequence[str] = ("a", "b")) -> None:
        self.vitals = Vitals(1)
        run = Run("test", folder, config.load(), url, [])
        context = Context(run, Process("x", "x", 10.0), 0, self.vitals, {})
        self.publisher = Publisher(context, watched=["a", "b"], driven=driven)
        self.cache = Cache(url, "test")

    @property
    def errors(self) -> int:
        return self.vitals.counts(0).get(Count.CACHE, 0)


@pytest.fixture
def lone(redis_server: RedisServer, tmp_path: Path) -> Lone:
    return Lone(redis_server.url, tmp_path)


def test_the_newest_of_everything_is_published(lone: Lone) -> None:
    for time_ in (1.0, 2.0):
        lone.publisher.put_cars({"a": state(time_)})
        lone.publisher.put_film(film(time_))
        lone.publisher.put_frame("a", Frame(time_, 7, b"png"))
    lone.publisher.put_line("a", LINE)
    lone.publisher.put_outlines({"a": OUTLINE, "b": OUTLINE})
    lone.publisher.put_telemetry({"a": Telemetry("explorer", decisions=7)})
    lone.publisher.put_progress(PROGRESS)
    lone.publisher.add_lap(lap(1))
    lone.publisher.add_point(point(1))
    lone.publisher.close()
    assert lone.cache.cars(["a"]) == [state(2.0)]
    assert lone.cache.frame("a") == Frame(2.0, 7, b"png")
    assert lone.cache.lines() == {"a": LINE}
    assert lone.cache.outlines() == {"a": OUTLINE, "b": OUTLINE}
    assert lone.cache.film() == film(2.0)
    assert lone.cache.points()[1] == [point(1)]
    assert lone.cache.telemetry()["a"].decisions == 7
    assert lone.cache.progress() == PROGRESS
    assert lone.cache.laps()[1] == [lap(1)]
    assert lone.errors == 0


def test_what_redis_did_not_take_is_written_when_it_is_back(lone: Lone, redis_server: RedisServer) -> None:
    redis_server.stop()
    began = time.monotonic()
    for number in range(1, 4):
        lone.publisher.put_cars({"a": state(float(number))})
        lone.publisher.add_lap(lap(number))
        lone.publisher.add_point(point(number))
        lone.publisher.put_film(film(number))
    lone.publisher.put_line("a", LINE)
    assert time.monotonic() - began < LIMIT_SECONDS / 4  # whoever publishes does not wait
    wait(lambda: lone.errors > 1)
    redis_server.start()
    wait(lambda: lone.cache.points()[1] == [point(1), point(2), point(3)])
    assert lone.cache.cars(["a"]) == [state(3.0)]
    assert (lone.cache.lines(), lone.cache.film()) == ({"a": LINE}, film(3.0))
    lone.publisher.close()
    assert lone.cache.laps()[1] == [lap(1), lap(2), lap(3)]
    assert lone.cache.points()[1] == [point(1), point(2), point(3)]


def show(lone: Lone) -> bool:
    """Publish something, as an explorer does all the time."""
    lone.publisher.put_telemetry({"a": Telemetry("explorer", at=time.time())})
    return True


def test_who_is_watched_and_driven_by_hand_is_known_while_something_is_published(lone: Lone) -> None:
    assert (lone.publisher.watched, lone.publisher.hands) == (frozenset(), {})
    lone.cache.watch(["a", "c"])
    wait(lambda: show(lone) and lone.publisher.watched == {"a"})
    for name in ("b", "c"):
        lone.cache.put_hand(name, HAND)
    wait(lambda: show(lone) and lone.publisher.hands)
    assert lone.publisher.hands == {"b": HAND}
    wait(lambda: show(lone) and not lone.publisher.hands)
    lone.publisher.close()


def test_whoever_steers_is_followed_from_one_writing_to_the_next(lone: Lone) -> None:
    for number in range(10):
        hand = Hand(0.01 * number, 0.0, 0.0)
        lone.cache.put_hand("a", hand)
        wait(lambda hand=hand: show(lone) and lone.publisher.hands.get("a") == hand)
    lone.cache.put_hand("a", None)
    wait(lambda: show(lone) and not lone.publisher.hands)
    lone.publisher.close()


def test_hands_are_gone_soon_after_redis_answers_no_more(lone: Lone, redis_server: RedisServer) -> None:
    lone.cache.put_hand("a", HAND)
    wait(lambda: show(lone) and lone.publisher.hands)
    with redis_server.stopped():
        began = time.monotonic()
        wait(lambda: show(lone) and not lone.publisher.hands)
        assert time.monotonic() - began < HAND_SECONDS + RETRY_SECONDS
    lone.publisher.close()


def test_a_process_that_drives_nobody_asks_for_no_hands(redis_url: str, tmp_path: Path) -> None:
    lone = Lone(redis_url, tmp_path, driven=[])
    lone.cache.put_hand("a", HAND)
    lone.cache.watch(["a"])
    wait(lambda: show(lone) and lone.publisher.watched)
    assert lone.publisher.hands == {}
    lone.publisher.close()


def test_cars_that_left_are_forgotten_and_may_come_back(lone: Lone) -> None:
    lone.publisher.put_cars({"a": state(1.0), "b": state(1.0)})
    wait(lambda: all(lone.cache.cars(["a", "b"])))
    lone.publisher.remove_cars({"a", "b"})
    lone.publisher.put_cars({"b": state(2.0)})
    wait(lambda: lone.cache.cars(["a", "b"]) == [None, state(2.0)])
    lone.publisher.close()


def test_closing_waits_for_no_redis_that_hangs(lone: Lone, redis_server: RedisServer) -> None:
    lone.publisher.put_progress(PROGRESS)
    wait(lone.cache.progress)
    with redis_server.stopped():
        lone.publisher.add_lap(lap(1))
        began = time.monotonic()
        lone.publisher.close()
        assert time.monotonic() - began < 6 * CLOSE_SECONDS


def test_what_can_not_be_published_stops_nothing_that_comes_later(lone: Lone) -> None:
    lone.publisher.put_telemetry({"a": Telemetry(role=object())})  # type: ignore[arg-type]
    lone.publisher.put_progress(PROGRESS)
    deadline = time.monotonic() + LIMIT_SECONDS
    while lone.cache.progress() is None:
        assert time.monotonic() < deadline
        lone.publisher.put_progress(PROGRESS)
        time.sleep(0.01)
