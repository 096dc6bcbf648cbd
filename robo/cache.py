"""The car-state cache in Redis: every key and the type of its values, in one place.

Keys, all under ``robo:RUN:`` (hashes hold the latest value a field; the stream is capped):

    cars       car name -> CarState                  spectator_reader writes
    frames     car name -> PNG of a recent frame     frame_processor writes
    telemetry  car name -> Telemetry                 explorers write
    processes  process name -> ProcessHealth         supervisor writes
    learner    "progress" -> Progress                learner writes
    laps       stream of LapRecord                   explorers write

The cache is for whoever watches: no frame waits for it. Values are JSON, but for the pictures. Nothing is
pickled. Every method raises ``Lost``, and nothing else, when Redis can't be reached, refuses, or has what was
not written here; the caller decides whether to wait or to go on.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis
from redis.maint_notifications import MaintNotificationsConfig

from robo.driving.state import CarState

LAPS_KEPT = 1000
TIMEOUT_SECONDS = 0.5
"""For connecting, and for every piece of an answer, unless the URL says otherwise."""
LONGEST_COMPLAINT = 300
"""Characters of what a server says of itself that are handed on."""
_FILE_OPTIONS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_REPEATS = ", with args"
"""What a server that does not know a command goes on with: all that it was sent, or half of it."""
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


class Telemetry(msgspec.Struct, frozen=True):
    """What one car's driver sees and does."""

    role: str
    """explorer or evaluator."""
    at: float = 0.0
    """Unix time, seconds."""
    decisions: int = 0
    throttle: float = 0.0
    turn: float = 0.0
    episode_reward: float = 0.0
    last_episode_reward: float | None = None
    last_episode_end: str = ""
    episodes: int = 0
    laps: int = 0
    clean_laps: int = 0
    clean_laps_in_a_row: int = 0
    best_lap: float | None = None
    """Simulation seconds, of the clean laps."""
    weights_version: int = 0
    late_states: int = 0
    """Observations whose car state was not yet known."""


class ProcessHealth(msgspec.Struct, frozen=True):
    """One process as the supervisor sees it."""

    at: float
    """Unix time, seconds, of this look at it."""
    state: str
    pid: int | None
    restarts: int
    beat_age_s: float | None
    """Seconds since it last gave a sign of life; None while it does not run."""
    complaint: str = ""
    """What it says is not as it should be."""
    counts: dict[str, int] = {}
    """What it has counted, of all its lives together."""


class Progress(msgspec.Struct, frozen=True):
    """How far the learner is."""

    at: float
    env_steps: int
    train_steps: int
    replay: int
    env_steps_per_s: float
    train_steps_per_s: float
    values: dict[str, float | None]
    """Losses and the like."""


class LapRecord(msgspec.Struct, frozen=True):
    """One lap that a car completed."""

    at: float
    car: str
    role: str
    seconds: float
    clean: bool
    clean_in_a_row: int


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
        keys = ("cars", "frames", "telemetry", "processes", "learner", "laps")
        with self._asking():
            _must_be(int, self._redis.delete(*(self._prefix + key for key in keys)))

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

    def put_frame(self, car: str, png: bytes) -> None:
        """Write a car's newest picture."""
        with self._asking():
            _must_be(int, self._redis.hset(self._prefix + "frames", car, png))

    def frame(self, car: str) -> bytes | None:
        """A car's newest picture, as PNG."""
        with self._asking():
            png = self._redis.hget(self._prefix + "frames", car)
            return None if png is None else _must_be(bytes, png)

    def put_telemetry(self, cars: Mapping[str, Telemetry]) -> None:
        """Write the newest telemetry of some cars."""
        self._put("telemetry", cars)

    def telemetry(self) -> dict[str, Telemetry]:
        """The newest telemetry of every car."""
        return self._all("telemetry", Telemetry)

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

    def add_lap(self, lap: LapRecord) -> None:
        """Append a completed lap."""
        fields = {"lap": msgspec.json.encode(lap)}
        with self._asking():
            _must_be(bytes, self._redis.xadd(self._prefix + "laps", fields, maxlen=LAPS_KEPT))

    def laps(self, after: str = "0") -> tuple[str, list[LapRecord]]:
        """The laps completed after the place ``after``, and the place to ask from the next time."""
        decode = self._decoder(LapRecord).decode
        with self._asking():
            answer = self._redis.xrange(self._prefix + "laps", min=f"({after}" if after != "0" else "-")
            laps = [decode(fields[b"lap"]) for _, fields in answer]
            return (_place(answer[-1][0]) if answer else after), laps

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


def _place(entry: bytes) -> str:
    """Where in a stream an entry is. Raises ValueError when that is no place."""
    if not _PLACE.fullmatch(entry):
        raise ValueError("an entry of a stream has no place")
    return entry.decode()
