"""Domain randomisation: what differs from car to car and from placement to placement, where it is asked for.

Policies trained under it don't rely on what a simulator and its original can't have quite alike (J. Tobin et
al., Domain Randomization for Transferring Deep Neural Networks from Simulation to the Real World, 2017).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robo.config import Randomisation
from robo.simulation import look
from robo.simulation.look import Look


class Variation(NamedTuple):
    """How one car differs from the nominal one; the default is nominal."""

    friction: float = 1.0
    """Share of the tyres' grip."""
    motor: float = 1.0
    """Share of the motor's torque."""
    look: Look = look.NOMINAL
    latency: int = 0
    """Age of its pictures, frames."""


def asked_for(ranges: Randomisation) -> bool:
    """Whether anything is to be varied."""
    return ranges != Randomisation()


def draw(ranges: Randomisation, random: np.random.Generator) -> Variation:
    """One car's variation: each quantity evenly from its range; nominal, and nothing drawn, without one."""

    def pick(interval: tuple[float, float] | None, nominal: float) -> float:
        return nominal if interval is None else float(random.uniform(*interval))

    shares = look.NOMINAL.colours
    return Variation(
        friction=pick(ranges.friction, 1.0),
        motor=pick(ranges.motor, 1.0),
        look=Look(
            height=pick(ranges.camera_height, 0.0),
            pitch=pick(ranges.camera_pitch, 0.0),
            light=pick(ranges.light, 1.0),
            colours=tuple(
                (pick(ranges.colours, b), pick(ranges.colours, g), pick(ranges.colours, r))
                for b, g, r in shares
            ),
        ),
        latency=0 if ranges.latency is None else int(random.integers(*ranges.latency, endpoint=True)),
    )
