"""Cars that hit one another: rigid oriented boxes on a plane, compiled by numba.

A body is a float64 row whose first six numbers are x, z (metres), yaw (radians), vx, vz (m/s) and yaw rate
(rad/s); what follows them is not touched, so a row of ``physics``' state is one. Heights are apart: bodies
farther apart in height than a car is tall, on a bridge and below it, do not meet.

Contacts are those of ``rectangles``; impulses are exchanged at one point after another (E. Catto, Iterative
Dynamics with Temporal Coherence, 2005), equal and opposite, each of which can only take energy. They act as
if given before the step that led to the overlap, so that momentum and angular momentum stay what they were.
Bodies that overlap all the same, put in one place, are moved apart bit by bit, without speed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.physics import (
    DT,
    FREE_STEPS,
    HALF_BREADTH,
    HALF_LENGTH,
    MASS,
    VX,
    VZ,
    YAW,
    YAW_INERTIA,
    YAW_RATE,
    Floats,
    Ints,
    X,
    Z,
)
from robo.simulation.rectangles import clip, least_overlap

Flags = NDArray[np.bool_]

BODY_HEIGHT = 0.06
HALVES = (HALF_LENGTH, HALF_BREADTH)
REACH = 2 * math.hypot(HALF_LENGTH, HALF_BREADTH)
"""Farthest apart that the centres of two touching bodies can be, metres."""
RESTITUTION = 0.1
FRICTION = 0.2
OVERLAP_LEFT = 0.0005  # metres; bodies that rest against each other stay in touch
APART_SHARE = 0.2  # of the overlap, a step
APART_MOST = 0.001  # metres a step
SPARE = 0.03  # metres; more than speeds can change what they reach in a frame


@njit(cache=True)
def find_near(bodies: Floats, heights: Floats, seconds: float, contacts: Ints, near: Flags) -> int:
    """Mark, in ``near`` bool [N], the bodies that may touch another within so many seconds; their number.

    Forgets the ``contacts``, int64 [N, N], of all others. As a body may be hit by a faster one, all are taken
    to be as fast as the fastest.
    """
    count = len(bodies)
    near[:] = False
    fastest = 0.0
    for i in range(count):
        fastest = max(fastest, bodies[i, VX] ** 2 + bodies[i, VZ] ** 2)
    reach = REACH + 2.0 * seconds * math.sqrt(fastest) + SPARE
    for i in range(count):
        for j in range(i + 1, count):
            dx, dz = bodies[j, X] - bodies[i, X], bodies[j, Z] - bodies[i, Z]
            if dx * dx + dz * dz <= reach * reach and abs(heights[j] - heights[i]) < BODY_HEIGHT + SPARE:
                near[i] = near[j] = True
            else:
                contacts[i, j] = contacts[j, i] = 0
    return near.sum()


@njit(cache=True)
def collide_all(bodies: Floats, heights: Floats, taking_part: Flags, contacts: Ints, bumped: Flags) -> int:
    """Let all bodies that take part, bool [N], hit one another after a step; how many pairs touch anew.

    ``contacts``: int64 [N, N], kept from step to step, 0 where two are apart. ``bumped``: bool [N, N], set
    where two touch that were apart. Pairs are dealt with in the order of the rows.
    """
    count = len(bodies)
    anew = 0
    for i in range(count):
        if not taking_part[i]:
            continue
        for j in range(i + 1, count):
            if not taking_part[j]:
                continue
            dx, dz = bodies[j, X] - bodies[i, X], bodies[j, Z] - bodies[i, Z]
            touching = (
                dx * dx + dz * dz < REACH * REACH
                and abs(heights[j] - heights[i]) < BODY_HEIGHT
                and collide(bodies[i], bodies[j])
            )
            anew += note_touch(contacts, bumped, i, j, touching)
    return anew


@njit(cache=True)
def note_touch(contacts: Ints, bumped: Flags, i: int, j: int, touching: bool) -> int:
    """Keep ``contacts`` and ``bumped`` of ``collide_all`` for one pair after a step; 1 if it touches anew."""
    anew = 0
    if touching:
        if contacts[i, j] == 0:
            bumped[i, j] = bumped[j, i] = True
            anew = 1
        contacts[i, j] = FREE_STEPS
    elif contacts[i, j] > 0:
        contacts[i, j] -= 1
    contacts[j, i] = contacts[i, j]
    return anew


@njit(cache=True)
def collide(a: Floats, b: Floats) -> bool:
    """Exchange impulses between two bodies that overlap and move them apart, in place; whether they do."""
    overlap, normal_x, normal_z, of_b, lengthwise = least_overlap(a, *HALVES, b, *HALVES)
    if overlap <= 0.0:
        return False
    if of_b:
        touch = clip(b, *HALVES, a, *HALVES, -normal_x, -normal_z, lengthwise)
    else:
        touch = clip(a, *HALVES, b, *HALVES, normal_x, normal_z, lengthwise)
    first, first_depth, second, second_depth = touch
    total = first_depth + second_depth
    if total > 0.0:
        back_x, back_z = 0.5 * DT * (a[VX] + b[VX]), 0.5 * DT * (a[VZ] + b[VZ])
        _move(a, -DT)
        _move(b, -DT)
        first_x, first_z = first[0] - back_x, first[1] - back_z
        second_x, second_z = second[0] - back_x, second[1] - back_z
        # The middle first: bodies that meet squarely must not start to turn.
        share = first_depth / total
        middle_x = share * first_x + (1.0 - share) * second_x
        middle_z = share * first_z + (1.0 - share) * second_z
        before = _speed(a, b, middle_x, middle_z, normal_x, normal_z)
        _exchange(a, b, middle_x, middle_z, normal_x, normal_z)
        if first_depth > 0.0 and second_depth > 0.0:
            _exchange(a, b, first_x, first_z, normal_x, normal_z)
            _exchange(a, b, second_x, second_z, normal_x, normal_z)
        overlap -= DT * (_speed(a, b, middle_x, middle_z, normal_x, normal_z) - before)
        _move(a, DT)
        _move(b, DT)
    apart = 0.5 * min(APART_SHARE * max(overlap - OVERLAP_LEFT, 0.0), APART_MOST)
    a[X] -= apart * normal_x
    a[Z] -= apart * normal_z
    b[X] += apart * normal_x
    b[Z] += apart * normal_z
    return True


@njit(cache=True)
def _move(body: Floats, seconds: float) -> None:
    """Where the body is so much later at its present speed."""
    body[X] += seconds * body[VX]
    body[Z] += seconds * body[VZ]
    body[YAW] += seconds * body[YAW_RATE]


@njit(cache=True)
def is_free(place: Floats, bodies: Floats, heights: Floats, height: float, leave_out: int) -> bool:
    """Whether a body at ``place``, float64 [3 or more]: x, z, yaw, touches none of these but one of them."""
    for other in range(len(bodies)):
        if other == leave_out or abs(heights[other] - height) >= BODY_HEIGHT:
            continue
        if least_overlap(place, *HALVES, bodies[other], *HALVES)[0] > 0.0:
            return False
    return True


@njit(cache=True)
def _exchange(  # noqa: PLR0917
    a: Floats, b: Floats, x: float, z: float, normal_x: float, normal_z: float
) -> None:
    """Impulses at a point, unless the bodies part there already: a little bounce, then a little friction."""
    speed = _speed(a, b, x, z, normal_x, normal_z)
    if speed >= 0.0:
        return
    impulse = -(1.0 + RESTITUTION) * speed * _mass(a, b, x, z, normal_x, normal_z)
    _push(a, b, x, z, impulse * normal_x, impulse * normal_z)
    along_x, along_z = normal_z, -normal_x
    sliding = _speed(a, b, x, z, along_x, along_z)
    stopping = -sliding * _mass(a, b, x, z, along_x, along_z)
    rub = min(max(stopping, -FRICTION * impulse), FRICTION * impulse)
    _push(a, b, x, z, rub * along_x, rub * along_z)


@njit(cache=True)
def _speed(  # noqa: PLR0917
    a: Floats, b: Floats, x: float, z: float, way_x: float, way_z: float
) -> float:
    """How fast b moves at a point as seen from a, in one direction."""
    speed_x = b[VX] + b[YAW_RATE] * (z - b[Z]) - a[VX] - a[YAW_RATE] * (z - a[Z])
    speed_z = b[VZ] - b[YAW_RATE] * (x - b[X]) - a[VZ] + a[YAW_RATE] * (x - a[X])
    return speed_x * way_x + speed_z * way_z


@njit(cache=True)
def _mass(  # noqa: PLR0917
    a: Floats, b: Floats, x: float, z: float, way_x: float, way_z: float
) -> float:
    """Impulse over change of speed for a pair of bodies at a point, in one direction."""
    lever_a = (z - a[Z]) * way_x - (x - a[X]) * way_z
    lever_b = (z - b[Z]) * way_x - (x - b[X]) * way_z
    return 1.0 / (2.0 / MASS + (lever_a * lever_a + lever_b * lever_b) / YAW_INERTIA)


@njit(cache=True)
def _push(  # noqa: PLR0917
    a: Floats, b: Floats, x: float, z: float, impulse_x: float, impulse_z: float
) -> None:
    """Give b an impulse at a point, and a its opposite."""
    a[VX] -= impulse_x / MASS
    a[VZ] -= impulse_z / MASS
    a[YAW_RATE] -= ((z - a[Z]) * impulse_x - (x - a[X]) * impulse_z) / YAW_INERTIA
    b[VX] += impulse_x / MASS
    b[VZ] += impulse_z / MASS
    b[YAW_RATE] += ((z - b[Z]) * impulse_x - (x - b[X]) * impulse_z) / YAW_INERTIA
