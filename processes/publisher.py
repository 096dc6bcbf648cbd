"""Writes to the cache from a thread of its own, so that nobody who has work to do ever waits for Redis."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from processes.launch import Context
from processes.vitals import Count
from robo import log
from robo.cache import LAPS_KEPT, Cache, LapRecord, Lost, Progress, Telemetry
from robo.driving.state import CarState

RETRY_SECONDS = 0.25
CLOSE_SECONDS = 0.5


class Publisher:
    """One process's writes to the cache: of everything the newest value, and every lap.

    What Redis does not take is counted and tried again, together with what has become newer; so a cache that
    comes back empty is soon full again. The thread starts with the first write, after ``context.ready()``
    has said how urgent this process is: threads inherit it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cache = Cache(context.run.redis_url, context.run.name)
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._cars: dict[str, CarState] = {}
        self._gone: set[str] = set()
        self._frames: dict[str, bytes] = {}
        self._telemetry: dict[str, Telemetry] = {}
        self._progress: Progress | None = None
        self._laps: deque[LapRecord] = deque(maxlen=LAPS_KEPT)

    def put_cars(self, cars: Mapping[str, CarState]) -> None:
        """Write the newest state of some cars."""
        with self._lock:
            self._cars.update(cars)
            self._gone.difference_update(cars)
        self._wake()

    def remove_cars(self, names: Collection[str]) -> None:
        """Forget the states of cars that have left."""
        if not names:
            return
        with self._lock:
            self._gone.update(names)
            for name in names:
                self._cars.pop(name, None)
        self._wake()

    def put_frame(self, car: str, png: bytes) -> None:
        """Write a car's newest picture."""
        with self._lock:
            self._frames[car] = png
        self._wake()

    def put_telemetry(self, cars: Mapping[str, Telemetry]) -> None:
        """Write the newest telemetry of some cars."""
        with self._lock:
            self._telemetry.update(cars)
        self._wake()

    def put_progress(self, progress: Progress) -> None:
        """Write how far the learner is."""
        with self._lock:
            self._progress = progress
        self._wake()

    def add_lap(self, lap: LapRecord) -> None:
        """Append a completed lap."""
        with self._lock:
            self._laps.append(lap)
        self._wake()

    def close(self) -> None:
        """Write what is still to be written, if Redis takes it at once."""
        self._closing.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

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
        except Lost as error:
            self._context.count(Count.CACHE, event="not cached", error=str(error))
            return False
        except Exception:
            # Not Redis's doing: trying the same again would not help, but what comes later may be written.
            log.get().exception("not published")
            with self._lock:
                for values in (self._cars, self._gone, self._frames, self._telemetry, self._laps):
                    values.clear()
                self._progress = None
        return True

    def _write(self) -> None:
        """Write all that is new. Raises Lost when Redis did not take it: it is then still to be written."""
        with self._lock:
            cars, frames, telemetry = dict(self._cars), dict(self._frames), dict(self._telemetry)
            progress, laps, gone = self._progress, list(self._laps), set(self._gone)
        self._cache.remove_cars(gone)
        self._cache.put_cars(cars)
        for car, png in frames.items():
            self._cache.put_frame(car, png)
        self._cache.put_telemetry(telemetry)
        if progress is not None:
            self._cache.put_progress(progress)
        for lap in laps:
            self._cache.add_lap(lap)
            with self._lock:
                if self._laps and self._laps[0] is lap:
                    self._laps.popleft()
        with self._lock:
            self._gone -= gone
            _forget(self._cars, cars)
            _forget(self._frames, frames)
            _forget(self._telemetry, telemetry)
            if self._progress is progress:
                self._progress = None


def _forget(values: dict[str, Any], written: Mapping[str, Any]) -> None:
    """Take out what was written and has not become newer since."""
    for name, value in written.items():
        if values.get(name) is value:
            del values[name]
