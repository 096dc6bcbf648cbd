"""Reads the simulator's spectator stream and keeps the car-state cache up to date."""

from __future__ import annotations

import socket
import time

from processes.connect import Backoff, connect
from processes.launch import Context
from robo import log
from robo.cache import Cache, Lost
from robo.driving.stream import StreamState
from robo.protocol.lines import LineDecoder
from robo.protocol.spectator import decode

RECEIVE_BYTES = 1 << 18


def main(context: Context) -> None:
    """Connect, read until the stream ends, connect again; for ever."""
    settings = context.config.simulator
    cache = Cache(context.run.redis_url, context.run.name)
    bells = [channel for name, channel in context.channels.items() if name.startswith("states:")]
    backoff = Backoff()
    context.ready()
    while not context.stopping:
        try:
            stream = connect(settings.connect_host, settings.spectator_port)
        except OSError as error:
            wait = backoff.failed()
            log.get().warning("no spectator stream", error=str(error), retry_in_s=wait)
            context.wait(timeout=wait)
            continue
        backoff.succeeded()
        log.get().info("spectator stream open")
        with stream:
            _follow(context, stream, cache, bells)


def _follow(context: Context, stream: socket.socket, cache: Cache, bells: list) -> None:
    """Keep the cache up to date until the stream ends or the process is to stop."""
    lines = LineDecoder()
    state = StreamState(session=time.time_ns())
    malformed = lost = 0
    while not context.stopping:
        if not context.wait(stream):
            continue
        try:
            data = stream.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            log.get().warning("spectator stream ended", malformed=malformed, ignored=state.ignored)
            return
        for line in lines.feed(data):
            message = decode(line)
            if message is None:
                malformed += 1
                log.get().warning("malformed spectator line dropped", so_far=malformed, line=line[:80])
            else:
                state.apply(message)
        if not state.changed:
            continue
        try:
            cache.put_cars({name: state.cars[name] for name in state.changed})
        except Lost as error:
            lost += 1
            if lost & (lost - 1) == 0:  # the 1st, 2nd, 4th, ...: a long outage must not fill the disk
                log.get().warning("car states not cached", error=str(error), so_far=lost)
            continue  # they stay in `changed`, so that the next write has all of them
        state.changed.clear()
        for bell in bells:
            bell.ring()
