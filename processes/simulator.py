"""The embedded simulator, for runs that have no other."""

from __future__ import annotations

from pathlib import Path

from processes.launch import Context
from robo import log
from robo.config import Config
from robo.config import Simulator as Settings
from robo.protocol.spectator import RaceParameters
from robo.simulation.race import Race
from robo.simulation.records import prepare_results
from robo.simulation.server import Server
from robo.simulation.tracks import Tracks
from robo.simulation.world import World
from robo.simulation.worlds import Worlds


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

    Raises UserError on a bad track file, an address that can't be listened at, or a race log or results file
    that can't be written.
    """
    settings = config.simulator
    tracks = Tracks.of(config)

    def world(number: int) -> World:
        return World(
            tracks[number],
            settings.segments,
            settings.segments_between_cars,
            config.seed,
            ghosts=settings.ghosts,
            antialias=settings.antialias,
            randomisation=config.randomisation,
        )

    track = tracks[0]
    parameters = race_parameters(settings, track.name)
    racing = settings.mode == "race"
    results_file = Path(settings.race.results_file) if racing and settings.race.results_file else None
    if results_file:
        prepare_results(results_file)
    place = Worlds(tracks, world) if config.restarts else world(0)
    if isinstance(place, Worlds):
        place.prepare()
    return Server(
        place,
        (settings.bind, settings.car_port),
        (settings.bind, settings.spectator_port),
        settings.clock,
        settings.answer_limit_s,
        parameters=parameters,
        session=Race(parameters, track.length, place.laps) if racing else None,
        race_log=Path(settings.race_log) if settings.race_log else None,
        results_file=results_file,
    )


def race_parameters(settings: Settings, track: str) -> RaceParameters:
    """What spectators are told first."""
    race = settings.race
    return RaceParameters(
        timestamp=0.0,
        num_segments=settings.segments,
        lap_count=race.lap_count,
        num_segments_between_cars=settings.segments_between_cars,
        auto_start_qualifying_seconds=race.auto_start_qualifying_seconds,
        qualifying_duration_seconds=race.qualifying_seconds,
        auto_start_race_seconds=race.auto_start_race_seconds,
        race_timeout_seconds=race.timeout_seconds,
        race_timeout_after_winner_seconds=race.timeout_after_winner_seconds,
        track=track,
        mode=settings.mode,
    )
