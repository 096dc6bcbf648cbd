"""The car-state cache, against a real server: what is put is what comes back, and its loss is told."""

from __future__ import annotations

import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
import redis
from conftest import RedisServer

from robo.cache import HAND_SECONDS, POINTS_KEPT, REQUESTS_KEPT, WATCHED_SECONDS, Cache, Lost
from robo.cache_values import (
    Answer,
    CarInfo,
    FilmStatus,
    Frame,
    Hand,
    LapLine,
    LapRecord,
    Machine,
    Outline,
    Point,
    ProcessHealth,
    Progress,
    Request,
    RunInfo,
    SavedCheckpoint,
    SavedPolicy,
    Shelf,
    Telemetry,
)
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
TELEMETRY = Telemetry(
    "explorer",
    at=1.5,
    throttle=0.1,
    last_episode_end="no progress",
    best_lap=None,
    reward_terms={"progress": 1.5, "crashes": -2.0},
    driven_by="hand",
    observation=bytes(range(256)),
)
HEALTH = ProcessHealth(
    at=1.0, state="running", pid=None, restarts=2, beat_age_s=0.25, cpu=0.5, memory=1 << 30
)
PROGRESS = Progress(1.0, 2, 3, 4, 5.5, 6.5, {"loss": 0.1, "return": None})
FRAME = Frame(1.0 / 3.0, 1 << 40, b"\x89PNG\r\n\0\xff")
LINE = LapLine(3, 9.5, True, [(0.1, -0.2, 1.5), (0.2, -0.1, 1.25)])
OUTLINE = Outline(3, "esses", 12.5, [(0.0, 1.0), (2.0, 3.0)], [(4.0, 5.0)], [[(0.0, 0.0), (1.0, 1.0)]])
RUN = RunInfo(
    at=5.0,
    started_at=1.0,
    agent="ddpg",
    clock="lockstep",
    simulator="embedded",
    track="esses",
    cars=[CarInfo("robo1", "explorer", "explorer0"), CarInfo("robo-eval1", "evaluator", "evaluator")],
    observation="color_grid",
    observation_shape=[8, 18],
    throttle_max=0.1,
    decisions_per_second=20.0,
    control=True,
    paused=True,
    policy="policies/ddpg",
)
MACHINE = Machine(5.0, 2, 0.25, 1, 2, 3, 1 << 45)
SHELF = Shelf(
    [SavedCheckpoint("step-000000003", 4.0, 3, 2, 1000)],
    [SavedPolicy("policies/ddpg", 1.0, None, 0.75, None, 12.5, "", "it sees something else")],
)
FILM = FilmStatus(1.0, "id", "robo1", "runs/x/film.mp4", 2.5, over=True, trouble="no room")
HAND = Hand(0.1, -0.5, 1.0)
ANSWER = Answer(False, "there is no car 'anna'")


def lap(number: int) -> LapRecord:
    return LapRecord(float(number), "robo1", "explorer", 10.0 + number, clean=True, clean_in_a_row=number)


def point(number: int) -> Point:
    return Point(float(number), "training", number, 2 * number, {"loss": 0.5, "return": None})


def request(number: int) -> Request:
    return Request(f"id{number}", "film", f"robo{number}", float(number))


