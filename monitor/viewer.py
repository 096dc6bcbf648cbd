"""One page that watches a run, over a WebSocket: what it is sent, and what it says.

A viewer that takes what it is sent too slowly gets fewer messages, each the newest when it is its turn:
nothing waits for it but what is on its way through the kernel, which is kept short.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from monitor.asking import Asker
from monitor.control import matches, refusal
from monitor.hands import Hands
from monitor.hub import TOPICS, Hub, Place
from monitor.messages import Control, Hello, from_viewer
from monitor.settings import Settings
from robo import log
from robo.errors import UserError

HEARTBEAT_SECONDS = 20.0
LONGEST_MESSAGE = 4096
"""Bytes, of what a page sends."""
MOST_MESSAGES = 200
"""A page may send in a second."""
CLOSE_SECONDS = 0.3
UNSENT_BYTES = 64 * 1024
"""Of a connection, in the kernel; what is older than what it holds is never sent."""


class Viewer:
    """A page. ``socket`` is one that is open, over ``transport``."""

    def __init__(
        self,
        hub: Hub,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        asker: Asker,
        settings: Settings,
    ) -> None:
        self.cars: frozenset[str] = frozenset()
        self.unlocked = settings.token is None
        """Whether it may drive cars by hand, where anybody may."""
        self._hub = hub
        self._socket = socket
        self._transport = transport
        self._hands = Hands(hub, asker, self._refusal, self.wake)
        self._settings = settings
        self._news = asyncio.Event()
        self._sent = dict.fromkeys(TOPICS, 0)
        self._points: Place | None = None
        self._pictures: dict[str, tuple[float, int]] = {}
        self._second = 0
        self._messages = 0

    def wake(self) -> None:
        """There is news, or the hub is closed."""
        self._news.set()

    async def show(self) -> None:
        """Send all that is new, until the page leaves or the run is watched no more."""
        bound(self._transport)
        sending = asyncio.create_task(self._send_all())
        self._hub.add(self)
        try:
            await self._listen()
        finally:
            self._hub.remove(self)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            await self._hands.close()
            if self._transport.get_write_buffer_size():
                self._transport.abort()  # or it would wait for ever for a page that reads nothing

    async def _listen(self) -> None:
        async for message in self._socket:
            try:
                if message.type is not WSMsgType.TEXT:
                    raise UserError("not a text message")
                self._count()
                self._heed(message.data)
            except UserError as error:
                await self._close(WSCloseCode.POLICY_VIOLATION, str(error))

    def _count(self) -> None:
        """Raises UserError when the page says too much."""
        second = int(time.monotonic())
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        if self._messages > MOST_MESSAGES:
            raise UserError("too many messages")

    def _heed(self, text: str) -> None:
        """Do as the page says. Raises UserError when that makes no sense."""
        message = from_viewer(text)
        if message.watch is not msgspec.UNSET:
            self._watch(frozenset(message.watch))
        elif message.token is not msgspec.UNSET:
            self._unlock(message.token)
        elif message.hand is not msgspec.UNSET:
            self._hands.take(message.hand)

    def _watch(self, cars: frozenset[str]) -> None:
        if cars != self.cars:  # or a page that says the same again and again would cost all others something
            self.cars = cars
            self._hub.rewatch()
            self.wake()

    def _unlock(self, given: str) -> None:
        """Raises UserError when it is not the token, which ends the connection: one guess each."""
        token = self._settings.token
        if token is not None and not matches(token, given):
            raise UserError("not the token")
        self.unlocked = True

    def _refusal(self) -> str:
        """Why it may not drive by hand; empty: it may."""
        if why := refusal(self._settings, self._hub):
            return why
        return "" if self.unlocked else "the token is needed for this"

    async def _send_all(self) -> None:
        try:
            control = Control(self._settings.control, bool(self._settings.token))
            await self._send(msgspec.json.encode(Hello(self._hub.run, control)), WSMsgType.TEXT)
            self.wake()
            while not self._hub.closed:
                await self._news.wait()
                self._news.clear()
                await self._send_news()
            await self._close(WSCloseCode.GOING_AWAY, "watched no more")
        except ConnectionError:
            return  # the page has left, which its listener hears too
        except Exception:
            log.get().exception("a page could not be sent what is new", run=self._hub.run)
            await self._close(WSCloseCode.INTERNAL_ERROR, "internal error")

    async def _send_news(self) -> None:
        """What is newer than what was sent, each built when it can go."""
        hub = self._hub
        await self._send_pictures()
        for topic in TOPICS:
            if (version := hub.version(topic)) > self._sent[topic]:
                self._sent[topic] = version
                await self._send(hub.text(topic), WSMsgType.TEXT)
        if (place := hub.curves.place) != self._points:
            text, self._points = hub.curves_text(self._points), place
            await self._send(text, WSMsgType.TEXT)
        for answer in self._hands.answers():
            await self._send(msgspec.json.encode(answer), WSMsgType.TEXT)

    async def _send_pictures(self) -> None:
        new = []
        pictures, sent = self._hub.known.pictures, self._pictures
        for car in self.cars:
            picture = pictures.get(car)
            if picture is not None and picture.packed and sent.get(car) != (picture.at, picture.number):
                sent[car] = (picture.at, picture.number)
                new.append(picture.packed)
        if new:
            await self._send(b"".join(new), WSMsgType.BINARY)

    async def _send(self, data: bytes, kind: WSMsgType) -> None:
        """Raises ConnectionError when the page is gone, or has read nothing for too long."""
        give_up = asyncio.get_running_loop().call_later(self._settings.stalled_seconds, self._transport.abort)
        try:
            await self._socket.send_frame(data, kind)
        finally:
            give_up.cancel()

    async def _close(self, code: WSCloseCode, why: str) -> None:
        """Close the connection, in a moment even where the page does not answer."""
        reason = why.encode()[:120].decode(errors="ignore").encode()
        with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
            await asyncio.wait_for(self._socket.close(code=code, message=reason), CLOSE_SECONDS)


def bound(transport: asyncio.Transport) -> None:
    """Have little wait for the other end of a connection: nothing in this process, little in the kernel."""
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
