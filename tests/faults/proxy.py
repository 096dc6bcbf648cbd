"""Stands between a run and its simulator, and adds what no simulator should send."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

from robo.protocol.lines import LineDecoder

RECEIVE_BYTES = 1 << 16


def frames() -> Callable[[bytes], list[bytes]]:
    """What splits a car's stream from the simulator into whole messages, and gives them back as they came."""
    held = bytearray()

    def split(data: bytes) -> list[bytes]:
        held.extend(data)
        messages = []
        while len(held) >= 2 and len(held) >= (end := 2 + int.from_bytes(held[:2], "big")):
            messages.append(bytes(held[:end]))
            del held[:end]
        return messages

    return split


def lines() -> Callable[[bytes], list[bytes]]:
    """The same for a spectator's stream."""
    decoder = LineDecoder()
    return lambda data: [line + b"\n" for line in decoder.feed(data)]


class Proxy:
    """Hands on both ways between whoever connects and a port of the simulator; threads of this process.

    Before every message from the simulator comes one of ``added``, as long as there are any.
    """

    def __init__(
        self, port: int, splitter: Callable[[], Callable[[bytes], list[bytes]]], added: Iterator[bytes]
    ) -> None:
        self._target = port
        self._splitter = splitter
        self._added = added
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0
        """How many messages were added."""
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        for each in (self._listener, *self._sockets):
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(each)
            threading.Thread(target=self._forward, args=(client, server, None), daemon=True).start()
            split = self._splitter()
            threading.Thread(target=self._forward, args=(server, client, split), daemon=True).start()

    def _forward(
        self, source: socket.socket, sink: socket.socket, split: Callable[[bytes], list[bytes]] | None
    ) -> None:
        """Hand on until either end closes, and then close the other."""
        try:
            while data := source.recv(RECEIVE_BYTES):
                for message in [data] if split is None else split(data):
                    sink.sendall(message if split is None else self._next() + message)
        except OSError:
            pass
        for each in (source, sink):
            # Not closed: the thread of the other direction may still be in a call on it.
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _next(self) -> bytes:
        with self._lock:
            message = next(self._added, b"")
            self.sent += bool(message)
        return message
