"""The car-state cache in Redis: every key and the type of its values, in one place.

Keys, all under ``robo:RUN:`` (hashes hold the latest value a field; streams and lists are capped):

    cars       car name -> CarState                     spectator_reader writes
    frames     car name -> Frame of a moment ago        frame_processor writes
    telemetry  car name -> Telemetry                    explorers write
    lines      car name -> LapLine                      explorers write
    outlines   car name -> Outline of its track         explorers write
    processes  process name -> ProcessHealth            supervisor writes
    box        "run" -> RunInfo, "machine" -> Machine, "shelf" -> Shelf    supervisor writes
    learner    "progress" -> Progress                   learner writes
    film       "status" -> FilmStatus                   recorder writes
    laps       stream of LapRecord                      explorers write
    curves     stream of Point        learner writes; supervisor, what was measured before it was here
    watched:CAR    there while somebody watches the car     monitors write
    hand:CAR       Hand, while somebody drives the car      monitors write
    requests   list of Request, taken by the supervisor     monitors and commands write
    answer:ID  Answer to a request, for a while             supervisor writes

And ``robo:runs``, a sorted set of all runs' names by when they were last heard of.

The cache is for whoever watches: no frame waits for it. Values are JSON, but for the pictures. Nothing is
pickled. Every method raises ``Lost``, and nothing else, when Redis can't be reached, refuses, or has what was
not written here; the caller decides whether to wait or to go on.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis
from redis.maint_notifications import MaintNotificationsConfig

from robo.cache_values import (
    Answer,
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
    Shelf,
    Telemetry,
)
from robo.driving.state import CarState

LAPS_KEPT = 1000
POINTS_KEPT = 20_000
"""Of the curves; two a log interval, for some hours."""
REQUESTS_KEPT = 20
REQUEST_SECONDS = 5.0
"""A request that nobody has taken by then is forgotten: whoever asked was told that the run is silent."""
ANSWER_SECONDS = 60
WATCHED_SECONDS = 3.0
"""A watch ends when it has not been renewed for so long."""
HAND_SECONDS = 0.5
"""And so does driving by hand."""
TIMEOUT_SECONDS = 0.5
"""For connecting, and for every piece of an answer, unless the URL says otherwise."""
LONGEST_COMPLAINT = 300
"""Characters of what a server says of itself that are handed on."""
_FILE_OPTIONS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_REPEATS = ", with args"
"""What a server that does not know a command goes on with: all that it was sent, or half of it."""
_FRAME = struct.Struct("<dQ")
_RUNS = "robo:runs"
_KEYS = (
    "cars",
    "frames",
    "telemetry",
    "lines",
    "outlines",
    "processes",
    "box",
    "learner",
    "film",
    "laps",
    "curves",
)
_PLACE = re.compile(rb"\d+-\d+")

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")


class Lost(Exception):
    """Redis does not answer, refuses, or has what was not written here."""

    @property
    def why(self) -> str:
        """What was wrong: one line, which holds no password."""
        return self.args[0]

    def __str__(self) -> str:
        return f"Redis: {self.why}"


class Cache:
    """One process's connection to the cache of one run."""

    def __init__(self, url: str, run: str) -> None:
        """Raises ValueError, which tells what is wrong but no password, when ``url`` is no Redis URL.

        ``redis://``, ``rediss://`` (TLS) and ``unix://`` with redis-py's options, as ``?ssl_ca_certs=FILE``.
        """
        self._redis = _client(url)
        self._secrets = _secrets(self._redis)
        self._prefix = f"robo:{run}:"
        self._decoders: dict[type, msgspec.json.Decoder] = {}

    def ping(self) -> None:
        """Raise Lost unless Redis answers."""
        with self._asking():
            if self._redis.ping() is not True:
                raise TypeError("not the answer to a ping")

    def answers(self) -> bool:
        """Whether Redis answers."""
        try:
            self.ping()
        except Lost:
            return False
        return True

    def clear(self) -> None:
        """Forget what an earlier session of the run left."""
        with self._asking():
            _must_be(int, self._redis.delete(*(self._prefix + key for key in (*_KEYS, "requests"))))

    def put_cars(self, cars: Mapping[str, CarState]) -> None:
        """Write the newest state of some cars."""
        self._put("cars", cars)

    def remove_cars(self, names: Collection[str]) -> None:
        """Forget the states of cars that have left."""
        if names:
            with self._asking():
                _must_be(int, self._redis.hdel(self._prefix + "cars", *names))

    def cars(self, names: Iterable[str]) -> list[CarState | None]:
        """The newest state of each car; None where there is none yet."""
        names = list(names)
        if not names:
            return []
        decode = self._decoder(CarState).decode
        with self._asking():
            values = zip(names, self._redis.hmget(self._prefix + "cars", names), strict=True)
            return [None if value is None else decode(value) for _, value in values]

    def put_frame(self, car: str, frame: Frame) -> None:
        """Write a car's newest picture."""
        with self._asking():
            data = _FRAME.pack(frame.at, frame.number) + frame.png
            _must_be(int, self._redis.hset(self._prefix + "frames", car, data))

    def frame(self, car: str) -> Frame | None:
        """A car's newest picture."""
        return self.frames([car])[0]

    def frames(self, cars: Iterable[str]) -> list[Frame | None]:
        """The newest picture of each car; None where there is none yet."""
        cars = list(cars)
        if not cars:
            return []
        with self._asking():
            answers = zip(cars, self._redis.hmget(self._prefix + "frames", cars), strict=True)
            return [None if answer is None else _frame(_must_be(bytes, answer)) for _, answer in answers]

    def put_telemetry(self, cars: Mapping[str, Telemetry]) -> None:
        """Write the newest telemetry of some cars."""
        self._put("telemetry", cars)

    def telemetry(self) -> dict[str, Telemetry]:
        """The newest telemetry of every car."""
        return self._all("telemetry", Telemetry)

    def put_lines(self, lines: Mapping[str, LapLine]) -> None:
        """Write the lines of some cars' last laps."""
        self._put("lines", lines)

    def lines(self) -> dict[str, LapLine]:
        """The line of every car's last lap."""
        return self._all("lines", LapLine)

    def put_outlines(self, outlines: Mapping[str, Outline]) -> None:
        """Write what the tracks look like that some cars are on."""
        self._put("outlines", outlines)

    def outlines(self) -> dict[str, Outline]:
        """What the track looks like that each car is on."""
        return self._all("outlines", Outline)

    def put_processes(self, processes: Mapping[str, ProcessHealth]) -> None:
        """Write the health of every process."""
        self._put("processes", processes)

    def processes(self) -> dict[str, ProcessHealth]:
        """The health of every process."""
        return self._all("processes", ProcessHealth)

    def put_progress(self, progress: Progress) -> None:
        """Write how far the learner is."""
        self._put("learner", {"progress": progress})

    def progress(self) -> Progress | None:
        """How far the learner is; None before it has begun."""
        return self._all("learner", Progress).get("progress")

    def put_box(
        self, run: RunInfo | None = None, machine: Machine | None = None, shelf: Shelf | None = None
    ) -> None:
        """Write what is new of the run, its machine and what it has saved; and that the run is there."""
        parts = {"run": run, "machine": machine, "shelf": shelf}
        self._put("box", {name: part for name, part in parts.items() if part is not None})
        if run is not None:
            name = self._prefix.removeprefix("robo:").removesuffix(":")
            with self._asking():
                _must_be(int, self._redis.zadd(_RUNS, {name: run.at}))

    def box(self) -> tuple[RunInfo | None, Machine | None, Shelf | None]:
        """What is known of the run, its machine and what it has saved."""
        types: tuple[tuple[str, type], ...] = (("run", RunInfo), ("machine", Machine), ("shelf", Shelf))
        with self._asking():
            values = self._redis.hmget(self._prefix + "box", [name for name, _ in types])
            pairs = zip(values, types, strict=True)
            return tuple(
                None if value is None else self._decoder(type_).decode(value) for value, (_, type_) in pairs
            )

    def runs(self) -> dict[str, float]:
        """All runs in this Redis, and when (Unix time) each was last heard of; the newest first."""
        with self._asking():
            answer = self._redis.zrevrange(_RUNS, 0, -1, withscores=True)
            return {_must_be(bytes, name).decode(): float(at) for name, at in answer}

    def put_film(self, film: FilmStatus) -> None:
        """Write how far the film is."""
        self._put("film", {"status": film})

    def film(self) -> FilmStatus | None:
        """How far the film is; None when nothing was filmed."""
        return self._all("film", FilmStatus).get("status")

    def add_lap(self, lap: LapRecord) -> None:
        """Append a completed lap."""
        self._append("laps", "lap", lap, LAPS_KEPT)

    def laps(self, after: str = "0") -> tuple[str, list[LapRecord]]:
        """The laps completed after the place ``after``, and the place to ask from the next time."""
        return self._after("laps", "lap", LapRecord, after)

    def add_point(self, point: Point) -> None:
        """Append a point of the learning curves."""
        self._append("curves", "point", point, POINTS_KEPT)

    def points(self, after: str = "0") -> tuple[str, list[Point]]:
        """The points that came after the place ``after``, and the place to ask from the next time."""
        return self._after("curves", "point", Point, after)

    def first_point(self) -> Point | None:
        """The oldest point that is here."""
        with self._asking():
            answer = self._redis.xrange(self._prefix + "curves", count=1)
            return self._decoder(Point).decode(answer[0][1][b"point"]) if answer else None

    def put_points(self, points: Iterable[Point]) -> None:
        """Replace all points by these, which follow one another."""
        key = self._prefix + "curves"
        with self._asking():
            pipeline = self._redis.pipeline()
            pipeline.delete(key)
            for point in points:
                pipeline.xadd(key, {"point": msgspec.json.encode(point)}, maxlen=POINTS_KEPT)
            _must_be(list, pipeline.execute())

    def watch(self, cars: Iterable[str]) -> None:
        """Say that somebody watches these cars; to be renewed within WATCHED_SECONDS."""
        self._set_all({f"watched:{car}": b"1" for car in cars}, WATCHED_SECONDS)

    def watched(self, cars: Iterable[str]) -> set[str]:
        """Which of these cars somebody watches."""
        cars = list(cars)
        answers = zip(cars, self._get_all([f"watched:{car}" for car in cars]), strict=True)
        return {car for car, answer in answers if answer is not None}

    def put_hand(self, car: str, hand: Hand | None) -> None:
        """Say how a car is driven by hand, to be renewed within HAND_SECONDS; None: by hand no more."""
        if hand is None:
            with self._asking():
                _must_be(int, self._redis.delete(f"{self._prefix}hand:{car}"))
        else:
            self._set_all({f"hand:{car}": msgspec.json.encode(hand)}, HAND_SECONDS)

    def hands(self, cars: Iterable[str]) -> dict[str, Hand]:
        """How those of these cars are driven that are driven by hand."""
        cars = list(cars)
        decode = self._decoder(Hand).decode
        answers = self._get_all([f"hand:{car}" for car in cars])
        with self._asking():
            return {
                car: decode(answer) for car, answer in zip(cars, answers, strict=True) if answer is not None
            }

    def ask(self, request: Request) -> None:
        """Ask the run to do something. Of too many requests that nobody takes the oldest are dropped."""
        key = self._prefix + "requests"
        with self._asking():
            pipeline = self._redis.pipeline()
            pipeline.lpush(key, msgspec.json.encode(request))
            pipeline.ltrim(key, 0, REQUESTS_KEPT - 1)
            pipeline.pexpire(key, round(REQUEST_SECONDS * 1000))
            for answer in pipeline.execute():
                _must_be(int, answer)

    def requests(self) -> list[Request]:
        """Take what the run was asked to do, oldest first; what makes no sense is left out."""
        decode, requests = self._decoder(Request).decode, []
        with self._asking():
            for data in _must_be(list, self._redis.rpop(self._prefix + "requests", REQUESTS_KEPT) or []):
                with contextlib.suppress(msgspec.DecodeError, RecursionError):
                    requests.append(decode(_must_be(bytes, data)))
        return requests

    def put_answer(self, request: str, answer: Answer) -> None:
        """Write what came of a request, by its id."""
        self._set_all({f"answer:{request}": msgspec.json.encode(answer)}, ANSWER_SECONDS)

    def answer(self, request: str) -> Answer | None:
        """What came of a request; None: nothing yet, or long ago."""
        (value,) = self._get_all([f"answer:{request}"])
        with self._asking():
            return None if value is None else self._decoder(Answer).decode(value)

    def _append(self, key: str, field: str, value: msgspec.Struct, kept: int) -> None:
        with self._asking():
            fields = {field: msgspec.json.encode(value)}
            _must_be(bytes, self._redis.xadd(self._prefix + key, fields, maxlen=kept))

    def _after(self, key: str, field: str, type_: type[T], after: str) -> tuple[str, list[T]]:
        decode = self._decoder(type_).decode
        with self._asking():
            answer = self._redis.xrange(self._prefix + key, min=f"({after}" if after != "0" else "-")
            values = [decode(fields[field.encode()]) for _, fields in answer]
            return (_place(answer[-1][0]) if answer else after), values

    def _set_all(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Write values that go by themselves."""
        with self._asking():
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in values.items():
                pipeline.set(self._prefix + key, value, px=round(seconds * 1000))
            if not all(answer is True for answer in pipeline.execute()):
                raise TypeError("not the answer to a set")

    def _get_all(self, keys: list[str]) -> list[bytes | None]:
        if not keys:
            return []
        with self._asking():
            answers = _must_be(list, self._redis.mget([self._prefix + key for key in keys]))
            pairs = zip(keys, answers, strict=True)
            return [None if answer is None else _must_be(bytes, answer) for _, answer in pairs]

    def _put(self, key: str, values: Mapping[str, msgspec.Struct]) -> None:
        if values:
            mapping = {name: msgspec.json.encode(value) for name, value in values.items()}
            with self._asking():
                _must_be(int, self._redis.hset(self._prefix + key, mapping=mapping))

    def _all(self, key: str, type_: type[T]) -> dict[str, T]:
        decode = self._decoder(type_).decode
        with self._asking():
            values = self._redis.hgetall(self._prefix + key)
            return {name.decode(): decode(value) for name, value in values.items()}

    def _decoder(self, type_: type[T]) -> msgspec.json.Decoder[T]:
        if type_ not in self._decoders:
            self._decoders[type_] = msgspec.json.Decoder(type_)
        return self._decoders[type_]

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Make Lost of whatever goes wrong within."""
        try:
            yield
        except Exception as error:  # all kinds, for an answer that makes no sense is not foreseen in redis-py
            # What is still on its way on this connection must not be taken for the next call's answer.
            self._redis.connection_pool.disconnect(inuse_connections=False)
            raise Lost(self._told(error)) from None

    def _told(self, error: Exception) -> str:
        """An error in one line without passwords."""
        known = isinstance(error, redis.RedisError) and str(error)
        text = str(error) if known else f"an answer that makes no sense: {type(error).__name__}: {error}"
        text = text.partition(_REPEATS)[0]
        for secret in self._secrets:
            text = text.replace(secret, "***")
        printable = "".join(character if character.isprintable() else " " for character in text)
        return " ".join(printable.split())[:LONGEST_COMPLAINT]


def _client(url: str) -> redis.Redis:
    """A client that connects at its first call. Raises ValueError as ``Cache`` does."""
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            protocol=3,
            # By these a server could send us to another one; and with them redis-py would not look, before a
            # call, whether something unread has come on the connection.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        client.connection_pool.make_connection()  # connects to nothing, but takes the URL's options
    except Exception:  # redis-py's errors differ with the option, and repeat what may be part of a password
        raise ValueError(
            "no Redis URL, or one with an option that there is not; write redis://host:port/0, "
            "or rediss://:password@host:port/0?ssl_ca_certs=FILE"
        ) from None
    for name, value in client.connection_pool.connection_kwargs.items():
        if name in _FILE_OPTIONS and not Path(value).exists():
            raise ValueError(f"{name}: there is no {value}")
    return client


def _secrets(client: redis.Redis) -> list[str]:
    """What no message may hold."""
    options = client.connection_pool.connection_kwargs
    found = (options.get("password") or options.get("username"), options.get("ssl_password"))
    return [secret for secret in found if secret]


def _must_be(type_: type[V], answer: Any) -> V:
    """The answer. Raises TypeError unless it is of that type."""
    if not isinstance(answer, type_):
        raise TypeError(f"expected {type_.__name__}, got {type(answer).__name__}")
    return answer


def _frame(data: bytes) -> Frame:
    """What ``put_frame`` wrote. Raises struct.error when it did not."""
    return Frame(*_FRAME.unpack_from(data), data[_FRAME.size :])


def _place(entry: bytes) -> str:
    """Where in a stream an entry is. Raises ValueError when that is no place."""
    if not _PLACE.fullmatch(entry):
        raise ValueError("an entry of a stream has no place")
    return entry.decode()
