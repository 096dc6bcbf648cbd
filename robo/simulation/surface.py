"""The floor of a track in three dimensions, as a smooth band along the centre line; NumPy only.

A ruled surface: at every distance a straight line across the track, perpendicular to the driving direction.
The centre line between two samples is a cubic through both with their tangents.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robo.simulation.track import Track

Floats = NDArray[np.float64]

POSITION, TANGENT, UP, RIGHT = 0, 3, 6, 9
START, TWIST, BEND, LEFT_EDGE, RIGHT_EDGE = 12, 13, 14, 15, 16
COLUMNS = 17
"""A row of ``samples``: four vectors x, y, z; the distance along the track; how fast the way to the right
turns upwards and forwards with distance, 1/m; how far the floor reaches to the left and right, metres."""

SPACING = 0.025
EDGE = 0.44
"""Where walls stand, and so the floor ends for whoever drives on it, metres from the centre line."""
FOLD_SAMPLES = 48
TWIST_AVERAGE = 0.17  # the wheelbase: what is shorter a car does not feel


def samples(track: Track) -> Floats:
    """Samples of a track's floor at most 2.5 cm apart, float64 [M, 17], without a repeated last one.

    The floor ends before 0.44 m where a bend is so tight that it would fold over itself.
    """
    ahead = np.roll(track.points, -1, axis=0) - track.points
    lengths = np.linalg.norm(ahead, axis=1)
    rows = []
    for index in range(len(track.points)):
        after = (index + 1) % len(track.points)
        count = int(np.ceil(lengths[index] / SPACING))
        t = (np.arange(count) / count)[:, None]
        ends = (track.points[index], track.points[after])
        ways = (lengths[index] * track.tangents[index], lengths[index] * track.tangents[after])
        row = np.zeros((count, COLUMNS))
        row[:, POSITION : POSITION + 3] = cubic(*ends, *ways, t)
        row[:, TANGENT : TANGENT + 3] = _slope(*ends, *ways, t)
        row[:, UP : UP + 3] = (1.0 - t) * track.ups[index] + t * track.ups[after]
        row[:, START] = track.starts[index] + t[:, 0] * lengths[index]
        rows.append(row)
    out = np.concatenate(rows)
    _straighten(out)
    _measure(out)
    return out


def cubic(start: Floats, end: Floats, start_way: Floats, end_way: Floats, t: Floats) -> Floats:
    """Points of the cubic Hermite curve at ``t`` 0..1, [N, 1] or a number."""
    u = 1.0 - t
    return u * u * ((1.0 + 2.0 * t) * start + t * start_way) + t * t * ((1.0 + 2.0 * u) * end - u * end_way)


def _slope(start: Floats, end: Floats, start_way: Floats, end_way: Floats, t: Floats) -> Floats:
    u = 1.0 - t
    return 6.0 * t * u * (end - start) + u * (1.0 - 3.0 * t) * start_way + t * (3.0 * t - 2.0) * end_way


def _straighten(out: Floats) -> None:
    """Make tangent, up and right perpendicular and of length 1."""
    tangent, up = out[:, TANGENT : TANGENT + 3], out[:, UP : UP + 3]
    tangent /= np.linalg.norm(tangent, axis=1)[:, None]
    up -= (up * tangent).sum(axis=1)[:, None] * tangent
    up /= np.maximum(np.linalg.norm(up, axis=1), 1e-9)[:, None]
    out[:, RIGHT : RIGHT + 3] = np.cross(up, tangent)


def _measure(out: Floats) -> None:
    """Fill in twist, bend and the floor's edges."""
    position, right = out[:, POSITION : POSITION + 3], out[:, RIGHT : RIGHT + 3]
    step = np.linalg.norm(np.roll(position, -1, axis=0) - np.roll(position, 1, axis=0), axis=1)
    turn = (np.roll(right, -1, axis=0) - np.roll(right, 1, axis=0)) / step[:, None]
    width = round(TWIST_AVERAGE / SPACING)
    twist = (turn * out[:, UP : UP + 3]).sum(axis=1)
    out[:, TWIST] = sum(np.roll(twist, offset - width // 2) for offset in range(width)) / width
    out[:, BEND] = (turn * out[:, TANGENT : TANGENT + 3]).sum(axis=1)
    out[:, LEFT_EDGE] = np.minimum(_reach(position, -right), EDGE)
    out[:, RIGHT_EDGE] = np.minimum(_reach(position, right), EDGE)


def _reach(position: Floats, way: Floats) -> Floats:
    """How far each sample can go the given way, float64 [M], and stay nearest to itself."""
    count = FOLD_SAMPLES
    reach = np.full(len(position), np.inf)
    for offset in (*range(-count, 0), *range(1, count + 1)):
        apart = np.roll(position, offset, axis=0) - position
        towards = (apart * way).sum(axis=1)
        squared = (apart * apart).sum(axis=1)
        reach = np.minimum(reach, np.where(towards > 1e-9, squared / np.maximum(2.0 * towards, 1e-9), np.inf))
    return reach
