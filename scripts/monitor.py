"""Show the live page of a run, or of all in a Redis: python -m scripts.monitor."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from monitor import serve
from monitor.settings import Settings
from robo.access import TOKEN
from robo.cache import Lost
from robo.errors import UserError
from robo.runs import RUNS, RunFolder
from scripts.command import guarded, redis_url

REDIS_URL = "redis://127.0.0.1:6379/0"
PORT = 8080
TRIES = 20
"""So many ports, from that one on, are tried where none is asked for: a run's own page may have it."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Show the live page of runs: cars, tracks, curves and processes. It reads Redis alone.",
        epilog="Environment: REDIS_URL, where runs have no Redis of their own; MONITOR_TOKEN, what whoever "
        "controls a run from the page must know, needed unless it listens on this machine alone.",
    )
    parser.add_argument("--run", metavar="NAME", help="the run that is shown first (the newest)")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs are (runs/)")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen; 0.0.0.0: every network"
    )
    parser.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help=f"must be free; 0: any free port (the first free one of {PORT} to {PORT + TRIES - 1})",
    )
    parser.add_argument("--control", action="store_true", help="hand on what is asked of runs from the page")
    options = parser.parse_args()
    settings = Settings(
        redis_url=_redis(options.run, options.runs),
        run=options.run,
        host=options.host,
        control=options.control,
        token=os.environ.get(TOKEN) or None,
    )
    settings.check()
    asyncio.run(_serve(settings, options.port))
    return 0


async def _serve(settings: Settings, port: int | None) -> None:
    """Serve until a signal; None: at the first port that is free. Raises UserError when it can't listen."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        if port is None:
            runner = await serve.start(settings, PORT, tries=TRIES)
        else:
            runner = await serve.start(settings, port)
    except OSError as error:
        raise UserError(_listening(error, settings.host, port)) from None
    try:
        print(f"page: {serve.url(settings, runner)}  (Ctrl-C stops)", flush=True)
        if why := await asyncio.to_thread(_silence, settings):
            print(f"{why}; waiting for it", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def _silence(settings: Settings) -> str:
    """Why Redis does not answer, in one line; empty: it does."""
    try:
        settings.cache(settings.run or "").ping()
    except Lost as error:
        hint = "" if settings.run else " (--run NAME for a run that has its own)"
        return f"{error}{hint}"
    except UserError as error:
        return str(error)
    return ""


def _redis(run: str | None, runs: Path) -> str | Callable[[], str]:
    """Where Redis is; of a run by its folder, which may come later, and so may a Redis of its own."""
    elsewhere = os.environ.get("REDIS_URL") or REDIS_URL
    if run is None:
        return elsewhere
    folder = RunFolder(run, runs)
    return lambda: redis_url(folder) if folder.exists else elsewhere


def _listening(error: OSError, host: str, port: int | None) -> str:
    """Why it can't listen there, and what to do."""
    if error.errno != errno.EADDRINUSE:
        return f"--host {host}{'' if port is None else f' --port {port}'}: {error.strerror or error}"
    if port is None:
        return f"ports {PORT} to {PORT + TRIES - 1} are in use; choose another one with --port"
    return f"--port {port}: in use, perhaps by the page of a run that is under way; choose another one"


def _port(text: str) -> int:
    """Raises ValueError, which argparse tells of, for what is no port."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


if __name__ == "__main__":
    sys.exit(guarded(main))
