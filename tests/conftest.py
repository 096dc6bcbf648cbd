"""A Redis of the test's own, for whoever needs one."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes.redis_server import arguments, find_binary
from robo.cache import Cache

START_SECONDS = 20.0


class RedisServer:
    """A server on a private socket, which a test may stop and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder}/redis.sock"

    def start(self) -> None:
        socket = str(self._folder / "redis.sock")
        command = arguments(find_binary(), ["--port", "0", "--unixsocket", socket])
        self._process = subprocess.Popen(command, cwd=self._folder)
        cache, give_up = Cache(self.url, "conftest"), time.monotonic() + START_SECONDS
        while not cache.answers():
            try:
                code = self._process.wait(0.01)
            except subprocess.TimeoutExpired:
                assert time.monotonic() < give_up, "the Redis server did not answer in time"
            else:
                pytest.fail(f"the Redis server ended with {code}")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it hang meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url
