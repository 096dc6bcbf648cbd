"""Earlier points of a run's learning curves, for whoever watches it: its folder has them all."""

from __future__ import annotations

from pathlib import Path

from robo.cache import Cache
from robo.cache_values import Point
from robo.learning import metrics

MOST_POINTS = 400
"""Of a kind; of a longer history every second one, every fourth, ... is left out."""


class History:
    """Sees to it that the cache has the curves from their beginning, also when it was lost and came back."""

    def __init__(self, cache: Cache, folder: Path) -> None:
        self._cache = cache
        self._folder = folder

    def refill(self) -> None:
        """Write all points that there are, unless the cache has them. Raises Lost."""
        first = self._first_at()
        known = self._cache.first_point()
        if first is None or (known is not None and known.at <= first):
            return
        self._cache.put_points(thinned(points(self._folder)))

    def _first_at(self) -> float | None:
        """When the run's first point was measured; None: it has none."""
        try:
            with (self._folder / metrics.FILE).open(encoding="utf-8", errors="replace") as file:
                line = metrics.parse(file.readline())
        except OSError:
            return None
        return None if line is None else line["time"]


def points(folder: Path) -> list[Point]:
    """All points that a run has measured, oldest first."""
    return [
        Point(line["time"], line["kind"], line["env_steps"], line["train_steps"], line["values"])
        for line in metrics.read(folder)
    ]


def thinned(all_points: list[Point]) -> list[Point]:
    """As many of each kind as are needed to draw them, and always its first and its newest one."""
    kept = []
    for kind in dict.fromkeys(point.kind for point in all_points):
        mine = [point for point in all_points if point.kind == kind]
        every = -(-len(mine) // MOST_POINTS)
        kept += mine[:-1:every] + mine[-1:]
    return sorted(kept, key=lambda point: point.at)
