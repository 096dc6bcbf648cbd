"""Vectors of three numbers as tuples, for compiled code: no arrays, nothing to allocate."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vector = tuple[float, float, float]


@njit(cache=True)
def load(values: Floats, at: int) -> Vector:
    """Three numbers of an array, from index ``at``."""
    return values[at], values[at + 1], values[at + 2]


@njit(cache=True)
def store(values: Floats, at: int, a: Vector) -> None:
    """Write a vector into an array, from index ``at``."""
    values[at] = a[0]
    values[at + 1] = a[1]
    values[at + 2] = a[2]


@njit(cache=True)
def add(a: Vector, b: Vector, times: float) -> Vector:
    """a + times * b."""
    return a[0] + times * b[0], a[1] + times * b[1], a[2] + times * b[2]


@njit(cache=True)
def minus(a: Vector, b: Vector) -> Vector:
    """a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@njit(cache=True)
def dot(a: Vector, b: Vector) -> float:
    """The inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def cross(a: Vector, b: Vector) -> Vector:
    """The product that makes up x forward the way to the right."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(cache=True)
def unit(a: Vector) -> Vector:
    """The vector at length 1; one without a length stays as it is."""
    length = math.sqrt(dot(a, a))
    if length < 1e-12:
        return a
    return a[0] / length, a[1] / length, a[2] / length


@njit(cache=True)
def level(a: Vector, normal: Vector) -> Vector:
    """The part of a vector that lies in the plane with this normal of length 1."""
    return add(a, normal, -dot(a, normal))


@njit(cache=True)
def turn(a: Vector, before: Vector, after: Vector) -> Vector:
    """A vector turned by the smallest rotation that takes ``before`` to ``after``, both of length 1."""
    axis = cross(before, after)
    cosine = dot(before, after)
    if cosine < -0.999999:
        return a
    along = dot(axis, a) / (1.0 + cosine)
    aside = cross(axis, a)
    return (
        cosine * a[0] + aside[0] + axis[0] * along,
        cosine * a[1] + aside[1] + axis[1] * along,
        cosine * a[2] + aside[2] + axis[2] * along,
    )
