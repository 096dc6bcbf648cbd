"""Reads the simulator's spectator stream: every car's state goes to who drives it, and to the cache.

Drivers get each state at once through shared memory, as their decisions wait for it; the cache, which is for
whoever watches, gets the newest now and then.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Collection, Mapping, Sequence

from processes import connect
from processes.channels import Latest
from processes.connect import CONNECT_SECONDS, LASTING_SECONDS, Backoff
from processes.launch import BEAT_SECONDS, Context
from processes.publisher import Publisher
from processes.table import Car
from processes.vitals import Count
from robo import log
from robo.config import Simulator
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
    """Has the newest states written to the cache, now and then."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._changed: set[str] = set()
        self._shown: set[str] = set()
        self._next = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until something has to be written."""
        return max(0.0, self._next - now) if self._changed else BEAT_SECONDS

    def put(self, states: Mapping[str, CarState], changed: Collection[str], now: float) -> None:
        """Note what has changed, and write all of it when it is time."""
        self._changed.update(changed)
        if not self._changed or now < self._next:
            return
        self._next = now + CACHE_SECONDS
        self._publisher.put_cars({name: states[name] for name in self._changed if name in states})
        self._publisher.remove_cars(self._shown - states.keys())
        self._shown = set(states)
        self._changed.clear()


def main(context: Context) -> None:
    """Connect, read until the stream ends, connect again; for ever."""
    settings = context.config.simulator
    publisher = Publisher(context)
    show = Show(publisher)
    boards = {
        name.removeprefix("states:"): channel
        for name, channel in context.channels.items()
        if name.startswith("states:")
    }
    drivers = Boards(context.run.cars, boards)
    backoff = Backoff()
    context.ready()
    for attempt in itertools.count():
        if context.stopping:
            break
        try:
            stream = _connected(context, settings, attempt)
        except OSError as error:
            why = error.strerror or str(error)
        else:
            log.get().info("spectator stream open")
            with stream:
                why = _follow(context, stream, drivers, show, backoff)
            context.count(Count.CONNECTIONS, 1 if why else 0)
        if why:
            context.complain("spectator stream", f"no spectator stream: {why}")
            context.wait(timeout=backoff.failed())
    publisher.close()


def _connected(context: Context, settings: Simulator, attempt: int) -> socket.socket:
    """A connection to the stream. Raises OSError when there is none in time, or the process is to stop."""
    stream = connect.begin(settings.connect_host, settings.spectator_port, attempt)
    try:
        give_up = time.monotonic() + CONNECT_SECONDS
        while not context.wait(writable=[stream]):
            if context.stopping or time.monotonic() > give_up:
                raise OSError(f"silent for {CONNECT_SECONDS:g} s")
        connect.finish(stream)
    except OSError:
        stream.close()
        raise
    return stream


def _follow(context: Context, stream: socket.socket, drivers: Boards, show: Show, backoff: Backoff) -> str:
    """Hand on what the stream tells until it ends, which is told in words, or the process is to stop."""
    limit = context.config.simulator.silence_limit_s
    lines, heard = LineDecoder(), False
    state = StreamState(session=time.time_ns(), own=[car.name for car in context.run.cars])
    began = heard_at = time.monotonic()
    overlong = 0
    while not context.stopping:
        if context.wait(stream, timeout=show.due_in(time.monotonic())):
            heard_at = time.monotonic()
            try:
                data = stream.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                return error.strerror or str(error)
            if not data:
                return "closed by the simulator"
            heard = True
            if heard_at - began > LASTING_SECONDS:
                backoff.succeeded()
            context.complain("spectator stream", "")
            ignored = state.ignored
            for line in lines.feed(data):
                message = decode(line)
                if message is None:
                    context.count(Count.MESSAGES, event="spectator line dropped", line=repr(line[:80]))
                else:
                    state.apply(message)
            if dropped := state.ignored - ignored + lines.dropped - overlong:
                context.count(Count.MESSAGES, dropped, event="spectator messages dropped")
                overlong = lines.dropped
            drivers.put(state.cars, state.changed)
        elif limit and time.monotonic() - heard_at > limit and (state.cars or not heard):
            # While no car is on track, there is nothing to tell.
            return f"silent for {limit:g} s"
        show.put(state.cars, state.changed, time.monotonic())
        state.changed.clear()
    return ""
