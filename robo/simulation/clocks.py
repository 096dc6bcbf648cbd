"""When the next frame is due: paced by the cars' answers, or by the wall."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Protocol

from robo.simulation.counters import Counters
from robo.simulation.world import FRAMES_PER_SECOND

MAX_LAG_FRAMES = 3
"""How many frames the realtime clock catches up on; a longer lag is dropped, for a burst helps no driver."""


class Clock(Protocol):
    """Decides when a frame is due. ``now`` is in seconds on any clock that never goes back."""

    def wait(self, now: float, cars: int) -> float:
        """Seconds until the next frame is due with so many cars on track; infinite: not until one comes."""
        ...

    def stepped(self, now: float, sent: Collection[str], *, due: bool = True) -> None:
        """Note that a frame was simulated, which cars were sent it, and whether it was due to any."""
        ...

    def answered(self, name: str) -> None:
        """Note that a car answered, or left: it is not waited for."""
        ...


class Lockstep:
    """The next frame as soon as every car has answered the last one that it was sent.

    A car that takes longer than ``answer_limit_s`` is passed over: not waited for again until it answers.
    When nobody was sent a frame that was for somebody there is nobody to wait for, and frames go on at 60 a
    second: a car that hangs must not make time race. Without cars nothing moves.
    """

    def __init__(self, answer_limit_s: float, counters: Counters) -> None:
        self._limit = answer_limit_s
        self._counters = counters
        self._awaited: set[str] = set()
        self._stepped_at = -math.inf
        self._next_at = -math.inf

    def wait(self, now: float, cars: int) -> float:
        """Seconds until the next frame is due; infinite without cars."""
        if not cars:
            return math.inf
        if self._awaited:
            left = self._stepped_at + self._limit - now
            if left > 0:
                return left
            self._counters.passed_over += len(self._awaited)
            self._awaited.clear()
        return max(0.0, self._next_at - now)

    def stepped(self, now: float, sent: Collection[str], *, due: bool = True) -> None:
        """Wait for everyone who was sent a frame; when nobody could be, for the next sixtieth of a second."""
        self._awaited = set(sent)
        self._stepped_at = now
        self._next_at = now if sent or not due else now + 1 / FRAMES_PER_SECOND

    def answered(self, name: str) -> None:
        """Stop waiting for this car."""
        self._awaited.discard(name)


class Realtime:
    """60 frames a wall second, each due at its own time since the first, so that lateness never adds up."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._origin: float | None = None
        self._frames = 0

    def wait(self, now: float, cars: int) -> float:
        """Seconds until the next frame is due, whether or not there are cars."""
        if self._origin is None:
            self._origin = now
        return max(0.0, self._origin + self._frames / FRAMES_PER_SECOND - now)

    def stepped(self, now: float, sent: Collection[str], *, due: bool = True) -> None:
        """Count the frame; drop those that are overdue when they are too many to catch up on."""
        if self._origin is None:
            self._origin = now
        self._frames += 1
        overdue = int((now - self._origin) * FRAMES_PER_SECOND) - self._frames
        if overdue > MAX_LAG_FRAMES:
            self._counters.dropped_frames += overdue
            self._frames += overdue

    def answered(self, name: str) -> None:
        """Nobody is waited for."""
