"""Processes for tests of the supervisor: each does what its name says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from processes.launch import Context
from robo.errors import FatalError, UserError


def main(context: Context) -> None:
    """Note start and stop in the run folder's ``order`` file, and behave as the name says."""
    kind = context.name.rstrip("0123456789")
    _note(context, "start")
    if kind == "crashing":
        raise RuntimeError("broken on purpose")
    if kind == "refusing":
        raise UserError("track: not to my taste; choose another")
    if kind == "beyond_help":
        raise FatalError("no use in going on")
    if kind == "unready":
        while True:
            context.beat()
            time.sleep(0.05)
    context.ready()
    if kind == "silent":
        time.sleep(60)
    if kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            context.beat()
            time.sleep(0.05)
    while not context.stopping:
        context.wait(timeout=0.1)
    _note(context, "stop")


def _note(context: Context, what: str) -> None:
    with (context.run.folder / "order").open("a", encoding="utf-8") as file:
        file.write(f"{what} {context.name} {os.getpid()}\n")


def notes(folder: Path) -> list[str]:
    """What the processes noted, in order, without their ids."""
    path = folder / "order"
    return [line.rpartition(" ")[0] for line in path.read_text().splitlines()] if path.exists() else []
