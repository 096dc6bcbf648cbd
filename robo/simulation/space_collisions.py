"""Cars that hit one another on a floor in three dimensions: ``collisions`` in the plane of one of them.

A body is a float64 row whose first twelve numbers are its place (metres), the way it faces and its up (both
of length 1) and its velocity (m/s), each x, y, z; its yaw rate (rad/s, about its up) is farther back.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from robo.simulation.collisions import BODY_HEIGHT, REACH, collide
from robo.simulation.physics import VX, VZ, YAW, YAW_RATE, Floats, X, Z

FORWARD, UP, VELOCITY = 3, 6, 9
UPRIGHT = 0.5  # cosine of the tilt to each other from which on two bodies are not on the same floor


@njit(cache=True)
def collide_in_space(a: Floats, b: Floats, yaw_rate: int) -> bool:
    """Let two bodies hit one another, in place, as ``collisions.collide``; whether they touch.

    ``yaw_rate``: where in a row the yaw rate is. All happens in the plane of a's floor; b's place and
    velocity are projected to it, and what is across it stays. Bodies of which one is on a bridge over the
    other, or on the other side of a loop, do not meet.
    """
    dx, dy, dz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    if dx * dx + dy * dy + dz * dz > REACH * REACH + BODY_HEIGHT * BODY_HEIGHT:
        return False
    up_x, up_y, up_z = a[UP], a[UP + 1], a[UP + 2]
    if up_x * b[UP] + up_y * b[UP + 1] + up_z * b[UP + 2] < UPRIGHT:
        return False
    if abs(dx * up_x + dy * up_y + dz * up_z) >= BODY_HEIGHT:
        return False
    axes = np.empty((2, 3))  # right, forward
    axes[1] = a[FORWARD : FORWARD + 3]
    axes[0] = _across(up_x, up_y, up_z, axes[1])
    plane = np.zeros((2, 6))
    plane[1, X] = dx * axes[0, 0] + dy * axes[0, 1] + dz * axes[0, 2]
    plane[1, Z] = dx * axes[1, 0] + dy * axes[1, 1] + dz * axes[1, 2]
    plane[1, YAW] = math.atan2(_along(b, FORWARD, axes[0]), _along(b, FORWARD, axes[1]))
    for row in range(2):
        body = b if row else a
        plane[row, VX], plane[row, VZ] = _along(body, VELOCITY, axes[0]), _along(body, VELOCITY, axes[1])
        plane[row, YAW_RATE] = body[yaw_rate]
    before = plane.copy()
    if not collide(plane[0], plane[1]):
        return False
    for row in range(2):
        body = b if row else a
        change = plane[row] - before[row]
        side = _across(up_x, up_y, up_z, body[FORWARD : FORWARD + 3])
        cosine, sine = math.cos(change[YAW]), math.sin(change[YAW])
        for axis in range(3):
            body[axis] += change[X] * axes[0, axis] + change[Z] * axes[1, axis]
            body[VELOCITY + axis] += change[VX] * axes[0, axis] + change[VZ] * axes[1, axis]
            body[FORWARD + axis] = body[FORWARD + axis] * cosine + side[axis] * sine
        body[yaw_rate] = plane[row, YAW_RATE]
    return True


@njit(cache=True)
def _along(body: Floats, first: int, axis: Floats) -> float:
    return body[first] * axis[0] + body[first + 1] * axis[1] + body[first + 2] * axis[2]


@njit(cache=True)
def _across(up_x: float, up_y: float, up_z: float, forward: Floats) -> Floats:
    """Right of ``forward``, seen with this up."""
    right = np.empty(3)
    right[0] = up_y * forward[2] - up_z * forward[1]
    right[1] = up_z * forward[0] - up_x * forward[2]
    right[2] = up_x * forward[1] - up_y * forward[0]
    return right
