"""How a car moves, as a policy may see it beside the pictures, in which no floor passes by."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from robo.driving.state import CarState

MOTION_SIZE = 3
SCALES = np.array((0.3, 0.5, 0.2), np.float32)
"""What speed forward, to the left (m/s) and turn to the left (rad/s) are multiplied by, to be about 1."""


def motion(before: CarState, now: CarState) -> NDArray[np.float32]:
    """Speed forward and to the left, and turn to the left, float32 [3], times SCALES.

    The turn is the mean since ``before``, a state of the same stay on track; 0 where that is the same state.
    """
    seconds = now.time - before.time
    turned = (before.yaw - now.yaw + math.pi) % (2.0 * math.pi) - math.pi
    rate = turned / seconds if seconds > 0.0 else 0.0
    return np.array((now.forward, now.left, rate), np.float32) * SCALES
