"""How cars see where they differ from the nominal one: with a camera of their own, and late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from robo.simulation.look import NOMINAL, Look

Floats = NDArray[np.float64]
Camera = TypeVar("Camera")


@dataclass
class _Eye(Generic[Camera]):
    """Of one car."""

    look: Look | None = None
    """None: nominal."""
    latency: int = 0
    frames: int = 0
    """Since it was placed, as far as they are remembered."""
    cameras: dict[int, Camera] = field(default_factory=dict)
    """By width."""


class Eyes(Generic[Camera]):
    """Cameras by car, and what all cars' states were some frames ago; a row a car, as in ``Terrain``."""

    def __init__(self, build: Callable[[int, Look], Camera]) -> None:
        """``build``: makes a camera for pictures of a width."""
        self._build = build
        self._eyes: list[_Eye[Camera]] = []
        self._longest = 0
        """Frames that are remembered, the longest latency of all."""
        self._past: list[Floats] = []
        """States before each of the last frames, oldest first; NaN for a car that was not there yet."""

    def add(self) -> None:
        """Append a car that sees as the nominal one."""
        self._eyes.append(_Eye())
        self._past = [np.pad(states, ((0, 1), (0, 0)), constant_values=np.nan) for states in self._past]

    def remove(self, row: int) -> None:
        """Take a car out; those behind it move up."""
        del self._eyes[row]
        self._past = [np.delete(states, row, axis=0) for states in self._past]
        self._longest = max((eye.latency for eye in self._eyes), default=0)

    def vary(self, row: int, look: Look, latency: int) -> None:
        """Let a car that was placed just now see so; its pictures show nothing from before that."""
        self._eyes[row] = _Eye(None if look == NOMINAL else look, latency)
        self._longest = max(eye.latency for eye in self._eyes)

    def camera(self, row: int, width: int) -> Camera | None:
        """The car's own camera; None: it is the nominal one, which cars can share."""
        eye = self._eyes[row]
        if eye.look is None:
            return None
        if width not in eye.cameras:
            eye.cameras[width] = self._build(width, eye.look)
        return eye.cameras[width]

    def remember(self, states: Floats) -> None:
        """Note the states, float64 [N, S], before a frame."""
        if not self._longest:
            return
        self._past.append(states.copy())
        del self._past[: -self._longest]
        for eye in self._eyes:
            eye.frames += 1

    def states(self, row: int, now: Floats) -> Floats:
        """The states of all cars as the car in this row sees them; ``now``: what they are."""
        eye = self._eyes[row]
        age = min(eye.latency, eye.frames)
        return self._past[-age] if age else now
