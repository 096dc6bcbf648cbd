"""What the command lines share: options, and errors as one line with exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from robo import config
from robo.cache import Cache
from robo.errors import UserError
from robo.runs import CONFIG, RUNS, RunFolder

BAD_INPUT = 2


def guarded(main: Callable[[], int]) -> int:
    """Run a command; a UserError becomes one line on standard error and exit code 2."""
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 130


def run_parser(description: str, default_run: str) -> argparse.ArgumentParser:
    """The options of every command that drives cars."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog="Environment: SIMULATOR_HOST, a running simulator's host; REDIS_URL, a running Redis; "
        "MONITOR_TOKEN, what whoever controls the run from elsewhere must know.",
    )
    parser.add_argument("--run", default=default_run, metavar="NAME", help=f"folder in runs/ ({default_run})")
    parser.add_argument(
        "--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs are kept (runs/)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of configs/base.yml; repeatable",
    )
    parser.add_argument(
        "--until-clean-laps",
        type=int,
        metavar="N",
        help="stop, with exit code 0, after N clean laps in a row",
    )
    parser.add_argument("--max-seconds", type=float, metavar="S", help="stop after S seconds of wall time")
    return parser


def redis_url(folder: RunFolder) -> str:
    """Where the Redis of a run that has a folder answers: its own one, or REDIS_URL, or as it is configured.

    Raises UserError when that one wants a password.
    """
    socket = folder.redis_socket
    if socket.exists():
        return f"unix://{socket}"
    url = os.environ.get("REDIS_URL") or config.read(folder.path / CONFIG).redis.url
    if "***" in url:
        raise UserError("REDIS_URL: this run's Redis wants a password, which no run keeps; set it as it was")
    return url


def cache_of(folder: RunFolder) -> Cache:
    """The cache of a run that has a folder. Raises UserError when nothing is known of where it is."""
    try:
        return Cache(redis_url(folder), folder.name)
    except ValueError as error:
        raise UserError(f"REDIS_URL: {error}") from None


def chosen(option: str, text: str, known: Collection[str]) -> list[str]:
    """The names in an option's comma-separated text. Raises UserError when one is not known."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise UserError(f"{option} {name}: not known; choose from {', '.join(known)}")
    return names


def settings(arguments: argparse.Namespace) -> list[str]:
    """``--set`` items for all options given."""
    sets = list(arguments.set)
    if arguments.until_clean_laps is not None:
        sets.append(f"limits.clean_laps={arguments.until_clean_laps}")
    if arguments.max_seconds is not None:
        sets.append(f"limits.wall_seconds={arguments.max_seconds}")
    return sets
