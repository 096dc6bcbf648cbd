"""What travels from an explorer to the learner: transitions in chunks, and how episodes went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from robo.driving.driver import EpisodeResult, Transition
from robo.driving.transitions import Transitions


class Episode(NamedTuple):
    """An episode's result, and the weights that drove it."""

    role: str
    """explorer or evaluator."""
    result: EpisodeResult
    weights_version: int
    weights: np.ndarray | None
    """float32 [P], of an evaluation in which they drove from start to end; the learner keeps the best."""


def pack(steps: Sequence[Transition]) -> Transitions:
    """Steps, one after another, as arrays."""
    columns = zip(*steps, strict=True)
    return Transitions(*(np.asarray(column, dtype=np.float32) for column in columns))
