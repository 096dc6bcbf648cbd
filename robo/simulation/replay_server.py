"""Sockets around a race log that is played: any number of spectators, one stream."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable

from robo.simulation.connection import Address, Connection, listen
from robo.simulation.counters import Counters
from robo.simulation.replay import Player
from robo.simulation.spectators import Spectators

WAKE_SECONDS = 0.2
"""How long ``run`` takes at most to see that it should stop."""
BATCH = 1 << 16
"""Bytes sent at a time when many lines are due."""
HOLD = 1 << 20
"""Bytes that a spectator may be behind before the others wait for it ..."""
PATIENCE = 2.0
"""... while it takes some in so many seconds: at high speed nobody keeps up with the log."""


class ReplayServer:
    """Streams a log. A context manager: leaving it closes every socket.

    The log begins with the first spectator. At its end everyone gets what is still on its way.
    """

    def __init__(
        self, player: Player, address: Address, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Listen; port 0 means any free one, which ``address`` then tells. UserError when that can't be."""
        self.counters = Counters()
        self._player = player
        self._monotonic = monotonic
        self._started = False
        self._behind = 0
        """Bytes that the slowest spectator had still to take when that last became less; 0: nobody waits."""
        self._behind_since = 0.0
        self._connections: set[Connection] = set()
        # Commands are taken and change nothing: what is played has happened.
        self._spectators = Spectators(
            self.counters, player.scene.greeting, lambda command: None, self._close_connection
        )
        with contextlib.ExitStack() as stack:
            self._listener: socket.socket = stack.enter_context(listen(address))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._resources = stack.pop_all()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self.address: Address = self._listener.getsockname()

    def __enter__(self) -> ReplayServer:
        return self

    def __exit__(self, *exception: object) -> None:
        for connection in tuple(self._connections):
            self._close_connection(connection)
        self._resources.close()

    def run(self, stop: Callable[[], bool]) -> None:
        """Play until the log is at its end, or ``stop()`` is true, which is asked at least every 0.2 s."""
        while not stop():
            now = self._monotonic()
            if self._is_held(now):
                self._handle_input(WAKE_SECONDS)
                continue
            if self._player.finished:
                return
            self._handle_input(min(self._player.wait(now), WAKE_SECONDS) if self._started else WAKE_SECONDS)
            if self._started and (lines := self._player.take(self._monotonic(), BATCH)):
                self._spectators.send(lines)

    def _is_held(self, now: float) -> bool:
        """Whether to wait for a spectator that is behind; one that takes nothing is dropped."""
        allowed = 0 if self._player.finished else HOLD
        behind = self._spectators.furthest_behind
        if behind <= allowed:
            self._behind = 0
            return False
        if not 0 < self._behind <= behind:
            self._behind, self._behind_since = behind, now
        elif now - self._behind_since > PATIENCE:
            self._spectators.dismiss_slower_than(allowed)
        return True

    def _handle_input(self, timeout: float) -> None:
        for key, events in self._selector.select(timeout):
            key.data(events)

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # the peer has gone already
        connection = Connection(sock, self._selector)
        self._connections.add(connection)
        self._spectators.greet(connection)
        if not self._started:
            self._started = True
            self._player.start(self._monotonic())

    def _close_connection(self, connection: Connection) -> None:
        self._connections.discard(connection)
        connection.close()
