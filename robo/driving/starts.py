"""Where a car's next episode begins, in a simulator that can be told."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np

from robo import config
from robo.protocol.car import Restart

BEFORE_THE_LINE = 1.5
"""Metres before the finish line at which an evaluation begins, so that its first lap is a flying one, too."""

_LAYOUT = struct.Struct("<q4d")
START_BYTES = _LAYOUT.size
_NONE = _LAYOUT.pack(-1, 0.0, 0.0, 0.0, 0.0)


def pack(start: Restart | None) -> bytes:
    """A start, or none, as START_BYTES bytes, for shared memory."""
    return _NONE if start is None else _LAYOUT.pack(*msgspec.structs.astuple(start))


def unpack(data: bytes) -> Restart | None:
    """What ``pack`` made these bytes of."""
    track, *place = _LAYOUT.unpack(data)
    return None if track < 0 else Restart(track, *place)


class Starts(Protocol):
    """Says where episodes begin."""

    def next(self) -> Restart:
        """The next one."""


class Anywhere:
    """At random on one of the tracks, at random askew and rolling."""

    def __init__(self, settings: config.Start, tracks: Sequence[int], random: np.random.Generator) -> None:
        self._settings = settings
        self._tracks = tracks
        self._random = random

    def next(self) -> Restart:
        """See Starts."""
        settings, uniform = self._settings, self._random.uniform
        return Restart(
            int(self._random.choice(self._tracks)),
            uniform(),
            uniform(-settings.lateral, settings.lateral),
            uniform(-settings.heading, settings.heading),
            uniform(0.0, settings.speed),
        )


class InTurn:
    """At rest before the finish line of each of the tracks in turn, whoever asks."""

    def __init__(self, tracks: Sequence[int], length: Callable[[int], float]) -> None:
        """``length``: of a track, metres."""
        self._tracks = tracks
        self._length = length
        self._next = 0

    def next(self) -> Restart:
        """See Starts."""
        track = self._tracks[self._next % len(self._tracks)]
        self._next += 1
        return Restart(track, 1.0 - BEFORE_THE_LINE / self._length(track))
