"""The embedded simulator's sockets: cars drive and spectators watch a world, all in one thread.

A car logs in with a line, then frames and command lines are request and response. A spectator gets messages
of ``robo.protocol.spectator``. Nothing that a peer sends, or fails to read, disturbs another peer.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np

from robo.protocol import spectator as wire
from robo.protocol.car import RESTART, Login, frame_message, parse_command, parse_login, parse_restart
from robo.simulation.clocks import Clock, Lockstep, Realtime
from robo.simulation.connection import Address, Connection, listen
from robo.simulation.counters import Counters
from robo.simulation.png import PngEncoder
from robo.simulation.records import RaceLog, write_results
from robo.simulation.session import Enter, FreePractice, Leave, Motors, Order, Place, Retire, Save, Session
from robo.simulation.spectators import Spectators
from robo.simulation.world import Bumped, Crashed, Event, LapCompleted, Returned, SegmentCrossed, World
from robo.simulation.worlds import Worlds

WAKE_SECONDS = 0.2
"""How long ``Server.run`` takes at most to see that it should stop."""
MAX_CONNECTIONS = 256
LOGIN_SECONDS = 10.0
"""How long a car's connection may stay without a login."""
PNG_LEVEL_LOCAL, PNG_LEVEL_REMOTE = 0, 1
"""zlib levels: 31 KB a frame in 15 us, or under 1 KB in 20 us, where loopback makes no difference of it."""


@dataclass(slots=True)
class _Car:
    """A car that has logged in."""

    connection: Connection
    login: Login
    info: wire.CarInfo
    encode: Callable[[np.ndarray], bytes]
    phase: int = 0
    """Its frames are those whose number and this add up to a multiple of ``login.every``."""
    ready: bool = True
    """Whether a line has come since the last frame was sent; the login is one."""
    braking: bool = False
    """Whether brake was set after throttle, which is then 0."""
    heeded: bool = True
    """Whether its commands are carried out."""