def until(condition: Callable[[], object], seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


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


def test_pictures_come_back_with_their_time_and_number(cache: Cache) -> None:
    assert cache.frame("a") is None
    cache.put_frame("a", FRAME)
    cache.put_frame("b", Frame(2.0, 1, b""))
    assert cache.frame("a") == FRAME
    assert cache.frames(["b", "unknown", "a"]) == [Frame(2.0, 1, b""), None, FRAME]
    assert cache.frames([]) == []


def test_telemetry_health_and_progress_come_back(cache: Cache) -> None:
    assert (cache.telemetry(), cache.processes(), cache.progress()) == ({}, {}, None)
    cache.put_telemetry({"a": TELEMETRY})
    cache.put_processes({"learner": HEALTH})
    cache.put_progress(PROGRESS)
    assert cache.telemetry() == {"a": TELEMETRY}
    assert cache.processes() == {"learner": HEALTH}
    assert cache.progress() == PROGRESS


def test_lines_and_outlines_come_back(cache: Cache) -> None:
    assert (cache.lines(), cache.outlines()) == ({}, {})
    cache.put_lines({"a": LINE})
    cache.put_outlines({"a": OUTLINE, "b": OUTLINE})
    cache.put_outlines({})
    assert cache.lines() == {"a": LINE}
    assert cache.outlines() == {"a": OUTLINE, "b": OUTLINE}


def test_the_parts_of_the_box_are_told_one_by_one(cache: Cache) -> None:
    assert cache.box() == (None, None, None)
    cache.put_box(run=RUN)
    cache.put_box(machine=MACHINE, shelf=SHELF)
    cache.put_box()
    assert cache.box() == (RUN, MACHINE, SHELF)
    changed = msgspec.structs.replace(RUN, paused=False)
    cache.put_box(changed)
    assert cache.box() == (changed, MACHINE, SHELF)


def test_runs_are_found_by_name_the_one_last_heard_of_first(redis_url: str, cache: Cache) -> None:
    assert cache.runs() == {}
    cache.put_box(machine=MACHINE)
    assert cache.runs() == {}
    for name, at in (("b", 2.5), ("c", 3.5), ("a", 1.5)):
        Cache(redis_url, name).put_box(msgspec.structs.replace(RUN, at=at))
    assert list(cache.runs().items()) == [("c", 3.5), ("b", 2.5), ("a", 1.5)]
    Cache(redis_url, "a").put_box(msgspec.structs.replace(RUN, at=4.5))
    assert next(iter(cache.runs().items())) == ("a", 4.5)


def test_the_film_under_way_is_the_newest(cache: Cache) -> None:
    assert cache.film() is None
    cache.put_film(msgspec.structs.replace(FILM, over=False))
    cache.put_film(FILM)
    assert cache.film() == FILM


def test_points_are_read_on_from_where_one_was(cache: Cache) -> None:
    assert (cache.points(), cache.first_point()) == (("0", []), None)
    for number in (1, 2):
        cache.add_point(point(number))
    place, points = cache.points()
    assert points == [point(1), point(2)]
    assert cache.first_point() == point(1)
    cache.add_point(point(3))
    assert cache.points(place)[1] == [point(3)]


def test_points_can_be_replaced_as_a_whole_and_go_on_from_there(cache: Cache) -> None:
    cache.add_point(point(9))
    place, _ = cache.points()
    cache.put_points(point(number) for number in range(3))
    assert cache.first_point() == point(0)
    cache.add_point(point(3))
    assert cache.points()[1] == [point(number) for number in range(4)]
    # Whoever had read up to there sees what is new to the cache, and may see some of it again.
    assert point(3) in cache.points(place)[1]
    cache.put_points([])
    assert cache.points() == ("0", [])


def test_a_long_history_of_points_loses_its_oldest(cache: Cache) -> None:
    newest = POINTS_KEPT + 500  # Redis keeps some more than it has to
    cache.put_points(point(number) for number in range(newest))
    cache.add_point(point(newest))
    points = cache.points()[1]
    assert cache.first_point() == points[0] != point(0)
    assert points[-1] == point(newest)
    assert POINTS_KEPT <= len(points) < newest


def test_a_watch_ends_by_itself(cache: Cache, redis_url: str) -> None:
    assert cache.watched(["a", "b"]) == set()
    cache.watch(["a", "c"])
    cache.watch([])
    assert cache.watched(["a", "b"]) == {"a"}
    assert cache.watched([]) == set()
    left = redis.Redis.from_url(redis_url).pttl("robo:mine:watched:a")
    assert 0 < left <= WATCHED_SECONDS * 1000
    assert redis.Redis.from_url(redis_url).pexpire("robo:mine:watched:a", 1)
    until(lambda: not cache.watched(["a"]), 5.0)


def test_a_hand_that_is_not_renewed_is_taken_away(cache: Cache) -> None:
    assert cache.hands(["a", "b"]) == {}
    began = time.monotonic()
    cache.put_hand("a", HAND)
    cache.put_hand("c", HAND)
    assert cache.hands(["a", "b"]) == {"a": HAND}
    assert cache.hands([]) == {}
    until(lambda: not cache.hands(["a", "c"]), HAND_SECONDS + 5.0)
    assert time.monotonic() - began > HAND_SECONDS - 0.1


@pytest.mark.parametrize("value", [b'{"throttle": 1e308}', b'{"turn": -1.01}', b'{"brake": -0.1}', b"[]"])
def test_nobody_drives_a_car_in_a_way_that_there_is_not(cache: Cache, redis_url: str, value: bytes) -> None:
    redis.Redis.from_url(redis_url).set("robo:mine:hand:a", value)
    with pytest.raises(Lost, match="makes no sense"):
        cache.hands(["a"])
    cache.put_hand("a", HAND)
    assert cache.hands(["a"]) == {"a": HAND}


def test_a_hand_is_taken_away_at_once_when_that_is_said(cache: Cache) -> None:
    for _ in range(50):  # also long after the first one would have gone by itself
        cache.put_hand("a", HAND)
        cache.put_hand("b", Hand())
        cache.put_hand("a", None)
        cache.put_hand("unknown", None)
        assert cache.hands(["a", "b"]) == {"b": Hand()}


def test_requests_are_taken_once_in_the_order_they_were_made(cache: Cache) -> None:
    assert cache.requests() == []
    for number in range(3):
        cache.ask(request(number))
    assert cache.requests() == [request(0), request(1), request(2)]
    assert cache.requests() == []


def test_of_more_requests_than_are_kept_the_newest_are_done(cache: Cache) -> None:
    for number in range(REQUESTS_KEPT + 5):
        cache.ask(request(number))
    assert cache.requests() == [request(number) for number in range(5, REQUESTS_KEPT + 5)]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff",
        b"{",
        b"[]",
        b'{"id": "x", "what": "format"}',
        b'{"id": 1, "what": "pause"}',
        b'{"id": "x", "what": "film", "seconds": 1e999}',
        b'{"of a later version": ' + b"[" * 5000,
    ],
)
def test_a_request_that_is_none_is_left_out_and_others_are_done(
    cache: Cache, redis_url: str, garbage: bytes
) -> None:
    cache.ask(request(1))
    redis.Redis.from_url(redis_url).lpush("robo:mine:requests", garbage)
    redis.Redis.from_url(redis_url).rpush("robo:mine:requests", garbage)
    cache.ask(request(2))
    assert cache.requests() == [request(1), request(2)]


