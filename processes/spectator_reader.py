"""Reads the simulator's spectator stream: every car's state goes to who drives it, and to the cache.

Drivers get each state at once through shared memory, as their decisions wait for it; the cache, which is for
whoever watches, gets the newest now and then.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Mapping, Sequence

from processes.channels import Latest
from processes.connect import Backoff, connect
from processes.launch import BEAT_SECONDS, Context
from processes.table import Car
from robo import log
from robo.cache import Cache, Lost
from robo.driving.state import CarState, pack
from robo.driving.stream import StreamState
from robo.protocol.lines import LineDecoder
from robo.protocol.spectator import decode

RECEIVE_BYTES = 1 << 18
CACHE_SECONDS = 0.05


class Boards:
    """The drivers' shared memory, a slot a car."""

    def __init__(self, cars: Sequence[Car], boards: Mapping[str, Latest]) -> None:
        """``boards``: by driver."""
        self._places = {car.name: (boards[car.driver], car.index) for car in cars}

    def put(self, states: Mapping[str, CarState], names: Collection[str]) -> None:
        """Write the states of these cars, those of others are nobody's; wake each driver once."""
        bells = set()
        for name in names:
            if name in self._places:
                board, slot = self._places[name]
                board.put(slot, 0, pack(states[name]), ring=False)
                bells.add(board.bell)
        for bell in bells:
            bell.ring()


class Show:
    """Writes the newest states to the cache, now and then."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._changed: set[str] = set()
        self._next = 0.0
        self._lost = 0

    def due_in(self, now: float) -> float:
        """Seconds until something has to be written."""
        return max(0.0, self._next - now) if self._changed else BEAT_SECONDS

    def put(self, states: Mapping[str, CarState], changed: Collection[str], now: float) -> None:
        """Note what has changed, and write all of it when it is time."""
        self._changed.update(changed)
        if not self._changed or now < self._next:
            return
        self._next = now + CACHE_SECONDS
        try:
            self._cache.put_cars({name: states[name] for name in self._changed if name in states})
        except Lost as error:
            self._lost += 1
            if self._lost & (self._lost - 1) == 0:  # the 1st, 2nd, 4th, ...: an outage must not fill the disk
                log.get().warning("car states not cached", error=str(error), so_far=self._lost)
            return  # they stay noted, so that the next write has all of them
        self._changed.clear()


def main(context: Context) -> None:
    """Connect, read until the stream ends, connect again; for ever."""
    settings = context.config.simulator
    show = Show(Cache(context.run.redis_url, context.run.name))
    boards = {
        name.removeprefix("states:"): channel
        for name, channel in context.channels.items()
        if name.startswith("states:")
    }
    drivers = Boards(context.run.cars, boards)
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
            _follow(context, stream, drivers, show)


def _follow(context: Context, stream: socket.socket, drivers: Boards, show: Show) -> None:
    """Hand on what the stream tells until it ends or the process is to stop."""
    lines = LineDecoder()
    state = StreamState(session=time.time_ns())
    malformed = 0
    while not context.stopping:
        if context.wait(stream, timeout=show.due_in(time.monotonic())):
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
            drivers.put(state.cars, state.changed)
        show.put(state.cars, state.changed, time.monotonic())
        state.changed.clear()
