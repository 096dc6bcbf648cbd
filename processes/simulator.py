"""The embedded simulator, for runs that have no other."""

from __future__ import annotations

from processes.launch import Context
from robo import log
from robo.protocol.spectator import RaceParameters
from robo.simulation.server import Server
from robo.simulation.track import Track
from robo.simulation.world import World


def main(context: Context) -> None:
    """Serve one world until told to stop."""
    settings = context.config.simulator
    track = Track.load(context.config.track)
    world = World(track, settings.segments, settings.segments_between_cars, context.config.seed)
    parameters = RaceParameters(
        timestamp=0.0,
        num_segments=settings.segments,
        num_segments_between_cars=settings.segments_between_cars,
        track=track.name,
        mode="development",
    )

    def stop() -> bool:
        context.beat()
        return context.stopping

    with Server(
        world,
        (settings.bind, settings.car_port),
        (settings.bind, settings.spectator_port),
        settings.clock,
        settings.answer_limit_s,
        parameters=parameters,
    ) as server:
        log.get().info("listening", cars=server.car_address, spectators=server.spectator_address)
        context.ready()
        server.run(stop)
        log.get().info("stopped", **vars(server.counters))
