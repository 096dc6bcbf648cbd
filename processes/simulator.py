"""The embedded simulator, for runs that have no other."""

from __future__ import annotations

from pathlib import Path

from processes.launch import Context
from robo import log
from robo.config import Config
from robo.protocol.spectator import RaceParameters
from robo.simulation.server import Server
from robo.simulation.track import Track
from robo.simulation.world import World


def main(context: Context) -> None:
    """Serve one world until told to stop."""

    def stop() -> bool:
        context.beat()
        return context.stopping

    with open_server(context.config) as server:
        log.get().info("listening", cars=server.car_address, spectators=server.spectator_address)
        context.ready()
        server.run(stop)
        log.get().info("stopped", **vars(server.counters))


def open_server(config: Config) -> Server:
    """A server, listening, for the world that the config describes.

    Raises UserError on a bad track file, or an address that can't be listened at.
    """
    settings = config.simulator
    track = Track.load(Path(config.track))
    world = World(
        track,
        settings.segments,
        settings.segments_between_cars,
        config.seed,
        antialias=settings.antialias,
    )
    parameters = RaceParameters(
        timestamp=0.0,
        num_segments=settings.segments,
        num_segments_between_cars=settings.segments_between_cars,
        track=track.name,
        mode="development",
    )
    return Server(
        world,
        (settings.bind, settings.car_port),
        (settings.bind, settings.spectator_port),
        settings.clock,
        settings.answer_limit_s,
        parameters=parameters,
    )
