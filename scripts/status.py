"""Say how a run is: python -m scripts.status NAME."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processes.session import SUMMARY
from robo.cache import Lost
from robo.cache_values import ProcessHealth, Progress
from robo.errors import UserError
from robo.health import process_notices
from robo.learning.checkpoints import Checkpoints
from robo.runs import RUNS, RunFolder
from scripts.command import cache_of, guarded

COLOURS = {"running": "green", "fatal": "red", "backing off": "yellow", "starting": "yellow"}


def main() -> int:
    """The command line. 0: the run goes on and nothing is wrong, or it was stopped; 1: something is wrong."""
    parser = argparse.ArgumentParser(
        description="Say how a run is: its processes, what they complain of and have counted, how far it is.",
        epilog="Exit code: 0 all is well, or the run is not under way; 1 something is wrong; 2 no such run.",
    )
    parser.add_argument("run", metavar="NAME", help="folder in runs/")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs are (runs/)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    status = look(RunFolder(options.run, options.runs), time.time())
    if options.json:
        print(json.dumps(status))
    else:
        show(status, Console(highlight=False, soft_wrap=True))
    return 1 if status["wrong"] else 0


def look(folder: RunFolder, now: float) -> dict[str, Any]:
    """All that can be told of a run, as JSON values. Raises UserError when there is no such run."""
    if not folder.exists:
        raise UserError(f"{folder.path}: no run there; name one of {folder.path.parent}/ with RUN=name")
    status: dict[str, Any] = {
        "run": folder.name,
        "under_way": folder.running,
        "checkpoint": Checkpoints(folder.path / "checkpoints", keep=1).latest_counters(),
        "last_session": _summary(folder.path),
        "processes": {},
        "progress": None,
        "wrong": [],
    }
    if not status["under_way"]:
        return status
    try:
        health, progress = _read(folder)
    except Lost as error:
        return status | {"wrong": [f"nothing is known of it: {error}"]}
    return status | {
        "processes": msgspec.to_builtins(health),
        "progress": msgspec.to_builtins(progress),
        "wrong": [notice.text for notice in process_notices(health, now)],
    }


def _read(folder: RunFolder) -> tuple[dict[str, ProcessHealth], Progress | None]:
    cache = cache_of(folder)
    return cache.processes(), cache.progress()


def _summary(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def show(status: Mapping[str, Any], console: Console) -> None:
    """Print it for people."""
    console.print(Text(f"{status['run']}: {'under way' if status['under_way'] else 'not under way'}"))
    if progress := status["progress"]:
        steps = f"{progress['env_steps']} steps ({progress['env_steps_per_s']:.0f}/s)"
        trained = f"{progress['train_steps']} trained ({progress['train_steps_per_s']:.0f}/s)"
        console.print(Text(f"{steps}, {trained}"))
    if saved := status["checkpoint"]:
        kept = f"{saved['env_steps']} steps, {saved['train_steps']} trained"
        console.print(Text(f"newest checkpoint: {kept}"))
    session = status["last_session"]
    if session and not status["under_way"]:
        how = session["cause"] or "stopped"
        console.print(Text(f"last session: {how} (exit code {session['exit_code']})"))
    if status["processes"]:
        console.print(_table(status["processes"]))
    for text in status["wrong"]:
        console.print(Text(text, style="red"))


def _table(processes: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("process", "state", "pid", "restarts", "beat", "counted"):
        table.add_column(heading, justify="right" if heading in ("pid", "restarts", "beat") else "left")
    for name, process in processes.items():
        age = process["beat_age_s"]
        table.add_row(
            Text(name),
            Text(process["state"], style=COLOURS.get(process["state"], "")),
            str(process["pid"] or ""),
            str(process["restarts"] or ""),
            "" if age is None else f"{age:.1f} s",
            Text(", ".join(f"{number} {what}" for what, number in process["counts"].items())),
        )
    return table


if __name__ == "__main__":
    sys.exit(guarded(main))