def test_an_answer_is_found_by_its_request(cache: Cache) -> None:
    assert cache.answer("id1") is None
    cache.put_answer("id1", ANSWER)
    cache.put_answer("id2", Answer(True, ""))
    assert cache.answer("id1") == ANSWER
    assert cache.answer("id2") == Answer(True, "")
    assert cache.answer("id3") is None


def test_answers_go_by_themselves(cache: Cache, redis_url: str) -> None:
    cache.put_answer("id1", ANSWER)
    assert 0 < redis.Redis.from_url(redis_url).pttl("robo:mine:answer:id1") <= 60_000


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
    for write in WRITES:
        write(cache)
    cache.put_hand("a", None)
    cache.clear()
    assert cache.cars(["a"]) == [None]
    assert (cache.frame("a"), cache.telemetry(), cache.processes()) == (None, {}, {})
    assert (cache.progress(), cache.laps()) == (None, ("0", []))
    assert (cache.lines(), cache.outlines(), cache.film()) == ({}, {}, None)
    assert (cache.box(), cache.points(), cache.first_point()) == ((None,) * 3, ("0", []), None)
    assert cache.requests() == []
    assert cache.runs() == {"mine": RUN.at}  # where it was last heard of is no part of the run


WRITES: list[Callable[[Cache], object]] = [
    lambda cache: cache.put_cars({"a": STATE}),
    lambda cache: cache.put_frame("a", FRAME),
    lambda cache: cache.put_telemetry({"a": TELEMETRY}),
    lambda cache: cache.put_processes({"p": HEALTH}),
    lambda cache: cache.put_progress(PROGRESS),
    lambda cache: cache.add_lap(lap(1)),
    lambda cache: cache.put_lines({"a": LINE}),
    lambda cache: cache.put_outlines({"a": OUTLINE}),
    lambda cache: cache.put_box(RUN, MACHINE, SHELF),
    lambda cache: cache.put_film(FILM),
    lambda cache: cache.add_point(point(1)),
    lambda cache: cache.put_points([point(1), point(2)]),
    lambda cache: cache.watch(["a"]),
    lambda cache: cache.put_hand("a", HAND),
    lambda cache: cache.ask(request(1)),
    lambda cache: cache.put_answer("id1", ANSWER),
]
READS: list[Callable[[Cache], object]] = [
    lambda cache: cache.cars(["a"]),
    lambda cache: cache.frame("a"),
    lambda cache: cache.telemetry(),
    lambda cache: cache.processes(),
    lambda cache: cache.progress(),
    lambda cache: cache.laps(),
    lambda cache: cache.lines(),
    lambda cache: cache.outlines(),
    lambda cache: cache.box(),
    lambda cache: cache.runs(),
    lambda cache: cache.film(),
    lambda cache: cache.points(),
    lambda cache: cache.first_point(),
    lambda cache: cache.answer("id1"),
]
OF_A_MOMENT: list[Callable[[Cache], object]] = [
    lambda cache: cache.watched(["a"]),
    lambda cache: cache.hands(["a"]),
]
REMOVALS: list[Callable[[Cache], object]] = [
    lambda cache: cache.requests(),
    lambda cache: cache.remove_cars(["a"]),
    lambda cache: cache.put_hand("a", None),
    lambda cache: cache.clear(),
]
CALLS = [*WRITES, *READS, *OF_A_MOMENT, *REMOVALS]


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
    redis.Redis.from_url(redis_url).set("robo:mine:cars", "not a hash")
    with pytest.raises(Lost, match="WRONGTYPE"):
        Cache(redis_url, "mine").cars(["a"])


