"""Connections to the simulator: how to open one, and how long to wait before trying again."""

from __future__ import annotations

import socket

CONNECT_SECONDS = 2.0
BACKOFF_SECONDS = 0.05
BACKOFF_MAX_SECONDS = 1.0


def connect(host: str, port: int) -> socket.socket:
    """Open a connection without send delay. Raises OSError when nobody answers in time."""
    connection = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(True)
    return connection


class Backoff:
    """Doubles the wait after every failure, up to a second, so that a returning simulator is soon found."""

    def __init__(self) -> None:
        self._wait = BACKOFF_SECONDS

    def failed(self) -> float:
        """Seconds to wait before the next try."""
        wait, self._wait = self._wait, min(2 * self._wait, BACKOFF_MAX_SECONDS)
        return wait

    def succeeded(self) -> None:
        """The next failure begins with a short wait again."""
        self._wait = BACKOFF_SECONDS
