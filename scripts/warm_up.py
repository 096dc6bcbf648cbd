"""Compile the simulator's and the camera's inner loops once, so that no run has to wait for it."""

from __future__ import annotations

import numpy as np

from robo import config
from robo.perception import kinds
from robo.simulation.track import Track
from robo.simulation.world import World

CARS = 16
"""So many that the last one joins where the first one stands, and they touch."""


def main() -> None:
    """Drive one frame on a flat track and on another; numba keeps what it compiled beside the sources."""
    for track in (config.EMBEDDED_TRACK, "configs/tracks/bridge.json"):
        world = World(Track.load(config.ROOT / track))
        for number in range(CARS):
            world.add_car(f"warm-up-{number}")
        world.step()
        picture = world.render("warm-up-0", 128)
        for see in map(kinds.see, kinds.SHAPES):
            see(picture)
            see(np.frombuffer(picture.tobytes(), np.uint8).reshape(picture.shape))  # as it is received


if __name__ == "__main__":
    main()
