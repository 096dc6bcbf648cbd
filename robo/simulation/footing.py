"""Where a point is relative to a track's floor in three dimensions, compiled by numba.

Places on the floor are a sample's index, the share 0..1 of the way to the next sample, and metres to the
right of the centre line. A hint, an index near which to look, keeps a point on its own branch of a track that
crosses over itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.surface import BEND, POSITION, START, TANGENT, TWIST, UP
from robo.simulation.vectors import Vector, add, cross, dot, level, load, minus, unit

Floats = NDArray[np.float64]

SEARCH = 40  # samples either way, about 0.8 m: less than to any other branch
LEAST_STRETCH = 0.2


@njit(cache=True)
def _squared(samples: Floats, index: int, point: Vector) -> float:
    """Squared distance of a point from the straight piece that starts at a sample."""
    start = load(samples[index], POSITION)
    piece = minus(load(samples[(index + 1) % len(samples)], POSITION), start)
    off = minus(point, start)
    share = min(max(dot(off, piece) / dot(piece, piece), 0.0), 1.0)
    off = add(off, piece, -share)
    return dot(off, off)


@njit(cache=True)
def locate(samples: Floats, hint: int, enough: float, point: Vector) -> tuple[int, float]:
    """The place of the centre line nearest to a point: index and share.

    Walks from ``hint`` while that gets nearer, and only where that ends farther away than ``enough`` metres
    looks at the samples around: inside a tight bend the walk can end on the wrong side of it.
    """
    count = len(samples)
    best = hint
    squared = _squared(samples, hint, point)
    for way in (-1, 1):
        for _ in range(count):
            index = (best + way) % count
            found = _squared(samples, index, point)
            if found >= squared:
                break
            best, squared = index, found
    if squared > enough * enough:
        for offset in range(-SEARCH, SEARCH + 1):
            index = (hint + offset) % count
            found = _squared(samples, index, point)
            if found < squared:
                best, squared = index, found
    return _between(samples, best, point)


@njit(cache=True)
def _past(samples: Floats, index: int, point: Vector) -> float:
    """How far a point is past a sample, along the track's direction there, metres."""
    return dot(minus(point, load(samples[index], POSITION)), load(samples[index], TANGENT))


@njit(cache=True)
def _between(samples: Floats, index: int, point: Vector) -> tuple[int, float]:
    """Between which two samples' planes across the track a point lies, at or next to ``index``; the share."""
    count = len(samples)
    past = _past(samples, index, point)
    if past < 0.0:
        index = (index - 1) % count
        past = _past(samples, index, point)
    ahead = -_past(samples, (index + 1) % count, point)
    if ahead < 0.0:
        following = (index + 1) % count
        further = -_past(samples, (following + 1) % count, point)
        if further >= 0.0:
            index, past, ahead = following, -ahead, further
    past, ahead = max(past, 0.0), max(ahead, 0.0)
    whole = past + ahead
    return index, past / whole if whole > 1e-12 else 0.0


@njit(cache=True)
def centre(samples: Floats, index: int, share: float) -> Vector:
    """The centre line at a place."""
    here, after = samples[index], samples[(index + 1) % len(samples)]
    start, end = load(here, POSITION), load(after, POSITION)
    piece = minus(end, start)
    length = math.sqrt(dot(piece, piece))
    rest = 1.0 - share
    out = add((0.0, 0.0, 0.0), start, rest * rest * (1.0 + 2.0 * share))
    out = add(out, load(here, TANGENT), rest * rest * share * length)
    out = add(out, end, share * share * (1.0 + 2.0 * rest))
    return add(out, load(after, TANGENT), -share * share * rest * length)


@njit(cache=True)
def directions(samples: Floats, index: int, share: float) -> tuple[Vector, Vector, Vector]:
    """Tangent, up and right of the centre line at a place."""
    here, after = samples[index], samples[(index + 1) % len(samples)]
    tangent = unit(_mixed(here, after, TANGENT, share))
    up = unit(level(_mixed(here, after, UP, share), tangent))
    return tangent, up, cross(up, tangent)


@njit(cache=True)
def normal(  # noqa: PLR0917 numba kernels take their state as flat arguments
    samples: Floats, index: int, share: float, lateral: float, tangent: Vector, up: Vector
) -> Vector:
    """The floor's normal beside the centre line, tilted where the floor twists."""
    here, after = samples[index], samples[(index + 1) % len(samples)]
    twist = here[TWIST] + share * (after[TWIST] - here[TWIST])
    bend = here[BEND] + share * (after[BEND] - here[BEND])
    return unit(add(up, tangent, -lateral * twist / max(1.0 + lateral * bend, LEAST_STRETCH)))


@njit(cache=True)
def distance(samples: Floats, index: int, share: float, length: float) -> float:
    """Metres along a track of this length."""
    start = samples[index, START]
    end = samples[index + 1, START] if index + 1 < len(samples) else length
    return start + share * (end - start)


@njit(cache=True)
def lateral_at(samples: Floats, hint: int, enough: float, point: Vector) -> tuple[float, Vector]:
    """Metres to the right of the centre line, and which way right is."""
    index, share = locate(samples, hint, enough, point)
    _, _, right = directions(samples, index, share)
    return dot(minus(point, centre(samples, index, share)), right), right


@njit(cache=True)
def _mixed(here: Floats, after: Floats, at: int, share: float) -> Vector:
    rest = 1.0 - share
    return (
        rest * here[at] + share * after[at],
        rest * here[at + 1] + share * after[at + 1],
        rest * here[at + 2] + share * after[at + 2],
    )
