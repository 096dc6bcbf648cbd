"""A race log played again: which of its lines are due when, and what a late spectator has to know; no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import msgspec

from robo.protocol import spectator as wire
from robo.protocol.lines import LineDecoder

MAX_LINE = 1 << 20
"""Bytes; a status of several hundred cars with long names."""
MAX_GAP = 10.0
"""Seconds: a longer silence is played as this long, so that one wild timestamp can't end the show."""
LOOP_PAUSE = 1.0
"""Wall seconds between the end of a log and its next beginning."""
FIRST_LINES = 1000
"""A file whose first so many lines are all bad is no race log."""


@dataclass
class Counts:
    """What was made of a log so far."""

    played: int = 0
    skipped: int = 0
    """Lines that are no message of the spectator stream, or have no time. Blank ones do not count."""


@dataclass(frozen=True)
class Line:
    """A good line: its bytes as they are in the log, newline included, and what they say."""

    data: bytes
    message: wire.SpectatorMessage


def read(chunks: Iterable[bytes], counts: Counts) -> Iterator[Line]:
    """The good lines of a log that comes in pieces of any size; its last line may lack its newline."""
    decoder = LineDecoder(MAX_LINE)
    for chunk in chain(chunks, [b"\n"]):
        lines = decoder.feed(chunk)
        counts.skipped += decoder.dropped
        decoder.dropped = 0
        for line in filter(bytes.strip, lines):
            message = wire.decode(line)
            if message is None or not math.isfinite(message.timestamp):
                counts.skipped += 1
            else:
                yield Line(line + b"\n", message)


def is_race_log(chunks: Iterable[bytes]) -> bool:
    """Whether there is a good line among the first ones. Reads no further than it must."""
    counts = Counts()

    def first_chunks() -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            if counts.skipped >= FIRST_LINES or size > MAX_LINE * 2:
                return
            size += len(chunk)
            yield chunk

    return next(read(first_chunks(), counts), None) is not None


class Scene:
    """What has been told so far, as far as it concerns those who come late."""

    def __init__(self) -> None:
        self._parameters: wire.RaceParameters | None = None
        self._cars: dict[str, wire.CarInfo] = {}
        self._time = 0.0

    def note(self, message: wire.SpectatorMessage) -> None:
        """Follow the stream."""
        self._time = message.timestamp
        if isinstance(message, wire.RaceParameters):  # every stream's first: a log may hold several streams
            self._parameters = message
            self._cars.clear()
        elif isinstance(message, wire.CarAdded):
            self._cars[message.car.name] = message.car
        elif isinstance(message, wire.CarRemoved | wire.CarDisconnected):
            self._cars.pop(message.car.name, None)

    def greeting(self) -> bytes:
        """RaceParameters and a CarAdded for every car on track, as lines, at the time of the last message."""
        messages: list[wire.Message] = []
        if self._parameters is not None:
            messages.append(msgspec.structs.replace(self._parameters, timestamp=self._time))
        messages += [wire.CarAdded(car, timestamp=self._time) for car in self._cars.values()]
        return b"".join(map(wire.encode, messages))


class Player:
    """Plays a log on a clock that is told. Deadlines are absolute: lateness never adds up.

    ``open_log`` begins to read the log; it is called again for every round of a loop.
    """

    def __init__(
        self, open_log: Callable[[], Iterable[bytes]], speed: float = 1.0, *, loop: bool = False
    ) -> None:
        """Take the speed as seconds of the log for every second of the clock."""
        self.counts = Counts()
        self.scene = Scene()
        self.finished = False
        self._open = open_log
        self._speed = speed
        self._loop = loop
        self._lines = read(open_log(), self.counts)
        self._next: Line | None = None
        self._due = 0.0

    def start(self, now: float) -> None:
        """Let the first line be due now."""
        self._next = next(self._lines, None)
        self._due = now
        self.finished = self._next is None

    def wait(self, now: float) -> float:
        """Seconds until the next line is due; infinite when there is none."""
        return math.inf if self.finished else max(0.0, self._due - now)

    def take(self, now: float, limit: int) -> bytes:
        """The lines that are due by now, or the first of them that make up ``limit`` bytes."""
        taken: list[bytes] = []
        size = 0
        while self._next is not None and self._due <= now and size < limit:
            taken.append(self._next.data)
            size += len(self._next.data)
            self._pass(self._next)
        return b"".join(taken)

    def _pass(self, line: Line) -> None:
        """Go on to the line after this one, and when it is due."""
        self.scene.note(line.message)
        self.counts.played += 1
        self._next = next(self._lines, None)
        if self._next is not None:
            # Time that goes back is another stream's, which begins here.
            gap = min(max(self._next.message.timestamp - line.message.timestamp, 0.0), MAX_GAP)
            self._due += gap / self._speed
        elif self._loop:
            self._lines = read(self._open(), self.counts)
            self._next = next(self._lines, None)
            self._due += LOOP_PAUSE
        self.finished = self._next is None
