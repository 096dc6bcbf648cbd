"""Handlers of those who watch: pages, single pictures and streams of them."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import WSCloseCode, web

from monitor.answers import SETTINGS, WATCHES
from monitor.hub import Hub
from monitor.refused import Refused
from monitor.viewer import CLOSE_SECONDS, HEARTBEAT_SECONDS, LONGEST_MESSAGE, Viewer, bound

BOUNDARY = "picture"
LOOK_SECONDS = 1.0
"""How often a stream without news finds out whether anybody is there still."""


async def page(request: web.Request) -> web.StreamResponse:
    """The page."""
    return _file(request, "index.html")


async def asset(request: web.Request) -> web.StreamResponse:
    """A file of the page."""
    return _file(request, request.match_info["file"])


async def watch(request: web.Request) -> web.StreamResponse:
    """Everything about a run, over a WebSocket."""
    watches, settings = request.app[WATCHES], request.app[SETTINGS]
    hub = await watches.hub(request.query.get("run"))
    socket = web.WebSocketResponse(
        timeout=CLOSE_SECONDS,
        heartbeat=HEARTBEAT_SECONDS,
        compress=False,
        max_msg_size=LONGEST_MESSAGE,
        writer_limit=0,  # each message waits until the one before has left this process
    )
    await socket.prepare(request)
    if watches.viewers >= settings.most_viewers:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many viewers")
    elif request.transport is not None:
        await Viewer(hub, socket, request.transport, watches.asker, settings).show()
    return socket


async def picture(request: web.Request) -> web.Response:
    """A car's newest picture."""
    hub, car = await _car(request)
    hub.touch(car)
    known = hub.known.pictures.get(car)
    if known is None or not known.jpeg:
        raise Refused(503, f"{car}: no picture yet")
    return web.Response(body=known.jpeg, content_type="image/jpeg")


class Stream:
    """Somebody who watches one car's pictures and nothing else."""

    def __init__(self, hub: Hub, car: str) -> None:
        self.cars = frozenset((car,))
        self._hub = hub
        self._car = car
        self._sent: tuple[float, int] | None = None
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is news, or the hub is closed."""
        self._news.set()

    async def next(self) -> bytes | None:
        """The next picture that was not yet sent, JPEG; None: there is none after a while."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
        self._news.clear()
        known = self._hub.known.pictures.get(self._car)
        if known is None or not known.jpeg or (known.at, known.number) == self._sent:
            return None
        self._sent = (known.at, known.number)
        return known.jpeg


async def stream(request: web.Request) -> web.StreamResponse:
    """A car's pictures, one after the other, for programs that know no WebSockets."""
    hub, car = await _car(request)
    watches, settings, transport = request.app[WATCHES], request.app[SETTINGS], request.transport
    if watches.viewers >= settings.most_viewers:
        raise Refused(503, "too many viewers")
    if transport is None:
        raise ConnectionResetError("gone already")
    response = web.StreamResponse()
    response.content_type = "multipart/x-mixed-replace"
    response.headers["Content-Type"] = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    response.force_close()
    writer = await response.prepare(request)
    bound(transport)
    viewer = Stream(hub, car)
    viewer.wake()
    hub.add(viewer)
    loop = asyncio.get_running_loop()
    try:
        while not hub.closed and not transport.is_closing():
            jpeg = await viewer.next()
            if jpeg is None or writer is None:
                continue
            give_up = loop.call_later(settings.stalled_seconds, transport.abort)
            try:
                await writer.write(_part(jpeg))
                await writer.drain()  # so that the next picture is the newest when it goes
            finally:
                give_up.cancel()
    finally:
        hub.remove(viewer)
        if transport.get_write_buffer_size():
            transport.abort()
    return response


def _part(jpeg: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return b"".join((head.encode(), jpeg, b"\r\n"))


def _file(request: web.Request, name: str) -> web.FileResponse:
    """One of the page's folder; whatever is not really in there, is not there. Raises HTTPNotFound."""
    folder = request.app[SETTINGS].page.resolve()
    try:
        path = (folder / name).resolve(strict=True)
        found = path.is_file() and path.is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):  # no such file, a name that can be none's, links in a circle
        found = False
    if not found:
        raise web.HTTPNotFound
    return web.FileResponse(path)


async def _car(request: web.Request) -> tuple[Hub, str]:
    """The run, and which of its cars is asked for. Raises Refused when it has no such car."""
    hub, car = await request.app[WATCHES].hub(request.query.get("run")), request.match_info["team"]
    if car not in hub.known.names():
        raise Refused(404, f"{hub.run} has no car {car[:64]}")
    return hub, car
