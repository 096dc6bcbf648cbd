"""Writes to the cache from a thread of its own, so that nobody who has work to do ever waits for Redis."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from processes.launch import Context
from processes.vitals import Count
from robo import log
from robo.cache import HAND_SECONDS, LAPS_KEPT, Cache, Lost
from robo.cache_values import FilmStatus, Frame, Hand, LapLine, LapRecord, Outline, Point, Progress, Telemetry
from robo.driving.state import CarState

RETRY_SECONDS = 0.25
CLOSE_SECONDS = 0.5
ASK_SECONDS = 0.5
"""How often the thread asks whom somebody watches."""


class Newest(NamedTuple):
    """Values of one kind of which the newest a name is to be written, and how."""

    values: dict[str, Any]
    write: Callable[[Mapping[str, Any]], None]


class Every(NamedTuple):
    """Values of one kind that are all to be written, and how."""

    values: deque[Any]
    write: Callable[[Any], None]


class Publisher:
    """One process's writes to the cache: of most things the newest value, but every lap and every point.

    What Redis does not take is counted and tried again, together with what has become newer; so a cache that
    comes back empty is soon full again. The thread starts with the first write, after ``context.ready()``
    has said how urgent this process is: threads inherit it. With what it writes it asks whom of ``watched``
    cars somebody watches, and of ``driven`` ones drives by hand.
    """

    def __init__(self, context: Context, *, watched: Sequence[str] = (), driven: Sequence[str] = ()) -> None:
        self._context = context
        self._cache = cache = Cache(context.run.redis_url, context.run.name)
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._gone: set[str] = set()
        self._newest = {
            "cars": Newest({}, cache.put_cars),
            "frames": Newest({}, self._write_frames),
            "telemetry": Newest({}, cache.put_telemetry),
            "lines": Newest({}, cache.put_lines),
            "outlines": Newest({}, cache.put_outlines),
            "progress": Newest({}, lambda values: cache.put_progress(values["progress"])),
            "film": Newest({}, lambda values: cache.put_film(values["film"])),
        }
        self._every = {
            "laps": Every(deque(maxlen=LAPS_KEPT), cache.add_lap),
            "points": Every(deque(maxlen=LAPS_KEPT), cache.add_point),
        }
        self._may_be_watched, self._may_be_driven = watched, driven
        self._ask_at = 0.0
        self._hands: dict[str, Hand] = {}
        self._hands_until = 0.0
        self.watched: frozenset[str] = frozenset()
        """Cars that somebody watches."""

    @property
    def hands(self) -> Mapping[str, Hand]:
        """How those cars are driven that are driven by hand."""
        return self._hands if time.monotonic() < self._hands_until else {}

    def put_cars(self, cars: Mapping[str, CarState]) -> None:
        """Write the newest state of some cars."""
        with self._lock:
            self._gone.difference_update(cars)
        self._put("cars", cars)

    def remove_cars(self, names: Collection[str]) -> None:
        """Forget the states of cars that have left."""
        if not names:
            return
        with self._lock:
            self._gone.update(names)
            for name in names:
                self._newest["cars"].values.pop(name, None)
        self._wake()

    def put_frame(self, car: str, frame: Frame) -> None:
        """Write a car's newest picture."""
        self._put("frames", {car: frame})

    def put_telemetry(self, cars: Mapping[str, Telemetry]) -> None:
        """Write the newest telemetry of some cars."""
        self._put("telemetry", cars)

    def put_line(self, car: str, line: LapLine) -> None:
        """Write the line of a car's last lap."""
        self._put("lines", {car: line})

    def put_outlines(self, outlines: Mapping[str, Outline]) -> None:
        """Write what the tracks look like that some cars are on."""
        self._put("outlines", outlines)

    def put_progress(self, progress: Progress) -> None:
        """Write how far the learner is."""
        self._put("progress", {"progress": progress})

    def put_film(self, film: FilmStatus) -> None:
        """Write how far the film is."""
        self._put("film", {"film": film})

    def add_lap(self, lap: LapRecord) -> None:
        """Append a completed lap."""
        self._add("laps", lap)

    def add_point(self, point: Point) -> None:
        """Append a point of the learning curves."""
        self._add("points", point)

    def close(self) -> None:
        """Write what is still to be written, if Redis takes it at once."""
        self._closing.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _put(self, kind: str, values: Mapping[str, Any]) -> None:
        with self._lock:
            self._newest[kind].values.update(values)
        self._wake()

    def _add(self, kind: str, value: Any) -> None:
        with self._lock:
            self._every[kind].values.append(value)
        self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()
        self._news.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._news.wait()
            self._news.clear()
            while not self._wrote() and not self._closing.wait(RETRY_SECONDS):
                pass
        self._wrote()

    def _wrote(self) -> bool:
        """Write all that is new. Whether that is done with."""
        try:
            self._write()
            self._ask()
        except Lost as error:
            self._context.count(Count.CACHE, event="not cached", error=str(error))
            return False
        except Exception:
            # Not Redis's doing: trying the same again would not help, but what comes later may be written.
            log.get().exception("not published")
            with self._lock:
                self._gone.clear()
                for kind in (*self._newest.values(), *self._every.values()):
                    kind.values.clear()
        return True

    def _write(self) -> None:
        """Write all that is new. Raises Lost when Redis did not take it: it is then still to be written."""
        with self._lock:
            newest = {name: dict(kind.values) for name, kind in self._newest.items()}
            every = {name: list(kind.values) for name, kind in self._every.items()}
            gone = set(self._gone)
        self._cache.remove_cars(gone)
        for name, values in newest.items():
            if values:
                self._newest[name].write(values)
        for name, values in every.items():
            for value in values:
                self._every[name].write(value)
                with self._lock:
                    left = self._every[name].values
                    if left and left[0] is value:
                        left.popleft()
        with self._lock:
            self._gone -= gone
            for name, values in newest.items():
                _forget(self._newest[name].values, values)

    def _write_frames(self, frames: Mapping[str, Frame]) -> None:
        for car, frame in frames.items():
            self._cache.put_frame(car, frame)

    def _ask(self) -> None:
        """See whom somebody watches, or drives. Raises Lost."""
        now = time.monotonic()
        if now >= self._ask_at:
            self._ask_at = now + ASK_SECONDS
            self.watched = frozenset(self._cache.watched(self._may_be_watched))
        if self._may_be_driven:
            self._hands = self._cache.hands(self._may_be_driven)
            self._hands_until = time.monotonic() + HAND_SECONDS


def _forget(values: dict[str, Any], written: Mapping[str, Any]) -> None:
    """Take out what was written and has not become newer since."""
    for name, value in written.items():
        if values.get(name) is value:
            del values[name]
