"""Rectangles on a plane: by how much two overlap, and where they touch; compiled by numba.

A rectangle is three or more numbers that begin with x, z (metres) and yaw (radians), with half its length,
along its yaw, and half its breadth apart from them (metres).

The separating axis test, and the clipping of the facing sides (C. Ericson, Real-Time Collision Detection,
chapters 4 and 5).
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

X, Z, YAW = 0, 1, 2
Point = tuple[float, float]


@njit(cache=True)
def least_overlap(  # noqa: PLR0917 numba kernels take their state as flat arguments
    a: Any, half_length_a: float, half_breadth_a: float, b: Any, half_length_b: float, half_breadth_b: float
) -> tuple[float, float, float, bool, bool]:
    """Along which side's normal two rectangles overlap least.

    Returns by how much (0 or less: they are apart), the normal from a to b, and whose side it is: b's or
    a's, and its end or its flank.
    """
    dx, dz = b[X] - a[X], b[Z] - a[Z]
    turned = b[YAW] - a[YAW]
    along, across = abs(math.cos(turned)), abs(math.sin(turned))
    end_a = half_length_a + half_length_b * along + half_breadth_b * across
    flank_a = half_breadth_a + half_length_b * across + half_breadth_b * along
    end_b = half_length_b + half_length_a * along + half_breadth_a * across
    flank_b = half_breadth_b + half_length_a * across + half_breadth_a * along
    least, least_x, least_z, of_b, lengthwise = math.inf, 0.0, 0.0, False, False
    for owner in range(2):
        yaw, end_reach, flank_reach = (b[YAW], end_b, flank_b) if owner else (a[YAW], end_a, flank_a)
        sine, cosine = math.sin(yaw), math.cos(yaw)
        for end in range(2):
            normal_x, normal_z = (sine, cosine) if end else (cosine, -sine)
            gap = dx * normal_x + dz * normal_z
            overlap = (end_reach if end else flank_reach) - abs(gap)
            if overlap < least:
                way = -1.0 if gap < 0.0 else 1.0
                least, least_x, least_z = overlap, way * normal_x, way * normal_z
                of_b, lengthwise = owner == 1, end == 1
            if overlap <= 0.0:
                return overlap, 0.0, 0.0, False, False
    return least, least_x, least_z, of_b, lengthwise


@njit(cache=True)
def clip(  # noqa: PLR0917
    body: Any,
    half_length: float,
    half_breadth: float,
    other: Any,
    other_half_length: float,
    other_half_breadth: float,
    normal_x: float,
    normal_z: float,
    end: bool,
) -> tuple[Point, float, Point, float]:
    """Where the side of ``body`` with this outward normal is entered by the side of ``other`` that faces it.

    Returns both ends of that, halfway between the two sides, each with its depth, 0 if it is not inside.
    """
    half, half_side = (half_length, half_breadth) if end else (half_breadth, half_length)
    sine, cosine = math.sin(other[YAW]), math.cos(other[YAW])
    ahead = sine * normal_x + cosine * normal_z
    aside = cosine * normal_x - sine * normal_z
    if abs(ahead) > abs(aside):
        face, face_x, face_z = -math.copysign(other_half_length, ahead), sine, cosine
        side_x, side_z, reach = cosine, -sine, other_half_breadth
    else:
        face, face_x, face_z = -math.copysign(other_half_breadth, aside), cosine, -sine
        side_x, side_z, reach = sine, cosine, other_half_length
    # The facing side's middle and half, seen from the body: across its own side and out of it.
    x, z = other[X] + face * face_x - body[X], other[Z] + face * face_z - body[Z]
    middle_across, middle_out = x * normal_z - z * normal_x, x * normal_x + z * normal_z
    half_across = reach * (side_x * normal_z - side_z * normal_x)
    half_out = reach * (side_x * normal_x + side_z * normal_z)
    low, high = -1.0, 1.0
    if abs(half_across) > 1e-12:
        one = (-half_side - middle_across) / half_across
        two = (half_side - middle_across) / half_across
        low = min(max(low, min(one, two)), 1.0)
        high = max(min(high, max(one, two)), -1.0)
    low_depth = max(half - (middle_out + low * half_out), 0.0)
    high_depth = max(half - (middle_out + high * half_out), 0.0)
    low_point = (
        body[X] + x + low * reach * side_x + 0.5 * low_depth * normal_x,
        body[Z] + z + low * reach * side_z + 0.5 * low_depth * normal_z,
    )
    high_point = (
        body[X] + x + high * reach * side_x + 0.5 * high_depth * normal_x,
        body[Z] + z + high * reach * side_z + 0.5 * high_depth * normal_z,
    )
    return low_point, low_depth, high_point, high_depth
