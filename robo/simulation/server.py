"""The embedded simulator's sockets: cars drive and spectators watch a world, all in one thread.

A car logs in with a line, then frames and command lines are request and response. A spectator gets messages
of ``robo.protocol.spectator``. Nothing that a peer sends, or fails to read, disturbs another peer.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import cv2
import msgspec

from robo.errors import UserError
from robo.protocol import spectator as wire
from robo.protocol.car import Login, frame_message, parse_command, parse_login
from robo.simulation.clocks import Clock, Lockstep, Realtime
from robo.simulation.connection import Connection
from robo.simulation.counters import Counters
from robo.simulation.png import PngEncoder
from robo.simulation.world import Bumped, Crashed, Event, LapCompleted, Returned, SegmentCrossed, World

Address = tuple[str, int]

WAKE_SECONDS = 0.2
"""How long ``Server.run`` takes at most to see that it should stop."""
SPECTATOR_BACKLOG = 4 << 20
"""Bytes that a slow spectator may fall behind before it is dropped."""
MAX_CONNECTIONS = 256
PNG_LEVEL_LOCAL, PNG_LEVEL_REMOTE = 0, 1
"""zlib levels: 31 KB a frame in 15 us, or under 1 KB in 20 us, where loopback makes no difference of it."""


@dataclass(slots=True)
class _Car:
    """A car on track."""

    connection: Connection
    login: Login
    info: wire.CarInfo
    encoder: PngEncoder
    ready: bool = True
    """Whether a line has come since the last frame was sent; the login is one."""
    braking: bool = False
    """Whether brake was set after throttle, which is then 0."""


class Server:
    """Serves one world on two TCP ports. A context manager: leaving it closes every socket."""

    def __init__(
        self,
        world: World,
        car_address: Address,
        spectator_address: Address,
        clock: Literal["lockstep", "realtime"] = "lockstep",
        answer_limit_s: float = 0.5,
        *,
        parameters: wire.RaceParameters | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen at both addresses; port 0 means any free one. ``parameters`` is what spectators get first.

        ``car_address`` and ``spectator_address`` then tell where. Raises UserError when an address can't be
        listened at.
        """
        self.counters = Counters()
        self._world = world
        self._clock: Clock
        if clock == "lockstep":
            self._clock = Lockstep(answer_limit_s, self.counters)
        else:
            self._clock = Realtime(self.counters)
        self._monotonic = monotonic
        self._parameters = parameters or wire.RaceParameters(num_segments=30, timestamp=0.0)
        self._cars: dict[str, _Car] = {}
        self._spectators: list[Connection] = []
        self._connections: set[Connection] = set()
        self._practice_started = False
        with contextlib.ExitStack() as stack:
            cars = stack.enter_context(_listen(car_address))
            spectators = stack.enter_context(_listen(spectator_address))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._resources = stack.pop_all()
        self._selector.register(cars, selectors.EVENT_READ, partial(self._accept, cars, self._greet_car))
        self._selector.register(
            spectators, selectors.EVENT_READ, partial(self._accept, spectators, self._greet_spectator)
        )
        self.car_address: Address = cars.getsockname()
        self.spectator_address: Address = spectators.getsockname()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every socket."""
        for connection in tuple(self._connections):
            self._close(connection)
        self._resources.close()

    def run(self, stop: Callable[[], bool]) -> None:
        """Serve until ``stop()`` is true, which is asked after every frame and at least every 0.2 s."""
        cv2.setNumThreads(1)  # frames are too small to share out
        while not stop():
            self._handle_input(min(self._wait(), WAKE_SECONDS))
            if self._wait() <= 0:
                self._step()

    # Frames

    def _wait(self) -> float:
        return self._clock.wait(self._monotonic(), len(self._cars))

    def _handle_input(self, timeout: float) -> None:
        for key, events in self._selector.select(timeout):
            key.data(events)

    def _step(self) -> None:
        """One frame. Spectators are told first: whoever gets a picture can know the state that it shows."""
        events = self._world.step()
        self.counters.frames += 1
        if self._cars and self._spectators:
            self._publish(*self._news(events), self._game_status())
        sent = []
        for name, car in self._cars.items():
            # A car that answers but does not read gets no more: one frame is all that is kept for it.
            if car.ready and not car.connection.pending:
                self._send_frame(name, car)
                sent.append(name)
        self._clock.stepped(self._monotonic(), sent)

    def _send_frame(self, name: str, car: _Car) -> None:
        frame = self._world.render(name, car.login.image_width)
        car.ready = False
        car.connection.send(frame_message(car.encoder.encode(frame)))
        self.counters.images += 1

    # Connections

    def _accept(self, listener: socket.socket, greet: Callable[[Connection], None], events: int) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return  # the peer has gone already
        if len(self._connections) >= MAX_CONNECTIONS:
            self.counters.refused_connections += 1
            sock.close()
            return
        connection = Connection(sock, self._selector)
        self._connections.add(connection)
        greet(connection)

    def _close(self, connection: Connection) -> None:
        self._connections.discard(connection)
        connection.close()

    # Cars

    def _greet_car(self, connection: Connection) -> None:
        connection.on_lines = partial(self._log_in, connection)

    def _log_in(self, connection: Connection, lines: list[bytes] | None) -> None:
        """Put a car on track if its first line is a login and its name is free, else close its connection."""
        if lines is None:
            self._close(connection)
            return
        self.counters.overlong_lines += connection.take_overlong()
        if not lines:
            return
        login = parse_login(lines[0])
        if login is None or login.name in self._cars:
            self.counters.refused_logins += 1
            self._close(connection)
            return
        self.counters.logins += 1
        width = login.image_width
        level = PNG_LEVEL_LOCAL if connection.peer_is_local else PNG_LEVEL_REMOTE
        now = self._world.time
        car = _Car(
            connection,
            login,
            wire.CarInfo(login.name, team_id=login.team, color=login.color, timestamp=now),
            PngEncoder(width, width * 80 // 128, level),
        )
        self._world.add_car(login.name)
        self._cars[login.name] = car
        connection.on_lines = partial(self._hear, car)
        if not self._practice_started:
            self._practice_started = True
            self._publish(wire.FreePracticeStart(timestamp=now))
        self._publish(
            wire.CarConnected(car.info, timestamp=now),
            wire.CarAdded(car.info, timestamp=now),
        )
        self._hear(car, lines[1:])

    def _hear(self, car: _Car, lines: list[bytes] | None) -> None:
        """Carry out the lines of a car on track; whatever they are, they buy it the next frame."""
        if lines is None:
            self._leave(car)
            return
        self.counters.overlong_lines += car.connection.take_overlong()
        if not lines:
            return
        name = car.login.name
        self._world.hear(name)
        car.ready = True
        self._clock.answered(name)
        for line in lines:
            self._carry_out(car, line)

    def _carry_out(self, car: _Car, line: bytes) -> None:
        command = parse_command(line)
        if command is None:
            self.counters.malformed_lines += 1
            return
        name, value = car.login.name, command.value
        if command.action == "reverse":
            # Zeroes the throttle alone. Behind a brake it is 0 already, and setting it would end the braking.
            if not car.braking:
                self._world.command(name, throttle=0.0)
        elif value is None:
            return
        elif command.action == "forward":
            car.braking = False
            self._world.command(name, throttle=value)
        elif command.action == "turn":
            self._world.command(name, turn=value)
        elif command.action == "brake":
            car.braking = True
            self._world.command(name, brake=value)

    def _leave(self, car: _Car) -> None:
        name = car.login.name
        self._close(car.connection)
        self._clock.answered(name)
        self._world.remove_car(name)
        del self._cars[name]
        now = self._world.time
        self._publish(
            wire.CarRemoved(car.info, timestamp=now),
            wire.CarDisconnected(car.info, timestamp=now),
        )

    # Spectators

    def _greet_spectator(self, connection: Connection) -> None:
        connection.on_lines = partial(self._obey, connection)
        now = self._world.time
        messages = [
            msgspec.structs.replace(self._parameters, timestamp=now),
            *(wire.CarAdded(car.info, timestamp=now) for car in self._cars.values()),
        ]
        connection.send(b"".join(map(wire.encode, messages)))
        self._spectators.append(connection)

    def _obey(self, connection: Connection, lines: list[bytes] | None) -> None:
        """Take a spectator's commands, which free practice has no use for; close on anything else."""
        if lines is None:
            self._dismiss(connection)
        elif connection.take_overlong() or not all(map(wire.decode_command, lines)):
            self.counters.unruly_spectators += 1
            self._dismiss(connection)

    def _dismiss(self, connection: Connection) -> None:
        self._spectators.remove(connection)
        self._close(connection)

    def _publish(self, *messages: wire.Message) -> None:
        """Send these to every spectator, encoded once; dismiss those that have fallen too far behind."""
        if not self._spectators:
            return
        data = b"".join(map(wire.encode, messages))
        for spectator in self._spectators:
            spectator.send(data)
        for spectator in [s for s in self._spectators if s.pending > SPECTATOR_BACKLOG]:
            self.counters.slow_spectators += 1
            self._dismiss(spectator)

    # What spectators are told

    def _news(self, events: Sequence[Event]) -> Iterator[wire.Message]:
        """The messages for a frame's events; standings come last, once for each segment crossed in order."""
        now = self._world.time
        crossings = 0
        for event in events:
            info = self._cars[event.car].info
            if isinstance(event, SegmentCrossed):
                crossings += event.in_order
            elif isinstance(event, LapCompleted):
                yield self._laps(event.car, now)
            elif isinstance(event, Crashed):
                yield wire.CarCrashed(info, timestamp=now)
            elif isinstance(event, Bumped):
                yield wire.CarBumped(info, self._cars[event.other].info, timestamp=now)
            elif isinstance(event, Returned):
                yield wire.CarReturnedToTrack(info, timestamp=now)
        if crossings:
            laps = [self._laps(name, now) for name in self._cars]
            laps.sort(key=lambda lap: lap.best_lap or math.inf)
            yield from [wire.CurrentStandings(laps, qualifying=True, timestamp=now)] * crossings

    def _laps(self, name: str, now: float) -> wire.LapCompleted:
        laps = self._world.laps(name)
        return wire.LapCompleted(
            self._cars[name].info,
            laps.lap_count,
            _or_zero(laps.last_lap),
            _or_zero(laps.best_lap),
            _or_zero(laps.total_time),
            timestamp=now,
        )

    def _game_status(self) -> wire.GameStatus:
        return wire.GameStatus(
            [self._car_status(name) for name in self._cars],
            timestamp=self._world.time,
        )

    def _car_status(self, name: str) -> wire.CarStatus:
        status = self._world.status(name)
        return wire.CarStatus(
            name,
            wire.Vec3(*status.position),
            wire.Vec3(*status.velocity),
            wire.Quaternion(*status.rotation),
            status.track_angle,
            status.track_segment,
        )


def _or_zero(seconds: float) -> float:
    """On the wire, a time that is not known yet is 0."""
    return seconds if math.isfinite(seconds) else 0.0


def _listen(address: Address) -> socket.socket:
    """A non-blocking listening socket. Raises UserError when the address is taken, or not this machine's."""
    host, port = address
    try:
        listener = socket.create_server(address, backlog=MAX_CONNECTIONS)  # sets SO_REUSEADDR
    except (OSError, OverflowError) as error:
        reason, *_ = (getattr(error, "strerror", None) or str(error)).split(" (")
        raise UserError(
            f"can't listen on {host}:{port}: {reason}; "
            "choose another address, or end the program that uses this one"
        ) from None
    listener.setblocking(False)
    return listener
