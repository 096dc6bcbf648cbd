"""Play a race log to spectators: python -m scripts.replay_race race.log."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from robo.errors import UserError
from robo.simulation.replay import Player, is_race_log
from robo.simulation.replay_server import ReplayServer
from scripts.command import guarded

CHUNK = 1 << 16


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Stream a race log as the simulator did, beginning with the first spectator."
    )
    parser.add_argument("log", metavar="LOG", help="what --race-log wrote")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="times as fast as it was (1)")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=11001, metavar="N", help="where spectators connect (11001); 0: any"
    )
    parser.add_argument("--loop", action="store_true", help="play it again and again")
    options = parser.parse_args()
    if not 0 < options.speed < math.inf:
        raise UserError(f"--speed {options.speed}: choose a number above 0, such as 4")
    if not options.log:
        raise UserError("no race log named: make replay_race LOG=race.log")
    player = open_player(Path(options.log), options.speed, loop=options.loop)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stopped.append(number))
    with ReplayServer(player, (options.host, options.port)) as server:
        host, port = server.address
        print(
            f"{options.log}: waiting for a spectator on {host}:{port}, speed {options.speed:g}; Ctrl-C stops",
            flush=True,
        )
        server.run(lambda: bool(stopped))
    counts = player.counts
    print(f"{counts.played} lines played, {counts.skipped} bad ones skipped", flush=True)
    return 0


def open_player(path: Path, speed: float, *, loop: bool) -> Player:
    """A player of the file. Raises UserError when it can't be read, or is no race log."""

    def chunks() -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; name a file that --race-log wrote") from None

    if not is_race_log(chunks()):
        raise UserError(f"{path}: no race log, for it has no line of the spectator stream; check the name")
    return Player(chunks, speed, loop=loop)


if __name__ == "__main__":
    sys.exit(guarded(main))