def test_a_server_that_is_back_and_empty_is_used_by_the_very_next_call(redis_server: RedisServer) -> None:
    cache = Cache(redis_server.url, "mine")
    cache.put_cars({"a": STATE})
    redis_server.stop()
    redis_server.start()
    assert cache.cars(["a"]) == [None]
    cache.put_cars({"a": OTHER})
    assert cache.cars(["a"]) == [OTHER]


def test_a_connection_that_the_server_has_closed_is_made_anew(cache: Cache, redis_url: str) -> None:
    cache.put_cars({"a": STATE})
    redis.Redis.from_url(redis_url).client_kill_filter(_type="normal", skipme=True)
    assert cache.cars(["a"]) == [STATE]


def test_a_late_answer_is_not_taken_for_that_to_the_next_call(cache: Cache, redis_url: str) -> None:
    cache.put_cars({"a": STATE})
    cache.put_progress(PROGRESS)
    redis.Redis.from_url(redis_url).execute_command("CLIENT PAUSE", 700, "ALL")
    with pytest.raises(Lost, match="Timeout"):
        cache.cars(["a"])
    assert cache.progress() == PROGRESS
    assert cache.cars(["a"]) == [STATE]


def test_a_server_that_is_full_refuses_what_is_new_and_still_tells_what_it_has(
    cache: Cache, redis_url: str
) -> None:
    for write in WRITES:
        write(cache)
    server = redis.Redis.from_url(redis_url)
    assert server.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    server.config_set("maxmemory", 1)
    for write in WRITES:
        with pytest.raises(Lost, match="maxmemory"):
            write(cache)
    assert all(read(cache) for read in READS)
    server.config_set("maxmemory", "256mb")
    for call in CALLS:
        call(cache)


