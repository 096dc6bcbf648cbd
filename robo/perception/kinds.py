"""The kinds of observation that a camera picture can become, by their name in a config."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SHAPES = {"color_mass": (8, 3), "color_grid": (48, 3)}
"""Of one observation, float32. Here, so that who only needs a size need not load the kind's compiled code."""

See = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def size(kind: str) -> int:
    """How many numbers one observation has."""
    return math.prod(SHAPES[kind])


def see(kind: str) -> See:
    """What makes such an observation, float32 of its shape, of a picture, uint8 [H, W, 3] BGR."""
    return getattr(importlib.import_module(f"robo.perception.{kind}"), kind)
