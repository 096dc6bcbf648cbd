"""A hand-written policy that keeps the blue band ahead; it shows the chain at work without a learner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THROTTLE = 0.04
GAIN = 1.0
LEAST_BLUE = 0.1
ROW_GROUPS = slice(4, 8)


def follow_colors(observation: NDArray[np.float32]) -> tuple[float, float]:
    """Turn left by as much as green exceeds red, in units of blue, over the row groups.

    ``observation``: float32 [8, 3] of ``color_mass``. Returns throttle 0..1 and turn -1..1, +1 full left.
    """
    red, green, blue = (float(total) for total in observation[ROW_GROUPS].sum(axis=0))
    turn = GAIN * (green - red) / max(blue, LEAST_BLUE)
    return THROTTLE, min(max(turn, -1.0), 1.0)