DEEP = b'{"of a later version": ' + b"[" * 5000
BAD_JSON = [b"", b"\xff\xfe", b"not json", b"{", b"null", b"[]", b"{}", b'{"at": "noon"}', b"[" * 5000, DEEP]


@pytest.mark.parametrize("value", BAD_JSON)
def test_values_that_were_not_written_here_are_lost(cache: Cache, redis_url: str, value: bytes) -> None:
    server = redis.Redis.from_url(redis_url)
    for key in ("cars", "telemetry", "processes", "lines", "outlines"):
        server.hset(f"robo:mine:{key}", "a", value)
    for key, field in (("learner", "progress"), ("film", "status"), ("box", "machine")):
        server.hset(f"robo:mine:{key}", field, value)
    for key, field in (("laps", "lap"), ("curves", "point")):
        server.xadd(f"robo:mine:{key}", {field: value})
    server.set("robo:mine:answer:id1", value)
    reads = [lambda: cache.cars(["a"]), cache.telemetry, cache.processes, cache.progress, cache.laps]
    reads += [cache.lines, cache.outlines, cache.box, cache.film, cache.points, cache.first_point]
    for read in [*reads, lambda: cache.answer("id1")]:
        with pytest.raises(Lost, match="makes no sense"):
            read()
    cache.put_progress(PROGRESS)
    assert cache.progress() == PROGRESS


def test_names_and_fields_that_were_not_written_here_are_lost(cache: Cache, redis_url: str) -> None:
    server = redis.Redis.from_url(redis_url)
    server.hset("robo:mine:telemetry", b"\xff", b"{}")
    server.xadd("robo:mine:laps", {"other": "1"})
    server.xadd("robo:mine:curves", {"other": "1"})
    server.zadd("robo:runs", {b"\xff": 1.0})
    server.hset("robo:mine:frames", "a", b"\x89PNG")
    server.set("robo:mine:hand:a", b'{"turn": "left"}')
    frame, hands = lambda: cache.frame("a"), lambda: cache.hands(["a"])
    for read in (cache.telemetry, cache.laps, cache.points, cache.first_point, cache.runs, frame, hands):
        with pytest.raises(Lost, match="makes no sense"):
            read()


@pytest.mark.parametrize("url", ["?decode_responses=yes", "?encoding_errors=nonsense&decode_responses=yes"])
def test_an_option_that_changes_what_is_read_does_no_harm(redis_url: str, url: str) -> None:
    Cache(redis_url, "mine").put_frame("a", FRAME)
    cache = Cache(redis_url + url, "mine")
    for call in CALLS:
        try:
            call(cache)
        except Lost:
            continue


GREETING = b"%1\r\n$5\r\nproto\r\n:3\r\n"
COMMAND = re.compile(rb"\*\d+\r\n\$")
"""What each of those that come together begins with."""


class Impostor:
    """Listens where a Redis should, and answers each command as told; None: never.

    The first ``bad`` connections are greeted with ``greeting``; those after them are as they should be.
    """

    def __init__(self, answer: bytes | None, greeting: bytes = GREETING, bad: int = 10**6) -> None:
        self._answer, self._greeting, self._bad = answer, greeting, bad
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://:secret@127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            greeting = self._greeting if len(self._connections) < self._bad else GREETING
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, greeting), daemon=True).start()

    def _serve(self, connection: socket.socket, greeting: bytes) -> None:
        try:
            while command := connection.recv(1 << 16):
                answer = greeting if b"HELLO" in command else self._answer
                if b"CLIENT" in command:
                    answer = b"+OK\r\n"
                if answer == b"":
                    connection.shutdown(socket.SHUT_WR)
                elif answer is not None:
                    told = answer.replace(b"WHAT I GOT", command.replace(b"\r\n", b" "))
                    connection.sendall(told * len(COMMAND.findall(command)))
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.close()


