"""Connections to the simulator: how to open one, and how long to wait before trying again."""

from __future__ import annotations

import contextlib
import os
import socket

CONNECT_SECONDS = 2.0
BACKOFF_SECONDS = 0.05
BACKOFF_MAX_SECONDS = 1.0
LASTING_SECONDS = 1.0
"""A connection that has lasted so long is none that a simulator ends as soon as it has it."""


def begin(host: str, port: int, attempt: int) -> socket.socket:
    """Begin to open a connection, without waiting: once it is writable, ``finish`` tells what came of it.

    ``attempt``: counts from 0, for a host with several addresses, which take turns. Raises OSError when there
    is no such host or no way to it.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[attempt % len(found)]
    connection = socket.socket(family, kind, protocol)
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with contextlib.suppress(BlockingIOError):
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def finish(connection: socket.socket) -> None:
    """Raise OSError when a connection that was begun did not come about."""
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    if connection.getsockname() == connection.getpeername():
        # As it can be at a port of this machine where nobody listens: the system chose the same for our end.
        raise OSError("connected to itself")


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
