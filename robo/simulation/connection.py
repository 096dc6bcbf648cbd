"""Non-blocking TCP: a listener, and a connection that receives lines and sends bytes."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable

from robo.errors import UserError
from robo.protocol.lines import LineDecoder

Address = tuple[str, int]

_READ_BYTES = 16384
_BACKLOG = 256
"""Connections that may wait to be accepted."""


class Connection:
    """One peer. Its selector holds its ``ready`` as data, to be called with the events.

    ``on_lines``, which the owner sets, is called with the lines that have arrived, maybe none, or with None
    when the peer has ended the connection. Output that the socket does not take at once is kept; output that
    fails is not reported, for the end of the connection will be.
    """

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on_lines: Callable[[list[bytes] | None], None] = lambda lines: None
        self._socket = sock
        self._selector = selector
        self._lines = LineDecoder()
        self._output = bytearray()
        self._open = True
        selector.register(sock, selectors.EVENT_READ, self.ready)

    @property
    def pending(self) -> int:
        """Bytes that the peer was slow to take and that are kept here."""
        return len(self._output)

    @property
    def peer_is_local(self) -> bool:
        """Whether the peer is on this machine; False when it is gone already."""
        try:
            host, *_ = self._socket.getpeername()
        except OSError:
            return False
        return host.startswith("127.")

    def take_overlong(self) -> int:
        """How many lines were dropped for their length since this was last asked."""
        count, self._lines.dropped = self._lines.dropped, 0
        return count

    def ready(self, events: int) -> None:
        """Do what the selector says can be done without waiting."""
        if self._open and events & selectors.EVENT_WRITE:
            self._flush()
        if self._open and events & selectors.EVENT_READ:
            self._receive()

    def send(self, data: bytes) -> None:
        """Send what the socket takes at once and keep the rest, behind what is kept already."""
        if self._output:
            self._output += data
            return
        sent = self._try_send(data)
        if sent < len(data):
            self._output += memoryview(data)[sent:]
            self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self.ready)

    def close(self) -> None:
        """End the connection; what is kept is lost. Closing twice is harmless."""
        if self._open:
            self._open = False
            self._output.clear()
            self._selector.unregister(self._socket)
            self._socket.close()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.on_lines(self._lines.feed(data) if data else None)

    def _flush(self) -> None:
        del self._output[: self._try_send(self._output)]
        if not self._output:
            self._selector.modify(self._socket, selectors.EVENT_READ, self.ready)

    def _try_send(self, data: bytes | bytearray) -> int:
        """How many of these bytes the socket took; all of them when there is nobody left to take any."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)


def listen(address: Address) -> socket.socket:
    """A non-blocking listening socket. Raises UserError when the address is taken, or not this machine's."""
    host, port = address
    try:
        listener = socket.create_server(address, backlog=_BACKLOG)  # sets SO_REUSEADDR
    except (OSError, OverflowError) as error:
        reason, *_ = (getattr(error, "strerror", None) or str(error)).split(" (")
        raise UserError(
            f"can't listen on {host}:{port}: {reason}; "
            "choose another address, or end the program that uses this one"
        ) from None
    listener.setblocking(False)
    return listener
