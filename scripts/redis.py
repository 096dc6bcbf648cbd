"""Start a Redis server on loopback that keeps nothing on disk: python -m scripts.redis."""

from __future__ import annotations

import argparse
import os
import sys

from processes.preflight import listen
from processes.redis_server import arguments, find_binary
from scripts.command import guarded


def main() -> int:
    """The command line; becomes the server."""
    parser = argparse.ArgumentParser(description="Start a Redis on 127.0.0.1 that keeps nothing on disk.")
    parser.add_argument("--port", type=int, default=6379, help="TCP port (6379)")
    options = parser.parse_args()
    binary = find_binary()
    listen("127.0.0.1", options.port, "--port").close()
    print(f"Redis at redis://127.0.0.1:{options.port}/0; Ctrl-C stops it", flush=True)
    os.execv(binary, arguments(binary, ["--bind", "127.0.0.1", "--port", str(options.port)]))


if __name__ == "__main__":
    sys.exit(guarded(main))
