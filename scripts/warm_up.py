"""Compile the simulator's and the camera's inner loops once, so that no run has to wait for it."""

from __future__ import annotations

from robo import config
from robo.perception.color_mass import color_mass
from robo.simulation.track import Track
from robo.simulation.world import World


def main() -> None:
    """Drive one frame with cars that touch; numba keeps what it compiled beside the sources."""
    world = World(Track.load(config.ROOT / config.EMBEDDED_TRACK))
    for number in range(16):  # the last one joins where the first one stands
        world.add_car(f"warm-up-{number}")
    world.step()
    color_mass(world.render("warm-up-0", 128))


if __name__ == "__main__":
    main()