@contextmanager
def impostor(answer: bytes | None, greeting: bytes = GREETING, bad: int = 10**6) -> Iterator[Impostor]:
    server = Impostor(answer, greeting, bad)
    try:
        yield server
    finally:
        server.close()


REFUSALS = {
    b"-LOADING Redis is loading the dataset in memory\r\n": "loading",
    b"-NOAUTH Authentication required.\r\n": "uthentication",
    b"-NOPERM this user has no permissions\r\n": "permission",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n": "maxmemory",
    b"-READONLY You can't write against a read only replica.\r\n": "read only",
    b"-MISCONF Errors writing to the disk\r\n": "disk",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n": "wrong kind",
    b"-\r\n": "Redis: ",
    b"-ERR WHAT I GOT\r\n": "Redis: ",
    b"-ERR a\x1b[1mb\tc\r\n": r"a \[1mb c",
}
NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x15\x03\x03\x00\x02\x02\x46",
    b"*x\r\n",
    b",1.5\r\n",
    b"*2\r\n*0\r\n*0\r\n",
    b"*1\r\n-ERR inner\r\n",
    b"%1\r\n+a\r\n+b\r\n",
    b"~1\r\n:1\r\n",
    b">2\r\n+message\r\n+x\r\n" * 3000,
    b"$5\r\nab",  # and no more
    b"",  # a half-closed connection
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_every_refusal_is_lost(answer: bytes) -> None:
    with impostor(answer) as server:
        cache = Cache(server.url, "mine")
        assert not cache.answers()
        for call in CALLS:
            with pytest.raises(Lost, match=REFUSALS[answer]) as error:
                call(cache)
            assert "secret" not in str(error.value)
            assert str(error.value).isprintable()


@pytest.mark.parametrize("answer", NONSENSE)
def test_every_answer_that_makes_no_sense_is_lost(answer: bytes) -> None:
    calls = CALLS[:2] if answer == b"$5\r\nab" else CALLS  # each of them waits
    with impostor(answer) as server:
        cache = Cache(server.url, "mine")
        assert not cache.answers()
        for call in calls:
            with pytest.raises(Lost, match="Redis: ") as error:
                call(cache)
            assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "greeting",
    [
        b"-ERR unknown command\r\n",
        b"+OK\r\n",
        b":1\r\n",
        b"_\r\n",
        b"%0\r\n",
        b"?",
        b"",
    ],
)
def test_a_greeting_gone_wrong_is_lost_and_the_next_call_greets_anew(greeting: bytes) -> None:
    with impostor(b":1\r\n", greeting, bad=1) as server:
        cache = Cache(server.url.replace(":secret@", ""), "mine")
        with pytest.raises(Lost):
            cache.put_cars({"a": STATE})
        cache.put_cars({"a": STATE})


@pytest.mark.parametrize(
    "complaint",
    [
        b"unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `secret`",
        b"unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `secr",
        b"unknown command `HELLO`: WHAT I GOT",
    ],
)
def test_an_old_server_that_repeats_the_password_does_not_get_it_told(complaint: bytes) -> None:
    with impostor(b"", greeting=b"-ERR " + complaint + b"\r\n") as server:
        with pytest.raises(Lost, match="unknown command `HELLO`") as error:
            Cache(server.url, "mine").ping()
        assert "secr" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(("answer", "greeting"), [(None, GREETING), (None, None)])
def test_a_server_that_never_answers_is_lost_soon(answer: None, greeting: bytes | None) -> None:
    with impostor(answer, greeting) as server:
        began = time.monotonic()
        with pytest.raises(Lost, match="Timeout"):
            Cache(server.url, "mine").cars(["a"])
        assert time.monotonic() - began < 3


def test_what_a_server_says_is_told_in_measure() -> None:
    with (
        impostor(b"-ERR " + b"x" * 100_000 + b"\r\n") as server,
        pytest.raises(Lost) as error,
    ):
        Cache(server.url, "mine").ping()
    assert len(str(error.value)) < 400
