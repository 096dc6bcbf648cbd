"""Owns the car sockets of one group: logs in, reads frames, sends commands, reconnects.

Every ``action.repeat``-th frame asks for a decision: it goes to the frame processor, and its answer waits
for the explorer's command. The frames between are answered here, at once.
"""

from __future__ import annotations

import colorsys
import socket
import struct
import time

from processes.channels import Latest, Ring
from processes.connect import Backoff, connect
from processes.launch import Context
from processes.table import Car
from processes.trace import Stage, Trace
from robo import log
from robo.config import Config
from robo.driving import starts
from robo.protocol.car import NO_OP, FrameDecoder, command_line, is_raw, login_line, restart_line

COMMAND = struct.Struct("<fff")
"""Throttle 0..1, turn -1..1, brake 0..1; a start (``robo.driving.starts``) follows."""
FRAME_SECONDS = 1.0 / 60.0
"""How long a realtime simulator's frame may wait for its command before the next one would be missed."""
LOCKSTEP_PATIENCE_SECONDS = 1.0
"""The same where the simulator waits for us; longer than the pauses of a busy machine."""
DRIVERLESS_SECONDS = 1.0
"""A car without commands for so long is brought to rest: whoever drove it is gone."""
REST = command_line(throttle=0.0, turn=0.0)
RECEIVE_BYTES = 1 << 17


class CarConnection:
    """One car's socket and what is under way on it."""

    def __init__(self, car: Car, config: Config, frames: Ring, commands: Latest, trace: Trace) -> None:
        self.car = car
        self._config = config
        self._frames = frames
        self._commands = commands
        self._trace = trace
        settings = config.simulator
        self._patience = LOCKSTEP_PATIENCE_SECONDS if settings.lockstep else FRAME_SECONDS
        self._backoff = Backoff()
        self._socket: socket.socket | None = None
        self.retry_at = 0.0
        """When to try to connect (again), monotonic seconds; of no meaning while connected."""
        self.answer_by: float | None = None
        """When the frame that waits for its command is answered without one; None when none waits."""
        # In realtime the cars' decisions take turns; in lockstep, where a frame waits for the slowest car, it
        # is quicker to take them together.
        self._number = 0 if settings.lockstep else car.index % config.action.repeat
        self._answered = 0
        self._commanded_at = 0.0

    @property
    def connected(self) -> bool:
        """Whether there is a socket to wait for."""
        return self._socket is not None

    def fileno(self) -> int:
        """The socket's, for whoever waits for it."""
        return self._socket.fileno()

    def open(self, now: float) -> None:
        """Connect and log in, or say when to try again."""
        settings = self._config.simulator
        try:
            self._socket = connect(settings.connect_host, settings.car_port)
            self._socket.setblocking(False)
            team, width = self._config.cars.team, self._config.cars.image_width
            raw_every = self._config.action.repeat if settings.spare_frames else None
            self._send(login_line(self.car.name, team, _color(self.car.index), width, raw_every=raw_every))
        except OSError as error:
            self.close(now, str(error))
            return
        self._backoff.succeeded()
        self._decoder = FrameDecoder()
        self._commanded_at = now
        # No frame of this connection follows on one of the last: the explorer sees it by the gap.
        self._number += 2 * self._config.action.repeat
        self._answered = self._number
        log.get().info("car connected", car=self.car.name)

    def close(self, now: float, reason: str) -> None:
        """Forget the connection; ``retry_at`` says when to open it again."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self.answer_by = None
        wait = self._backoff.failed()
        self.retry_at = now + wait
        log.get().warning("car not connected", car=self.car.name, reason=reason, retry_in_s=wait)

    def receive(self, now: float) -> None:
        """Read what has arrived: hand a decision's frame on, answer any other."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(now, str(error))
            return
        if not data:
            self.close(now, "closed by the simulator")
            return
        for picture in self._decoder.feed(data):
            self._number += self._frames_since_last(picture)
            self._trace.note(Stage.RECEIVED, self.car.index, self._number, now)
            if self._number % self._config.action.repeat:
                self._send(NO_OP)
                self._trace.note(Stage.PASSED, self.car.index, self._number)
            else:
                self.answer_by = now + self._patience
                self._frames.put(self.car.index, self._number, now, picture)

    def _frames_since_last(self, picture: bytes) -> int:
        """How many frames the simulator made since the last picture: bare pixels say that it spares some."""
        settings, repeat = self._config.simulator, self._config.action.repeat
        if not settings.spare_frames or not is_raw(picture, self._config.cars.image_width):
            return 1
        if not settings.lockstep:
            self._patience = repeat * FRAME_SECONDS
        return repeat - self._number % repeat

    def answer(self, now: float) -> None:
        """Send the car's newest command, if it is new; late for its frame it still counts from now on."""
        command = self._commands.get(self.car.index)
        if command is None or not self._answered < command[0] <= self._number:
            return
        self._answered = command[0]
        if command[0] == self._number:
            self.answer_by = None
        self._commanded_at = now
        throttle, turn, brake = COMMAND.unpack_from(command[1])
        start = starts.unpack(command[1][COMMAND.size :])
        self._send((restart_line(start) if start else b"") + command_line(throttle, turn, brake or None))
        self._trace.note(Stage.COMMANDED, self.car.index, command[0])

    def give_up_waiting(self, now: float) -> None:
        """Answer without a command, so that frames go on; the car keeps its last one, but not for ever."""
        self.answer_by = None
        self._send(NO_OP if now - self._commanded_at < DRIVERLESS_SECONDS else REST)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)  # some tens of bytes, one frame in flight: they always fit
        except OSError:
            return  # the connection's end is seen, and handled, where it is read


def main(context: Context) -> None:
    """Keep every car of the group connected and answered, for ever."""
    frames: Ring = context.channels[f"frames{context.group}"]
    commands: Latest = context.channels[f"commands{context.group}"]
    cars = [
        CarConnection(car, context.config, frames, commands, context.trace)
        for car in context.run.cars
        if car.group == context.group
    ]
    context.ready()
    while not context.stopping:
        now = time.monotonic()
        for car in cars:
            if not car.connected and now >= car.retry_at:
                car.open(now)
        connected = [car for car in cars if car.connected]
        ready = context.wait(*connected, commands.bell, timeout=_next_event(cars, now))
        now = time.monotonic()
        if commands.bell in ready:
            commands.bell.clear()
            for car in connected:
                car.answer(now)
        for car in connected:
            if car in ready:
                car.receive(now)
            if car.answer_by is not None and now >= car.answer_by:
                car.give_up_waiting(now)


def _next_event(cars: list[CarConnection], now: float) -> float:
    """Seconds until the first car wants something without being woken."""
    events = [car.answer_by if car.connected else car.retry_at for car in cars]
    return min([max(0.0, event - now) for event in events if event is not None] + [0.5])


def _color(index: int) -> str:
    """A colour of the car's own: hues a golden angle apart never come close."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1.0, 0.8, 0.9)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"
