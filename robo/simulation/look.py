"""How one car's camera differs from the nominal one, and in what colours and light it sees the world."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robo.simulation.ground import LIT, SHADOWED

Bytes = NDArray[np.uint8]


class Look(NamedTuple):
    """Differences from the nominal camera and its picture; the default is nominal."""

    height: float = 0.0
    """Metres higher."""
    pitch: float = 0.0
    """Radians farther down."""
    light: float = 1.0
    """Share of the light on everything."""
    colours: tuple[tuple[float, float, float], ...] = ((1.0, 1.0, 1.0),) * len(LIT)
    """Share of blue, green and red that each colour of the ground keeps, in the order of ``ground.LIT``."""

    def lit(self, colours: ArrayLike) -> Bytes:
        """Colours, 0..255, in this light: uint8 of the same shape; what is too bright is 255."""
        return np.round(np.clip(np.asarray(colours) * self.light, 0.0, 255.0)).astype(np.uint8)

    def painted(self, palette: Bytes) -> Bytes:
        """A palette, uint8 [N, 3], that begins with ``ground.palette``, in these colours and this light."""
        shares = np.ones(palette.shape)
        for first in (0, SHADOWED):
            shares[first : first + len(self.colours)] = self.colours
        return self.lit(palette * shares)


NOMINAL = Look()
