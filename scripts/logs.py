"""Show a run's logs, those of all its processes as one: python -m scripts.logs NAME."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from robo import log_files
from robo.errors import UserError
from robo.log_files import SEVERITY, Entry, Merged
from robo.runs import RUNS, RunFolder
from scripts.command import chosen, guarded

LINES = 100
FOLLOW_SECONDS = 0.25
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def main() -> int:
    """The command line."""
    options = _parser().parse_args()
    if options.lines is not None and options.lines < 0:
        raise UserError(f"--lines {options.lines}: at least 0")
    since = time.time() - seconds(options.since) if options.since else 0.0
    folder = logs_folder(options.name, options.runs)
    known = log_files.processes(folder)
    wanted = chosen("--process", options.process, known)
    lines = options.lines
    if lines is None and not options.since:
        lines = LINES
    show = printer(max(map(len, wanted or known)))

    def passes(entry: Entry) -> bool:
        return entry.severity >= SEVERITY[options.level] and entry.at >= since

    with contextlib.closing(Merged(folder, processes=wanted)) as merged:
        try:
            for entry in recent(merged, passes, lines, unfinished=not options.follow):
                show(entry)
            sys.stdout.flush()
            if options.follow:
                follow(merged, passes, show)
        except BrokenPipeError:  # whoever reads has enough, as head has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            if not options.follow:
                raise
    return 0


def recent(
    merged: Merged, passes: Callable[[Entry], bool], lines: int | None, *, unfinished: bool
) -> deque[Entry]:
    """The last so many entries (None: all) that pass, with ``unfinished`` also last lines without an end."""
    entries: deque[Entry] = deque(maxlen=lines)
    while batch := merged.new():
        entries.extend(filter(passes, batch))
    if unfinished:
        entries.extend(filter(passes, merged.unfinished()))
    return entries


def follow(merged: Merged, passes: Callable[[Entry], bool], show: Callable[[Entry], None]) -> None:
    """Show entries as they are written, for good."""
    while True:
        entries = merged.new()
        for entry in filter(passes, entries):
            show(entry)
        sys.stdout.flush()
        if not entries:
            time.sleep(FOLLOW_SECONDS)


def printer(width: int) -> Callable[[Entry], None]:
    """Prints entries, in colours on a terminal; ``width`` is that of the processes' names."""
    sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal without Unicode can't show
    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        return lambda entry: console.print(log_files.text(entry, width=width, details=True))
    return lambda entry: print(log_files.text(entry, width=width, details=True).plain)


def logs_folder(name: str, runs: Path) -> Path:
    """Where a run's logs are. Raises UserError when it has none."""
    folder = RunFolder(name, runs).path / "logs"
    if not log_files.processes(folder):
        there = sorted(path.name for path in runs.glob("*") if log_files.processes(path / "logs"))
        raise UserError(f"{folder}: no logs there; runs that have some: {', '.join(there) or 'none'}")
    return folder


def seconds(text: str) -> float:
    """A duration such as 90s, 10m, 2h or 1d in seconds. Raises UserError when it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text, re.ASCII)
    if match is None:
        raise UserError(f"--since {text}: give a number and a unit, as in 90s, 10m, 2h or 1d")
    return float(match[1]) * UNITS[match[2]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Show what a run's processes logged and printed, in the order of time. A line has the "
        "local time, the process, what happened, and its figures; a traceback follows below its line. On a "
        "terminal, warnings and errors are coloured.",
        epilog="Examples: --follow --level warning shows trouble as it happens; --process learner,evaluator "
        "--since 10m what these two did of late. What there is to show is in the files in runs/NAME/logs: "
        "PROCESS.log, and what was set aside when that grew too large, PROCESS.log.1 and .2.",
    )
    parser.add_argument("name", metavar="NAME", help="a folder in runs/")
    parser.add_argument("--follow", action="store_true", help="go on with what is written, until Ctrl-C")
    parser.add_argument(
        "--level",
        choices=list(SEVERITY)[1:],
        default="info",
        metavar="LEVEL",
        help="only what is as bad: info, warning, error or critical (info)",
    )
    parser.add_argument("--process", default="", metavar="NAME", help="only this one; a,b,c is three of them")
    parser.add_argument("--since", metavar="TIME", help="only of the last 90s, 10m, 2h or 1d")
    parser.add_argument(
        "--lines", type=int, metavar="N", help=f"the last N ({LINES}; with --since all of that time)"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs are (runs/)")
    return parser


if __name__ == "__main__":
    sys.exit(guarded(main))
