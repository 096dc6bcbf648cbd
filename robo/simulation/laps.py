"""Segments and laps of one car: which triggers it crosses, and its lap times in simulation time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LapTimes:
    """Laps of a car as the spectator stream tells them; times in seconds of simulation time.

    ``lap_count`` is -1 before the finish line was first crossed, then the number of laps completed.
    ``last_lap`` and ``best_lap`` are NaN before the first lap is complete. ``total_time`` is when the finish
    line was last crossed, 0 before.
    """

    lap_count: int = -1
    last_lap: float = math.nan
    best_lap: float = math.nan
    total_time: float = 0.0


class Laps:
    """Triggers at distance 0 (reports segment 0) and (i + 1) / (n + 1) of the length (report i = 0..n-1)."""

    def __init__(self, segments: int, length: float) -> None:
        """Take the number of segments and the track's length in metres."""
        self.segment = -1
        self.times = LapTimes()
        self._segments = segments
        self._spacing = length / (segments + 1)

    def move(self, before: float, gain: float, time: float, duration: float) -> list[tuple[int, bool, bool]]:
        """Follow the car from distance ``before`` by ``gain`` metres in ``duration`` seconds from ``time``.

        Returns for every change of the segment: the new one, whether it is in order, whether it ends a lap.
        """
        changes = []
        for trigger in self._crossed(before, before + gain):
            segment = max(trigger % (self._segments + 1) - 1, 0)
            if segment == self.segment:
                continue
            in_order = segment == (self.segment + 1) % self._segments
            self.segment = segment
            share = (trigger * self._spacing - before) / gain
            lap = in_order and segment == 0 and self._finish(time + share * duration)
            changes.append((segment, in_order, lap))
        return changes

    def _crossed(self, before: float, after: float) -> range:
        """Triggers, numbered from the finish line's 0 without wrapping, in the order they are crossed."""
        if after >= before:
            return range(math.floor(before / self._spacing) + 1, math.floor(after / self._spacing) + 1)
        return range(math.ceil(before / self._spacing) - 1, math.ceil(after / self._spacing) - 1, -1)

    def _finish(self, time: float) -> bool:
        """Start the first lap or complete one; True if one was completed."""
        times = self.times
        if times.lap_count < 0:
            self.times = LapTimes(lap_count=0, total_time=time)
            return False
        lap = time - times.total_time
        best = lap if math.isnan(times.best_lap) else min(lap, times.best_lap)
        self.times = LapTimes(times.lap_count + 1, lap, best, time)
        return True
