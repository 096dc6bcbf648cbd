"""Have schemathesis try every endpoint of a live monitor: python -m tests.schema PATH_OF_SCHEMATHESIS."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from monitor.openapi import document
from robo.cache import Cache
from robo.cache_values import Answer
from robo.config import ROOT
from tests.conftest import RedisServer
from tests.monitoring import RUN, FakeRun

TOKEN = "correct horse battery staple"
ENDLESS = ("/cars/{team}.mjpeg", "/ws")
"""Streams: tried by the tests, for schemathesis would wait for their end."""


def main() -> int:
    """The command line. Its exit code is schemathesis's."""
    with tempfile.TemporaryDirectory() as folder, _redis(Path(folder)) as url:
        run = FakeRun(url).fill()
        with run.going_on(), _answering(run.cache), _monitor(url) as page:
            command = [sys.argv[1], "run", f"{page}openapi.json", "--max-examples", "40"]
            command += ["-H", f"Authorization: Bearer {TOKEN}", "--no-color"]
            # Some answers depend on what the run is like, such as 404 for a car that there is none of.
            command += ["--exclude-checks", "positive_data_acceptance"]
            command += [word for path in ENDLESS for word in ("--exclude-path", path)]
            assert all(path in document()["paths"] for path in ENDLESS)
            return subprocess.run(command, cwd=folder, check=False).returncode


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    server = RedisServer(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@contextlib.contextmanager
def _answering(cache: Cache) -> Iterator[None]:
    """Answer as a run's supervisor does, now with yes and now with no."""
    ended = threading.Event()

    def answer() -> None:
        while not ended.wait(0.02):
            for request in cache.requests():
                done = int(request.id[0], 16) % 2 == 0
                cache.put_answer(request.id, Answer(done, f"{request.what}: {'done' if done else 'refused'}"))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _monitor(url: str) -> Iterator[str]:
    """A monitor's own process. Its address."""
    command = [sys.executable, "-m", "scripts.monitor", "--run", RUN, "--port", "0", "--control"]
    environment = {"REDIS_URL": url, "MONITOR_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
