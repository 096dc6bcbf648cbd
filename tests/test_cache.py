"""The car-state cache, against a real server: what is put is what comes back, and its loss is told."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
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
HEALTH = ProcessHealth(at=1.0, state="running", pid=None, restarts=2, beat_age_s=0.25)
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


CALLS: list[Callable[[Cache], object]] = [  # writes and reads in turn, and a clear
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
    for call in CALLS[:-1]:
        call(cache)
    server = redis.Redis.from_url(redis_url)
    assert server.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    server.config_set("maxmemory", 1)
    for write in CALLS[:-1:2]:
        with pytest.raises(Lost, match="maxmemory"):
            write(cache)
    assert all(read(cache) for read in CALLS[1:-1:2])
    server.config_set("maxmemory", "256mb")
    for call in CALLS:
        call(cache)


BAD_JSON = [b"", b"\xff\xfe", b"not json", b"{", b"null", b"[]", b"{}", b'{"at": "noon"}', b"[" * 5000]


@pytest.mark.parametrize("value", BAD_JSON)
def test_values_that_were_not_written_here_are_lost(cache: Cache, redis_url: str, value: bytes) -> None:
    server = redis.Redis.from_url(redis_url)
    for key in ("cars", "telemetry", "processes", "learner"):
        server.hset(f"robo:mine:{key}", "progress", value)
    server.xadd("robo:mine:laps", {"lap": value})
    reads = [lambda: cache.cars(["progress"]), cache.telemetry, cache.processes, cache.progress, cache.laps]
    for read in reads:
        with pytest.raises(Lost, match="makes no sense"):
            read()
    cache.put_progress(PROGRESS)
    assert cache.progress() == PROGRESS


def test_names_and_fields_that_were_not_written_here_are_lost(cache: Cache, redis_url: str) -> None:
    server = redis.Redis.from_url(redis_url)
    server.hset("robo:mine:telemetry", b"\xff", b"{}")
    server.xadd("robo:mine:laps", {"other": "1"})
    for read in (cache.telemetry, cache.laps):
        with pytest.raises(Lost, match="makes no sense"):
            read()


@pytest.mark.parametrize("url", ["?decode_responses=yes", "?encoding_errors=nonsense&decode_responses=yes"])
def test_an_option_that_changes_what_is_read_does_no_harm(redis_url: str, url: str) -> None:
    Cache(redis_url, "mine").put_frame("a", b"\x89PNG")
    cache = Cache(redis_url + url, "mine")
    for call in CALLS:
        try:
            call(cache)
        except Lost:
            continue


GREETING = b"%1\r\n$5\r\nproto\r\n:3\r\n"


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
                    connection.sendall(answer.replace(b"WHAT I GOT", command.replace(b"\r\n", b" ")))
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
