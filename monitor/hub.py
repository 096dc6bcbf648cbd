"""Where what is read of a run meets those who watch it.

Whoever watches pulls: the hub only says that there is news. What is newer than what one has been sent is
built when it can be sent, so a slow viewer gets less of it, and nothing waits for it in memory. Everything is
encoded once for all. Only the event loop's thread comes here, but for what says otherwise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from monitor.known import Curves, Known
from monitor.messages import BoxMessage, CarsMessage, CurvesMessage, LinesMessage, OutlinesMessage
from robo.cache import POINTS_KEPT
from robo.cache_values import Point

TOPICS = ("box", "outlines", "lines", "cars")
"""What there is of text, but for the curves, in the order in which it is sent."""
INTEREST_SECONDS = 3.0
"""How long one who has asked for something once counts as somebody who watches."""

Place = tuple[int, int]


class Viewer(Protocol):
    """Somebody who watches."""

    cars: frozenset[str]
    """Whose pictures are wanted."""

    def wake(self) -> None:
        """There is news, or the hub is closed."""


class Hub:
    """The newest of one run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.known = Known()
        self.curves = Curves(POINTS_KEPT)
        self.closed = False
        self.stir: Callable[[], None] = lambda: None
        """Called when more is wanted at once."""
        self.wanted: frozenset[str] = frozenset()
        """Cars whose pictures viewers want. Other threads may read it."""
        self.drivers: dict[str, tuple[object, float]] = {}
        """Car -> who drives it by hand, and until when (monotonic seconds) nobody else may."""
        self._viewers: set[Viewer] = set()
        self._versions = dict.fromkeys((*TOPICS, "curves"), 0)
        self._encoded: dict[str, tuple[int, bytes]] = {}
        self._curves_encoded: dict[Place | None, bytes] = {}
        self._used_at = time.monotonic()
        self._asked_at = self._used_at - INTEREST_SECONDS
        self._asked_for: dict[str, float] = {}
        self._filled = asyncio.Event()

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    def watched(self, now: float) -> bool:
        """Whether anybody watches, or did a moment ago (monotonic seconds). Other threads may ask."""
        return bool(self._viewers) or now - self._asked_at < INTEREST_SECONDS

    def unused_for(self, now: float) -> float:
        """Seconds for which nobody has watched, at ``now`` (monotonic seconds)."""
        return 0.0 if self._viewers else now - self._used_at

    def wants(self, now: float) -> frozenset[str]:
        """Cars whose pictures somebody wants, at ``now`` (monotonic seconds). Other threads may ask."""
        asked = [car for car, until in tuple(self._asked_for.items()) if now < until]
        return self.wanted.union(asked)

    def use(self) -> None:
        """Somebody asks for something that need not be of this very moment."""
        self._used_at = time.monotonic()

    def touch(self, car: str | None = None) -> None:
        """Somebody asks once: for a car's picture, or for anything else that is to be the newest."""
        self.use()
        now = self._used_at
        idle = not self.watched(now)
        self._asked_at = now
        if car is not None:
            self._asked_for = {name: until for name, until in self._asked_for.items() if now < until}
            idle = idle or car not in self.wants(now)
            self._asked_for[car] = now + INTEREST_SECONDS
        if idle:
            self.stir()

    def add(self, viewer: Viewer) -> None:
        """Somebody watches from now on."""
        self._viewers.add(viewer)
        self.rewatch()

    def remove(self, viewer: Viewer) -> None:
        """Somebody watches no more."""
        self._viewers.discard(viewer)
        self.use()
        self.rewatch()

    def rewatch(self) -> None:
        """A viewer wants other cars' pictures than before, or there are others."""
        self.wanted = frozenset().union(*(viewer.cars for viewer in self._viewers))
        self.stir()

    async def filled(self, within: float) -> None:
        """Wait until the cache has been looked at once, but no longer than so many seconds."""
        if not self._filled.is_set():
            try:
                await asyncio.wait_for(self._filled.wait(), within)
            except asyncio.TimeoutError:
                return

    def take(
        self,
        news: Mapping[str, Any],
        topics: Iterable[str],
        points: Iterable[Point] = (),
        *,
        reset: bool = False,
        looked: bool = True,
    ) -> None:
        """Take what is new: fields of Known, topics that are to be sent, more points of the curves."""
        for name, value in news.items():
            setattr(self.known, name, value)
        points = list(points)
        if points or reset:
            self.curves.add(points, reset=reset)
            self._curves_encoded.clear()
            topics = (*topics, "curves")
        for topic in topics:
            self._versions[topic] += 1
        if looked:
            self._filled.set()
        self._wake()

    def version(self, topic: str) -> int:
        """How often there has been news of it."""
        return self._versions[topic]

    def text(self, topic: str) -> bytes:
        """The newest message of a topic, JSON."""
        version, encoded = self._encoded.get(topic, (-1, b""))
        if version != self._versions[topic]:
            encoded = msgspec.json.encode(self._message(topic))
            self._encoded[topic] = (self._versions[topic], encoded)
        return encoded

    def curves_text(self, seen: Place | None) -> bytes:
        """The message for somebody who has seen the curves up to some place; None: not at all."""
        encoded = self._curves_encoded.get(seen)
        if encoded is None:
            reset, points = self.curves.since(seen)
            encoded = self._curves_encoded[seen] = msgspec.json.encode(CurvesMessage(reset, points))
        return encoded

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        for viewer in self._viewers:
            viewer.wake()

    def _message(self, topic: str) -> msgspec.Struct:
        known = self.known
        if topic == "box":
            return BoxMessage(*msgspec.structs.astuple(known.box(time.time(), self.viewers)))
        if topic == "cars":
            return CarsMessage(time.time(), known.views())
        if topic == "lines":
            return LinesMessage(known.lines)
        return OutlinesMessage(known.outlines)
