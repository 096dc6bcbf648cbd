"""The car-state cache in Redis: every key and the type of its values, in one place.

Keys, all under ``robo:RUN:`` (hashes hold the latest value a field; the stream is capped):

    cars       car name -> CarState                  spectator_reader writes
    frames     car name -> PNG of a recent frame     frame_processor writes
    telemetry  car name -> Telemetry                 explorers write
    processes  process name -> ProcessHealth         supervisor writes
    learner    "progress" -> Progress                learner writes
    laps       stream of LapRecord                   explorers write

The cache is for whoever watches: no frame waits for it. Values are JSON, but for the pictures. Nothing is
pickled. Every method raises ``Lost`` when Redis can't be reached; the caller decides whether to wait or to go
on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec
import redis

from robo.driving.state import CarState

LAPS_KEPT = 1000
TIMEOUT_SECONDS = 0.5

T = TypeVar("T", bound=msgspec.Struct)


class Lost(Exception):
    """Redis does not answer, or refuses."""


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

    state: str
    pid: int | None
    restarts: int
    beat_age_s: float | None


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
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, protocol=3
        )
        self._prefix = f"robo:{run}:"
        self._decoders: dict[type, msgspec.json.Decoder] = {}

    def ping(self) -> None:
        """Raise Lost unless Redis answers."""
        self._run(self._redis.ping)

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
        self._run(self._redis.delete, *(self._prefix + key for key in keys))

    def put_cars(self, cars: Mapping[str, CarState]) -> None:
        """Write the newest state of some cars."""
        self._put("cars", cars)

    def cars(self, names: Iterable[str]) -> list[CarState | None]:
        """The newest state of each car; None where there is none yet."""
        names = list(names)
        if not names:
            return []
        values = self._run(self._redis.hmget, self._prefix + "cars", names)
        decode = self._decoder(CarState).decode
        return [None if value is None else decode(value) for value in values]

    def put_frame(self, car: str, png: bytes) -> None:
        """Write a car's newest picture."""
        self._run(self._redis.hset, self._prefix + "frames", car, png)

    def frame(self, car: str) -> bytes | None:
        """A car's newest picture, as PNG."""
        return self._run(self._redis.hget, self._prefix + "frames", car)

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
        self._run(
            self._redis.xadd, self._prefix + "laps", {"lap": msgspec.json.encode(lap)}, maxlen=LAPS_KEPT
        )

    def laps(self, after: str = "0") -> tuple[str, list[LapRecord]]:
        """The laps completed after the place ``after``, and the place to ask from the next time."""
        answer = self._run(
            self._redis.xrange, self._prefix + "laps", min=f"({after}" if after != "0" else "-"
        )
        decode = self._decoder(LapRecord).decode
        laps = [decode(fields[b"lap"]) for _, fields in answer]
        return (answer[-1][0].decode() if answer else after), laps

    def _put(self, key: str, values: Mapping[str, msgspec.Struct]) -> None:
        if values:
            mapping = {name: msgspec.json.encode(value) for name, value in values.items()}
            self._run(self._redis.hset, self._prefix + key, mapping=mapping)

    def _all(self, key: str, type_: type[T]) -> dict[str, T]:
        decode = self._decoder(type_).decode
        values = self._run(self._redis.hgetall, self._prefix + key)
        return {name.decode(): decode(value) for name, value in values.items()}

    def _decoder(self, type_: type[T]) -> msgspec.json.Decoder[T]:
        if type_ not in self._decoders:
            self._decoders[type_] = msgspec.json.Decoder(type_)
        return self._decoders[type_]

    def _run(self, command, *arguments, **options):  # noqa: ANN001, ANN002, ANN003, ANN202 redis's own
        try:
            return command(*arguments, **options)
        except redis.RedisError as error:
            raise Lost(f"Redis: {error}") from error
