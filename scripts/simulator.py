"""Run the embedded simulator by itself: python -m scripts.simulator."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable

from robo import config
from robo.protocol.spectator import RaceParameters
from robo.simulation.server import Server
from robo.simulation.track import Track
from robo.simulation.world import World
from scripts.command import guarded


def main() -> int:
    """The command line."""
    arguments = _parser(config.load()).parse_args()
    track = Track.load(arguments.track)
    world = World(track, arguments.segments, arguments.segments_between_cars, arguments.seed)
    parameters = RaceParameters(
        num_segments=arguments.segments,
        num_segments_between_cars=arguments.segments_between_cars,
        track=track.name,
        mode="development",
        timestamp=0.0,
    )
    with Server(
        world,
        (arguments.host, arguments.car_port),
        (arguments.host, arguments.spectator_port),
        arguments.clock,
        arguments.answer_limit,
        parameters=parameters,
    ) as server:
        stop = _stop_on_signals()
        print(
            f"listening: cars on {_text(server.car_address)}, "
            f"spectators on {_text(server.spectator_address)}, "
            f"track {track.name} ({track.length:.2f} m), clock {arguments.clock}; Ctrl-C stops",
            flush=True,
        )
        server.run(stop)
    return 0


def _parser(defaults: config.Config) -> argparse.ArgumentParser:
    simulator = defaults.simulator
    parser = argparse.ArgumentParser(
        prog="python -m scripts.simulator",
        description="Run the embedded simulator: cars drive on one TCP port, spectators watch on another.",
        epilog="The defaults are those of configs/base.yml. Port 0 means any free port.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option("--track", default=defaults.track, metavar="FILE", help="a flat track in the simulator's format")
    option("--host", default=simulator.bind, help="the address to listen at; 0.0.0.0: every network")
    option(
        "--car-port",
        type=_whole(0, 65535),
        default=simulator.car_port,
        metavar="N",
        help="where cars connect",
    )
    option(
        "--spectator-port",
        type=_whole(0, 65535),
        default=simulator.spectator_port,
        metavar="N",
        help="where spectators connect",
    )
    option(
        "--clock",
        choices=("lockstep", "realtime"),
        default=simulator.clock,
        help="lockstep: the next frame when every car has answered; realtime: 60 frames a second",
    )
    option(
        "--answer-limit",
        type=_positive,
        default=simulator.answer_limit_s,
        metavar="S",
        help="seconds after which lockstep passes over a car that does not answer",
    )
    option(
        "--seed",
        type=_whole(0, 2**63 - 1),
        default=defaults.seed,
        metavar="N",
        help="of where cars are put back on the track",
    )
    option(
        "--segments", type=_whole(2, 1000), default=simulator.segments, metavar="N", help="segments of a lap"
    )
    option(
        "--segments-between-cars",
        type=_whole(0, 1000),
        default=simulator.segments_between_cars,
        metavar="N",
        help="how far apart cars start",
    )
    return parser


def _whole(low: int, high: int) -> Callable[[str], int]:
    """An option's type: a whole number from low to high."""

    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not from {low} to {high}")
        return value

    return number


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time: choose seconds above 0")
    return value


def _stop_on_signals() -> Callable[[], bool]:
    """From now on SIGINT and SIGTERM make the function returned here true."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: received.append(number))
    return lambda: bool(received)


def _text(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


if __name__ == "__main__":
    sys.exit(guarded(main))
