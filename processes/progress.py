"""How a run goes, read from the cache: laps, the learner's figures, and whether a limit is reached."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from robo.cache import Cache
from robo.cache_values import LapRecord, Progress
from robo.config import Limits

ROLES = ("explorer", "evaluator")
"""Laps that somebody drove by hand, or an exported policy that was asked for, are not the run's."""


@dataclass
class Figures:
    """A run so far. Laps are the scored cars': the evaluators', or all where there is none."""

    wall_seconds: float = 0.0
    """Since the command was started."""
    progress: Progress | None = None
    """The learner's; None before it has begun."""
    waiting_for: str = ""
    """Which processes are not ready yet."""
    laps: int = 0
    clean_laps: int = 0
    clean_laps_in_a_row: int = 0
    best_lap: float = 0.0
    """Simulation seconds; 0: none yet."""
    clean_seconds: float = 0.0
    """Of all clean laps together."""
    laps_by_car: Counter[str] = field(default_factory=Counter)
    first_clean_lap_at: float | None = None
    """Wall seconds since the start, when the first clean lap was complete."""
    enough_laps_at: float | None = None
    """The same for ``limits.clean_laps`` in a row."""
    troubles: list[str] = field(default_factory=list)
    """What is not as it should be, in words."""


class Follower:
    """Reads what is new in the cache into ``figures``.

    ``scored``: names of the cars whose laps count. ``started``: Unix time of the command's start.
    """

    def __init__(self, cache: Cache, scored: set[str], limits: Limits, started: float) -> None:
        self.figures = Figures()
        self._cache = cache
        self._scored = scored
        self._limits = limits
        self._started = started
        self._place = "0"

    def read(self, now: float) -> list[LapRecord]:
        """Take what is new at Unix time ``now``. The scored cars' new laps. Raises Lost without Redis."""
        self.figures.wall_seconds = now - self._started
        self.figures.progress = self._cache.progress()
        self._place, laps = self._cache.laps(self._place)
        new = [lap for lap in laps if lap.car in self._scored and lap.role in ROLES]
        for lap in new:
            self._count(lap)
        return new

    def reached(self) -> str | None:
        """Which limit has been reached, in words; None while none is."""
        limits, figures = self._limits, self.figures
        steps = figures.progress.env_steps if figures.progress else 0
        if figures.enough_laps_at is not None:
            laps = "clean lap" if limits.clean_laps == 1 else f"{limits.clean_laps} clean laps in a row"
            return f"{laps} after {figures.enough_laps_at:.1f} s"
        if limits.laps and all(figures.laps_by_car[car] >= limits.laps for car in self._scored):
            return lap_figures(figures)
        if limits.env_steps and steps >= limits.env_steps:
            return f"{steps} steps"
        if limits.wall_seconds and figures.wall_seconds >= limits.wall_seconds:
            return f"{figures.wall_seconds:.0f} s"
        return None

    def _count(self, lap: LapRecord) -> None:
        figures = self.figures
        figures.laps += 1
        figures.laps_by_car[lap.car] += 1
        figures.clean_laps_in_a_row = lap.clean_in_a_row
        if not lap.clean:
            return
        figures.clean_laps += 1
        figures.clean_seconds += lap.seconds
        figures.best_lap = min(figures.best_lap or lap.seconds, lap.seconds)
        if figures.first_clean_lap_at is None:
            figures.first_clean_lap_at = lap.at - self._started
        if 0 < self._limits.clean_laps <= lap.clean_in_a_row and figures.enough_laps_at is None:
            figures.enough_laps_at = lap.at - self._started


def lap_figures(figures: Figures) -> str:
    """How the laps were, in words."""
    clean, laps = figures.clean_laps, figures.laps
    share = f"{clean} of {laps} laps clean"
    if not clean:
        return share
    return f"{share}, {figures.best_lap:.2f} s the best, {figures.clean_seconds / clean:.2f} s their mean"
