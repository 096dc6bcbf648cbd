"""A track's centre line for compiled code, and where a car is relative to it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.protocol.spectator import Quaternion
from robo.simulation.terrain import Numbers
from robo.simulation.track import NEAR_WINDOW, Track

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

AHEAD, LENGTH, HEADING, INVERSE = 3, 6, 7, 8
"""Columns of ``Course.pieces``, after the point x, y, z where a piece starts."""
VELOCITY, YAW, ANGLE = 3, 6, 7
POSE_SIZE = 8
"""A car's pose, float64 [8]: position and velocity in world axes (m, m/s), where it faces seen from above
(radians, 0 is +z, right is +x), and degrees 0..180 between that and the track's direction."""
STATE_AHEAD = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Metres ahead of the car at which a ``state`` observation tells the track's direction."""
STATE_SIZE = 6 + 2 * len(STATE_AHEAD)


class Course(NamedTuple):
    """The straight pieces of a centre line."""

    pieces: Floats
    """[M, 9]: where each starts (x, y, z), the way to its end, its length, the yaw at its start, and the
    inverse of its length squared."""
    starts: Floats
    """[M]: metres from the finish line to the start of each."""
    length: float
    """Metres, all the way round."""
    segments: int
    """How many a lap is divided into."""


def course(track: Track, segments: int) -> Course:
    """The course of a track."""
    ahead = np.roll(track.points, -1, axis=0) - track.points
    lengths = np.linalg.norm(ahead, axis=1)
    pieces = np.column_stack([track.points, ahead, lengths, track.headings, lengths**-2.0])
    return Course(np.ascontiguousarray(pieces), track.starts, track.length, segments)


def pose(position: Numbers, velocity: Numbers, rotation: Numbers, track_angle: float) -> Floats:
    """A car's pose, of what ``robo.simulation.terrain.Pose`` says."""
    return np.array([*position, *velocity, Quaternion(*rotation).yaw, track_angle])


@njit(cache=True, nogil=True)
def shortest(difference: float, length: float) -> float:
    """A difference of distances, the short way round."""
    return (difference + length / 2) % length - length / 2


@njit(cache=True, nogil=True)
def locate(course: Course, pose: Floats, near: float) -> tuple[float, float]:
    """The distance of the place nearest to a car: of all, and of those near ``near``; ``Track.distance``."""
    least = least_near = math.inf
    place = place_near = 0.0
    for index in range(len(course.pieces)):
        piece = course.pieces[index]
        x, y, z = pose[0] - piece[0], pose[1] - piece[1], pose[2] - piece[2]
        dx, dy, dz = piece[AHEAD], piece[AHEAD + 1], piece[AHEAD + 2]
        share = min(max((x * dx + y * dy + z * dz) * piece[INVERSE], 0.0), 1.0)
        x, y, z = x - dx * share, y - dy * share, z - dz * share
        squared = x * x + y * y + z * z
        if squared >= least_near:
            continue
        distance = course.starts[index] + share * piece[LENGTH]
        if squared < least:
            least, place = squared, distance
        if abs(shortest(distance - near, course.length)) <= NEAR_WINDOW:
            least_near, place_near = squared, distance
    return place % course.length, place_near % course.length


@njit(cache=True, nogil=True)
def piece_at(starts: Floats, distance: float) -> int:
    """Which of the pieces that start at these distances, rising from 0, a distance is on."""
    return np.searchsorted(starts, distance, side="right") - 1


@njit(cache=True, nogil=True)
def heading(course: Course, distance: float) -> float:
    """Yaw of the track's direction at ``distance``, radians in -pi..pi; as ``Track.heading``."""
    distance %= course.length
    index = piece_at(course.starts, distance)
    piece, after = course.pieces[index], course.pieces[(index + 1) % len(course.pieces)]
    turn = _wrapped(after[HEADING] - piece[HEADING])
    return _wrapped(piece[HEADING] + turn * (distance - course.starts[index]) / piece[LENGTH])


@njit(cache=True, nogil=True)
def angle_off(yaw: float, way: float) -> float:
    """Degrees 0..180 between two yaws in radians."""
    return math.degrees(abs(_wrapped(yaw - way)))


@njit(cache=True, nogil=True)
def fill_state(  # noqa: PLR0917 numba kernels take their state as flat arguments
    out: Singles, course: Course, pose: Floats, distance: float, before: float, frames: int
) -> None:
    """Fill in a ``state`` observation, float32 [18], of a car at this distance along the track.

    ``before``: its yaw so many ``frames`` ago; with 0 frames it has not turned.
    """
    index = piece_at(course.starts, distance % course.length)
    piece = course.pieces[index]
    share = (distance % course.length - course.starts[index]) / piece[LENGTH]
    way, yaw = heading(course, distance), pose[YAW]
    sine, cosine = math.sin(yaw), math.cos(yaw)
    vx, vz = pose[VELOCITY], pose[VELOCITY + 2]
    x = pose[0] - (piece[0] + piece[AHEAD] * share)
    z = pose[2] - (piece[2] + piece[AHEAD + 2] * share)
    out[0] = vx * sine + vz * cosine
    out[1] = vz * sine - vx * cosine
    out[2] = z * math.sin(way) - x * math.cos(way)
    out[3], out[4] = math.sin(way - yaw), math.cos(way - yaw)
    out[5] = -_wrapped(yaw - before) * 60.0 / frames if frames else 0.0
    for number in range(len(STATE_AHEAD)):
        turn = yaw - heading(course, distance + STATE_AHEAD[number])  # yaw grows to the right
        out[6 + 2 * number], out[7 + 2 * number] = math.sin(turn), math.cos(turn)


@njit(cache=True, nogil=True)
def _wrapped(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi
