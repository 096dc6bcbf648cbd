"""Run the embedded simulator by itself: python -m scripts.simulator."""

from __future__ import annotations

import argparse
import signal
import sys

from processes.simulator import open_server
from robo import config
from robo.simulation.counters import Counters
from scripts.command import guarded

OPTIONS = {
    "--track": ("track", "FILE", "a track in the simulator's format"),
    "--host": ("simulator.bind", "ADDRESS", "where to listen; 0.0.0.0: every network"),
    "--car-port": ("simulator.car_port", "N", "where cars connect; 0: any free port"),
    "--spectator-port": ("simulator.spectator_port", "N", "where spectators connect; 0: any free port"),
    "--clock": (
        "simulator.clock",
        "CLOCK",
        "lockstep: next frame when every car has answered; realtime: 60/s",
    ),
    "--mode": ("simulator.mode", "MODE", "development: free practice; race: lobby, qualifying, grid, race"),
    "--race-log": (
        "simulator.race_log",
        "FILE",
        "write the spectator stream to a file, for make replay_race",
    ),
    "--seed": ("seed", "N", "of where cars are put back on the track"),
}
"""Option -> the setting that it stands for, its value's name, help."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Run the embedded simulator: cars drive on one TCP port, spectators watch on another.",
        epilog="The defaults are those of configs/base.yml.",
    )
    for option, (key, value, text) in OPTIONS.items():
        parser.add_argument(option, dest=key, metavar=value, help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other setting of configs/base.yml",
    )
    options = vars(parser.parse_args())
    sets = options.pop("set")
    sets += [f"{key}={value}" for key, value in options.items() if value is not None]
    settings = config.load(sets=sets)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stopped.append(number))
    with open_server(settings) as server:
        print(
            f"listening: cars on {_text(server.car_address)}, "
            f"spectators on {_text(server.spectator_address)}, "
            f"track {settings.track}, clock {settings.simulator.clock}, mode {settings.simulator.mode}; "
            "Ctrl-C stops",
            flush=True,
        )
        server.run(lambda: bool(stopped))
    _warn(server.counters)
    return 0


def _warn(counters: Counters) -> None:
    """Say what the disk did not take."""
    for count, what in ((counters.lost_log_lines, "race log lines"), (counters.lost_results, "results")):
        if count:
            print(f"warning: {count} {what} could not be written", file=sys.stderr)


def _text(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


if __name__ == "__main__":
    sys.exit(guarded(main))