class Server:
    """Serves one world on two TCP ports. A context manager: leaving it closes every socket."""

    def __init__(
        self,
        world: World | Worlds,
        car_address: Address,
        spectator_address: Address,
        clock: Literal["lockstep", "realtime"] = "lockstep",
        answer_limit_s: float = 0.5,
        *,
        parameters: wire.RaceParameters | None = None,
        session: Session | None = None,
        race_log: Path | None = None,
        results_file: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen at both addresses; port 0 means any free one. ``parameters`` is what spectators get first.

        In several ``Worlds``, cars that ask for it are put elsewhere.

        ``car_address`` and ``spectator_address`` then tell where. ``session``: what the cars meet for, free
        practice unless given. Raises UserError when an address can't be listened at, or the log not written.
        """
        self.counters = Counters()
        self._world = world
        self._lockstep = clock == "lockstep"
        self._clock: Clock
        if self._lockstep:
            self._clock = Lockstep(answer_limit_s, self.counters)
        else:
            self._clock = Realtime(self.counters)
        self._monotonic = monotonic
        self._parameters = parameters or wire.RaceParameters(num_segments=30, timestamp=0.0)
        self._session = session or FreePractice(world.laps)
        self._results_file = results_file
        self._cars: dict[str, _Car] = {}
        """Those on track, in the order of the world's."""
        self._waiting: dict[str, _Car] = {}
        """Those that have logged in and are not on track."""
        self._spectators = Spectators(self.counters, self._greeting, self._obey, self._close)
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, float] = {}
        """Car connections without a login yet, the oldest first, and until when they may stay so."""
        with contextlib.ExitStack() as stack:
            cars = stack.enter_context(listen(car_address))
            spectators = stack.enter_context(listen(spectator_address))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._log = stack.enter_context(RaceLog(race_log, self.counters, monotonic)) if race_log else None
            self._resources = stack.pop_all()
        self._selector.register(cars, selectors.EVENT_READ, partial(self._accept, cars, self._greet_car))
        self._selector.register(
            spectators, selectors.EVENT_READ, partial(self._accept, spectators, self._spectators.greet)
        )
        self.car_address: Address = cars.getsockname()
        self.spectator_address: Address = spectators.getsockname()
        if self._log:
            self._log.write(self._greeting())
        self._follow(self._session.begin(world.time))

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
            self._drop_strangers()
            if self._wait() <= 0:
                self._step()
            if self._log:
                self._log.tend()

    # Frames

    def _wait(self) -> float:
        return self._clock.wait(self._monotonic(), len(self._cars) or self._session.waiting)

    def _handle_input(self, timeout: float) -> None:
        for key, events in self._selector.select(timeout):
            key.data(events)

    def _step(self) -> None:
        """One frame. Spectators are told first: whoever gets a picture can know the state that it shows."""
        events = self._world.step()
        self.counters.frames += 1
        told = list(self._news(events)) if self._is_watched else []
        told += self._carried_out(self._session.stepped(events, self._world.time))
        if self._cars and self._is_watched:
            told.append(self._game_status())
        self._publish(*told)
        sent, due = [], 0
        for name, car in self._cars.items():
            if (self._world.frame + car.phase) % car.login.every:
                continue
            due += 1
            # A car that answers but does not read gets no more: one frame is all that is kept for it.
            if car.ready and not car.connection.pending:
                self._send_frame(name, car)
                sent.append(name)
        self.counters.unanswered += due - len(sent)
        self._clock.stepped(self._monotonic(), sent, due=due > 0)

    def _send_frame(self, name: str, car: _Car) -> None:
        frame = self._world.render(name, car.login.image_width)
        car.ready = False
        car.connection.send(frame_message(car.encode(frame)))
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
        self._strangers.pop(connection, None)
        connection.close()

    # Cars

    def _greet_car(self, connection: Connection) -> None:
        connection.on_lines = partial(self._log_in, connection)
        self._strangers[connection] = self._monotonic() + LOGIN_SECONDS

    def _drop_strangers(self) -> None:
        """Close the connections that never said who they are: they would take the room of others."""
        while self._strangers:
            connection, until = next(iter(self._strangers.items()))
            if self._monotonic() < until:
                return
            self.counters.silent_connections += 1
            self._close(connection)

    def _log_in(self, connection: Connection, lines: list[bytes] | None) -> None:
        """Put a car on track if its first line is a login and its name is free, else close its connection."""
        if lines is None:
            self._close(connection)
            return
        self.counters.overlong_lines += connection.take_overlong()
        if not lines:
            return
        login = parse_login(lines[0])
        if login is None or login.name in self._cars or login.name in self._waiting:
            self.counters.refused_logins += 1
            self._close(connection)
            return
        self.counters.logins += 1
        del self._strangers[connection]
        now = self._world.time
        car = _Car(
            connection,
            login,
            wire.CarInfo(login.name, team_id=login.team, color=login.color, timestamp=now),
            _encoder(login, connection),
            # In lockstep all cars wait for the slowest, so they had better be asked together; in realtime
            # taking turns spares their drivers bursts of work.
            phase=0 if self._lockstep else self.counters.logins,
        )
        self._waiting[login.name] = car
        connection.on_lines = partial(self._hear, car)
        self._follow(self._session.joined(car.info, now))
        self._hear(car, lines[1:])

    def _hear(self, car: _Car, lines: list[bytes] | None) -> None:
        """Carry out the lines of a car on track; whatever they are, they buy it the next frame."""
        if lines is None:
            self._leave(car)
            return
        self.counters.overlong_lines += car.connection.take_overlong()
        if not lines:
            return
        car.ready = True
        name = car.login.name
        if name not in self._cars:
            return
        self._world.hear(name)
        self._clock.answered(name)
        for line in lines:
            self._carry_out(car, line)

    def _carry_out(self, car: _Car, line: bytes) -> None:
        command = parse_command(line)
        if command is None:
            self.counters.malformed_lines += 1
            return
        if not car.heeded:
            return
        name, value = car.login.name, command.value
        if command.action == RESTART:
            self._restart(car, line)
        elif command.action == "reverse":
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

    def _restart(self, car: _Car, line: bytes) -> None:
        """Put a car elsewhere; to spectators it leaves and comes back. In a single world do nothing."""
        if not isinstance(self._world, Worlds):
            return
        wanted, name = parse_restart(line), car.login.name
        if wanted is None or not self._world.restart(name, wanted):
            self.counters.malformed_lines += 1
            return
        now = self._world.time
        gone = wire.CarRemoved(car.info, timestamp=now)
        car.info = msgspec.structs.replace(car.info, track=wanted.track, timestamp=now)
        car.braking = False
        self._world.hear(name)
        self._publish(gone, wire.CarAdded(car.info, timestamp=now))

    def _leave(self, car: _Car) -> None:
        name = car.login.name
        self._close(car.connection)
        self._clock.answered(name)
        self._follow(self._session.left(name, self._world.time))
        del self._waiting[name]

    # What the session wants

    def _follow(self, orders: Iterable[Order]) -> None:
        """Carry out what the session wants, and tell the spectators."""
        self._publish(*self._carried_out(orders))

    def _carried_out(self, orders: Iterable[Order]) -> list[wire.Message]:
        """Do what these orders say; what is left of them is to be published."""
        messages: list[wire.Message] = []
        for order in orders:
            if isinstance(order, wire.Message):
                messages.append(order)
            else:
                self._do(order)
        return messages

    def _do(self, order: Order) -> None:
        world = self._world
        if isinstance(order, Enter):
            world.add_car(order.car)
            if order.distance is not None:
                world.place(order.car, order.distance)
            car = self._cars[order.car] = self._waiting.pop(order.car)
            car.heeded, car.braking = True, False
        elif isinstance(order, Leave):
            world.remove_car(order.car)
            self._clock.answered(order.car)
            self._waiting[order.car] = self._cars.pop(order.car)
        elif isinstance(order, Place):
            world.place(order.car, order.distance)
        elif isinstance(order, Retire):
            self._cars[order.car].heeded = False
            world.command(order.car, throttle=0.0)
        elif isinstance(order, Motors):
            world.motors = order.on
        elif isinstance(order, Save) and self._results_file:
            write_results(self._results_file, order.results, self.counters)

    # Spectators

    def _greeting(self) -> bytes:
        """What a new spectator gets first."""
        now = self._world.time
        messages = [
            msgspec.structs.replace(self._parameters, timestamp=now),
            *(wire.CarAdded(car.info, timestamp=now) for car in self._cars.values()),
        ]
        return b"".join(map(wire.encode, messages))

    def _obey(self, command: wire.SpectatorCommand) -> None:
        self._follow(self._session.command(command, self._world.time))

    @property
    def _is_watched(self) -> bool:
        """Whether anybody wants to know what happens."""
        return bool(self._spectators) or self._log is not None

    def _publish(self, *messages: wire.Message) -> None:
        """Send these to every spectator, and to the log, encoded once."""
        if not messages or not self._is_watched:
            return
        data = b"".join(map(wire.encode, messages))
        if self._log:
            self._log.write(data)
        self._spectators.send(data)

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
                yield self._session.lap(event.car, now)
            elif isinstance(event, Crashed):
                yield wire.CarCrashed(info, timestamp=now)
            elif isinstance(event, Bumped):
                yield wire.CarBumped(info, self._cars[event.other].info, timestamp=now)
            elif isinstance(event, Returned):
                yield wire.CarReturnedToTrack(info, timestamp=now)
        if crossings:
            yield from [self._session.standings(now)] * crossings

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


def _encoder(login: Login, connection: Connection) -> Callable[[np.ndarray], bytes]:
    """What makes a picture, uint8 [height, width, 3] BGR, into what this car wants to be sent."""
    if login.raw:
        return np.ndarray.tobytes
    width = login.image_width
    level = PNG_LEVEL_LOCAL if connection.peer_is_local else PNG_LEVEL_REMOTE
    return PngEncoder(width, width * 80 // 128, level).encode
