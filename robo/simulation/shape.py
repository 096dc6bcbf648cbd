"""Figures of a centre line's shape: how near it comes to itself, and how tight it bends."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def clearance(points: Floats, neighbours: float) -> float:
    """Least distance between places of a closed line that are farther apart than ``neighbours`` along it.

    ``points``: float64 [N, 2 or 3], metres; distances are those between points, so let them be dense.
    Infinite when no two places are so far apart along the line.
    """
    steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    length = float(steps.sum())
    starts = np.cumsum(steps) - steps
    along = np.abs(starts[:, None] - starts[None])
    far = np.minimum(along, length - along) > neighbours
    squared = np.zeros(along.shape)
    for axis in range(points.shape[1]):
        squared += (points[:, None, axis] - points[None, :, axis]) ** 2
    return math.sqrt(float(np.min(squared, where=far, initial=math.inf)))


def tightest_radius(points: Floats, window: float = 0.1) -> float:
    """Least radius of a closed line on level ground, metres, over places ``window`` metres apart.

    ``points``: float64 [N, 2]. The radius at a place is that of the circle through it and those before and
    after it; on a straight line it is infinite.
    """
    steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    length = float(steps.sum())
    starts = np.concatenate([np.cumsum(steps) - steps, [length]])
    closed = np.vstack([points, points[:1]])
    places = np.arange(max(round(length / (window / 4)), 12)) * (
        length / max(round(length / (window / 4)), 12)
    )

    def at(distances: Floats) -> Floats:
        return np.stack([np.interp(distances % length, starts, closed[:, axis]) for axis in (0, 1)], axis=1)

    before, here, after = at(places - window), at(places), at(places + window)
    a, b, c = (
        np.linalg.norm(one - other, axis=1) for one, other in ((before, here), (here, after), (after, before))
    )
    first, second = here - before, after - before
    twice_area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    return float((a * b * c / np.maximum(2.0 * twice_area, 1e-12)).min())
