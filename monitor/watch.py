"""Reads one run from its cache, in a thread of its own, and hands on what is new."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import cv2

from monitor.hub import Hub
from monitor.known import Known
from monitor.messages import RedisState
from monitor.pictures import Picture, picture
from monitor.rate import Rate
from robo import log
from robo.cache import LAPS_KEPT, POINTS_KEPT, Cache, Lost
from robo.cache_values import LapRecord, Point
from robo.errors import UserError

PERIODS = {"pictures": 1 / 40, "cars": 1 / 20, "box": 1 / 4, "rest": 1 / 2}
"""Seconds between two looks while somebody watches."""
IDLE_SECONDS = 1.0
"""And while nobody does."""
RENEW_SECONDS = 1.0
RETRY_SECONDS = 0.25
STIR_SECONDS = 0.02
"""Between two looks that somebody's wish for more has brought about, at least."""
OF_A_SESSION = (
    "processes",
    "progress",
    "film",
    "laps",
    "cars",
    "telemetry",
    "pictures",
    "lines",
    "outlines",
)
"""What another session of a run does not go on with."""

LapKey = tuple[float, str]
PointKey = tuple[float, str, int]


class _News:
    """What one look has found."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.topics: set[str] = set()
        self.points: list[Point] = []
        self.reset = False
        """The points are instead of those that were known."""

    def __bool__(self) -> bool:
        return bool(self.fields or self.topics or self.points or self.reset)


class Watch(threading.Thread):
    """Keeps a hub up to date, whatever becomes of Redis, until it is ended.

    While Redis is lost, what was known last stays; a Redis that comes back empty takes none of it away. Only
    another session of the run begins anew. ``open_cache`` may raise UserError.
    """

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop, open_cache: Callable[[], Cache]) -> None:
        super().__init__(name=f"watch {hub.run}", daemon=True)
        self._hub = hub
        self._loop = loop
        self._open_cache = open_cache
        self._cache: Cache | None = None
        self._ending = threading.Event()
        self._stirred = threading.Event()
        self._deaf_until = 0.0
        self._known = Known()
        self._laps: dict[LapKey, LapRecord] = {}
        self._points: dict[PointKey, None] = {}
        self._places = {"laps": "0", "points": "0"}
        self._next = dict.fromkeys(PERIODS, 0.0)
        self._idle = True
        self._cars_changed = False
        self._rates: defaultdict[str, Rate] = defaultdict(Rate)
        self._renewed: frozenset[str] = frozenset()
        self._renew_at = 0.0
        self._lost_since: float | None = None

    def stir(self) -> None:
        """More is wanted, at once or, where that was so a moment ago already, in a moment."""
        self._stirred.set()

    def end(self) -> None:
        """Look no more; the thread ends within a second or so."""
        self._ending.set()
        self._stirred.set()

    def run(self) -> None:
        """Look again and again."""
        cv2.setNumThreads(1)  # a picture is too small to be worth a second thread
        while not self._ending.is_set():
            self._stirred.clear()
            try:
                self._look(time.monotonic())
            except (Lost, UserError) as error:
                self._tell_lost(error.why if isinstance(error, Lost) else str(error))
            except Exception as error:  # it must not be the end of the page
                log.get().exception("could not look at the run", run=self._hub.run)
                self._tell_lost(f"internal error: {type(error).__name__}")
            else:
                self._rest()

    def _rest(self) -> None:
        """Wait until it is time for something, or more is wanted."""
        due = min(self._next.values())
        self._ending.wait(max(0.0, min(due, self._deaf_until) - time.monotonic()))
        if self._stirred.wait(max(0.0, due - time.monotonic())):
            self._deaf_until = time.monotonic() + STIR_SECONDS

    def _look(self, now: float) -> None:
        """Read whatever it is time for. Raises Lost, and UserError when there can be no cache."""
        if self._cache is None:
            self._cache = self._open_cache()
            self._places = dict.fromkeys(self._places, "0")
            self._next = dict.fromkeys(self._next, 0.0)
        idle = not self._hub.watched(now)
        if self._idle and not idle:
            self._next = dict.fromkeys(self._next, 0.0)
        self._idle = idle
        news = _News()
        try:
            if self._is_time("box", now):
                self._read_box(self._cache, news)
            everything = self._is_time("rest", now)
            if everything:
                self._read_rest(self._cache, news)
            if self._is_time("pictures", now) or everything:
                self._read_pictures(self._cache, news, now, everything=everything)
            if self._is_time("cars", now):
                self._read_cars(self._cache, news)
        finally:  # what was read before Redis was lost is known now
            if news:
                self._hand_over(news)

    def _is_time(self, what: str, now: float) -> bool:
        if now < self._next[what]:
            return False
        period = IDLE_SECONDS if self._idle else PERIODS[what]
        following = self._next[what] + period
        self._next[what] = following if following > now else now + period
        return True

    def _read_box(self, cache: Cache, news: _News) -> None:
        run, machine, shelf = cache.box()
        before = self._known.run
        if run is not None and before is not None and run.started_at != before.started_at:
            self._begin_anew(news)
        for name, value in {
            "run": run,
            "machine": machine,
            "shelf": shelf,
            "progress": cache.progress(),
            "film": cache.film(),
        }.items():
            if value is not None:
                self._put(news, name, value)
        self._put(news, "processes", self._known.processes | cache.processes())
        self._lost_since = None
        self._put(news, "redis", RedisState(ok=True))
        news.topics.add("box")

    def _begin_anew(self, news: _News) -> None:
        """Forget what an earlier session of the run has told."""
        fresh = Known()
        for name in OF_A_SESSION:
            self._put(news, name, getattr(fresh, name))
        self._laps.clear()
        self._points.clear()
        self._places = dict.fromkeys(self._places, "0")
        self._next = dict.fromkeys(self._next, 0.0)
        news.reset = True

    def _read_rest(self, cache: Cache, news: _News) -> None:
        self._places["laps"], laps = cache.laps(self._places["laps"])
        self._laps |= {(lap.at, lap.car): lap for lap in laps}
        while len(self._laps) > LAPS_KEPT:
            del self._laps[next(iter(self._laps))]
        if laps:
            self._put(news, "laps", list(self._laps.values()))
        self._places["points"], points = cache.points(self._places["points"])
        for point in points:
            key = (point.at, point.kind, point.env_steps)
            if key not in self._points:
                self._points[key] = None
                news.points.append(point)
        while len(self._points) > POINTS_KEPT:
            del self._points[next(iter(self._points))]
        for topic, read in (("lines", cache.lines()), ("outlines", cache.outlines())):
            if self._put(news, topic, getattr(self._known, topic) | read):
                news.topics.add(topic)

    def _read_cars(self, cache: Cache, news: _News) -> None:
        changed = self._put(news, "telemetry", self._known.telemetry | cache.telemetry())
        names = self._known.names()
        states = zip(names, cache.cars(names), strict=True)
        changed |= self._put(news, "cars", {name: state for name, state in states if state is not None})
        if changed or self._cars_changed:
            news.topics.add("cars")
            self._cars_changed = False

    def _read_pictures(self, cache: Cache, news: _News, now: float, *, everything: bool) -> None:
        """Those that are watched, as often as pictures may come; of all cars with everything else."""
        names = self._known.names()
        wanted = self._hub.wants(now).intersection(names)
        self._renew(cache, wanted, now)
        rates = self._rates
        due = [name for name in names if (everything or name in wanted) and rates[name].may_look(now)]
        new: dict[str, Picture] = {}
        for name, frame in zip(due, cache.frames(due), strict=True):
            known = self._known.pictures.get(name)
            if frame is None or (known is not None and (known.at, known.number) == (frame.at, frame.number)):
                continue
            if rates[name].may_show(frame.at, now):
                new[name] = picture(name, frame)
        if everything:
            self._put(news, "looked_at", time.time())
        if new:
            self._put(news, "pictures", self._known.pictures | new)
            self._cars_changed = True

    def _renew(self, cache: Cache, wanted: frozenset[str], now: float) -> None:
        """Have the watched cars' pictures come more often."""
        if wanted and (now >= self._renew_at or not wanted <= self._renewed):
            cache.watch(wanted)
            self._renewed = wanted if now >= self._renew_at else self._renewed | wanted
            self._renew_at = now + RENEW_SECONDS

    def _put(self, news: _News, name: str, value: Any) -> bool:
        """Note what was read. Whether it is new."""
        if getattr(self._known, name) == value:
            return False
        setattr(self._known, name, value)
        news.fields[name] = value
        return True

    def _tell_lost(self, why: str) -> None:
        """Say that Redis is lost, and wait a little; the next look is at everything."""
        self._cache = None
        self._lost_since = self._lost_since or time.time()
        news = _News()
        self._put(news, "redis", RedisState(ok=False, why=why, since=self._lost_since))
        news.topics.add("box")
        self._hand_over(news)
        self._ending.wait(RETRY_SECONDS)

    def _hand_over(self, news: _News) -> None:
        def take() -> None:
            self._hub.take(news.fields, news.topics, news.points, reset=news.reset)

        try:
            self._loop.call_soon_threadsafe(take)
        except RuntimeError:  # the loop is closed, and whoever closed it did not wait for us
            self._ending.set()
