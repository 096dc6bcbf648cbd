"""Everyone who watches: one stream for all, and their commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from robo.protocol import spectator as wire
from robo.simulation.connection import Connection
from robo.simulation.counters import Counters

BACKLOG = 4 << 20
"""Bytes that a slow spectator may fall behind before it is dropped."""


class Spectators:
    """The spectators' connections. True while there are any."""

    def __init__(
        self,
        counters: Counters,
        greeting: Callable[[], bytes],
        obey: Callable[[wire.SpectatorCommand], None],
        close: Callable[[Connection], None],
    ) -> None:
        """``greeting`` makes what a new one gets first; ``close`` ends a connection."""
        self._counters = counters
        self._greeting = greeting
        self._command = obey
        self._close = close
        self._connections: dict[Connection, None] = {}

    def __bool__(self) -> bool:
        return bool(self._connections)

    @property
    def furthest_behind(self) -> int:
        """Bytes that the slowest spectator has still to take."""
        return max((connection.pending for connection in self._connections), default=0)

    def greet(self, connection: Connection) -> None:
        """Take in a new spectator."""
        connection.on_lines = partial(self._obey, connection)
        connection.send(self._greeting())
        self._connections[connection] = None

    def send(self, data: bytes) -> None:
        """Send lines to everyone; dismiss those that have fallen too far behind."""
        for connection in self._connections:
            connection.send(data)
        self.dismiss_slower_than(BACKLOG)

    def dismiss_slower_than(self, backlog: int) -> None:
        """End the connections of those that have more than so many bytes to take."""
        for connection in [c for c in self._connections if c.pending > backlog]:
            self._counters.slow_spectators += 1
            self._dismiss(connection)

    def _obey(self, connection: Connection, lines: list[bytes] | None) -> None:
        """Pass on a spectator's commands; end its connection on anything else."""
        if lines is None:
            self._dismiss(connection)
            return
        commands = [wire.decode_command(line) for line in lines]
        if connection.take_overlong() or None in commands:
            self._counters.unruly_spectators += 1
            self._dismiss(connection)
            return
        for command in commands:
            self._command(command)

    def _dismiss(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._close(connection)
