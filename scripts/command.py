"""What the command lines share: options, and errors as one line with exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from robo.errors import UserError
from robo.runs import RUNS

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
        epilog="Environment: SIMULATOR_HOST, a running simulator's host; REDIS_URL, a running Redis.",
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
