"""placeholder until merged"""

from typing import NamedTuple

import numpy as np


class Sequences(NamedTuple):
    """x"""

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    weight: np.ndarray
