"""Owns the car sockets of one group: logs in, reads frames, sends commands, reconnects.

Every ``action.repeat``-th frame asks for a decision: it goes to the frame processor, and its answer waits
for the explorer's command. The frames between are answered here, at once.
"""

from __future__ import annotations

import colorsys
import math
import socket
import struct
import time

from processes import connect
from processes.channels import Latest, Ring
from processes.connect import CONNECT_SECONDS, LASTING_SECONDS, Backoff
from processes.launch import BEAT_SECONDS, Context
from processes.table import Car
from processes.trace import Stage
from processes.vitals import Count
from robo import log
from robo.driving import starts
from robo.protocol.car import NO_OP, FrameDecoder, command_line, is_raw, login_line, raw_size, restart_line

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
    """One car's socket and what is under way on it. Times are monotonic seconds."""

    def __init__(self, car: Car, context: Context, frames: Ring, commands: Latest) -> None:
        self.car = car
        self._context = context
        self._config = context.config
        self._frames = frames
        self._commands = commands
        settings = self._config.simulator
        self._patience = LOCKSTEP_PATIENCE_SECONDS if settings.lockstep else FRAME_SECONDS
        self._backoff = Backoff()
        self._attempts = 0
        self._socket: socket.socket | None = None
        self.connecting = False
        """Whether the socket waits for the simulator's host to answer."""
        self._retry_at = 0.0
        """When to try to connect (again); of no meaning while there is a socket."""
        self._silent_at = math.inf
        """When the connection is given up unless something comes."""
        self.trouble = ""
        """Why there is no connection, or was none until the next frame comes."""
        self.answer_by: float | None = None
        """When the frame that waits for its command is answered without one; None when none waits."""
        # In realtime the cars' decisions take turns; in lockstep, where a frame waits for the slowest car, it
        # is quicker to take them together.
        self._number = 0 if settings.lockstep else car.index % self._config.action.repeat
        self._answered = 0
        self._opened_at = self._commanded_at = 0.0

    @property
    def connected(self) -> bool:
        """Whether the car is logged in."""
        return self._socket is not None and not self.connecting

    @property
    def next_event(self) -> float:
        """When the car wants something without being woken."""
        if self._socket is None:
            return self._retry_at
        return self._silent_at if self.answer_by is None else min(self.answer_by, self._silent_at)

    def fileno(self) -> int:
        """The socket's, for whoever waits for it."""
        return self._socket.fileno()

    def attend(self, now: float) -> None:
        """Do what the time asks for: connect, answer a frame that waited too long, give up a silent peer."""
        if self._socket is None:
            if now >= self._retry_at:
                self._open(now)
        elif now >= self._silent_at:
            limit = CONNECT_SECONDS if self.connecting else self._config.simulator.silence_limit_s
            self.close(now, f"silent for {limit:g} s")
        elif self.answer_by is not None and now >= self.answer_by:
            self._give_up_waiting(now)

    def _open(self, now: float) -> None:
        """Begin to connect, or say when to try again."""
        settings = self._config.simulator
        self._attempts += 1
        try:
            self._socket = connect.begin(settings.connect_host, settings.car_port, self._attempts - 1)
        except OSError as error:
            self.close(now, error.strerror or str(error))
            return
        self.connecting = True
        self._silent_at = now + CONNECT_SECONDS

    def log_in(self, now: float) -> None:
        """The host has answered: log in, if it takes the connection."""
        settings = self._config.simulator
        try:
            connect.finish(self._socket)
        except OSError as error:
            self.close(now, error.strerror or str(error))
            return
        self.connecting = False
        team, width = self._config.cars.team, self._config.cars.image_width
        raw_every = self._config.action.repeat if settings.spare_frames else None
        self._send(login_line(self.car.name, team, _color(self.car.index), width, raw_every=raw_every))
        self._decoder = FrameDecoder(raw_size(width) if settings.spare_frames else None)
        self._opened_at = self._commanded_at = now
        self._heard(now)
        # No frame of this connection follows on one of the last: the explorer sees it by the gap.
        self._number += 2 * self._config.action.repeat
        self._answered = self._number
        log.get().info("car connected", car=self.car.name)

    def close(self, now: float, reason: str) -> None:
        """Forget the connection, and try again after a while."""
        if self._socket is not None:
            self._socket.close()
        if self.connected:
            self._context.count(Count.CONNECTIONS)
        self._socket, self.connecting = None, False
        self.answer_by = None
        self._retry_at = now + self._backoff.failed()
        if reason != self.trouble:  # an outage of hours is no reason to fill the disk
            log.get().info("car not connected", car=self.car.name, reason=reason)
        self.trouble = reason

    def _heard(self, now: float) -> None:
        self._silent_at = now + (self._config.simulator.silence_limit_s or math.inf)

    def receive(self, now: float) -> None:
        """Read what has arrived: hand a decision's frame on, answer any other."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(now, error.strerror or str(error))
            return
        if not data:
            self.close(now, "closed by the simulator")
            return
        bad = self._decoder.bad
        pictures = self._decoder.feed(data)
        if self._decoder.bad > bad:
            self._drop(now, self._decoder.bad - bad)
            if self._socket is None:
                return
        if pictures:
            self._heard(now)
            if now - self._opened_at > LASTING_SECONDS:
                self._backoff.succeeded()
            self.trouble = ""
        for picture in pictures:
            self._number += self._frames_since_last(picture)
            self._context.trace.note(Stage.RECEIVED, self.car.index, self._number, now)
            if self._number % self._config.action.repeat:
                self._send(NO_OP)
                self._context.trace.note(Stage.PASSED, self.car.index, self._number)
            else:
                self.answer_by = now + self._patience
                self._frames.put(self.car.index, self._number, now, picture)

    def _drop(self, now: float, bad: int) -> None:
        """Something came that is no picture: say so to whoever counts frames, and ask for the next one."""
        self._context.count(Count.MESSAGES, bad, event="no picture, dropped", car=self.car.name)
        self._number += self._config.action.repeat  # a gap: no step is made across it
        if self._decoder.lost_sync:
            self.close(now, "no picture where one should be")
        else:
            self._send(NO_OP)

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
        self._context.trace.note(Stage.COMMANDED, self.car.index, command[0])

    def _give_up_waiting(self, now: float) -> None:
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
        CarConnection(car, context, frames, commands)
        for car in context.run.cars
        if car.group == context.group
    ]
    context.ready()
    while not context.stopping:
        connecting = [car for car in cars if car.connecting]
        connected = [car for car in cars if car.connected]
        timeout = min(BEAT_SECONDS, min(car.next_event for car in cars) - time.monotonic())
        ready = context.wait(*connected, commands.bell, writable=connecting, timeout=max(0.0, timeout))
        now = time.monotonic()
        if commands.bell in ready:
            commands.bell.clear()
            for car in connected:
                car.answer(now)
        for car in connected:
            if car in ready:
                car.receive(now)
        for car in connecting:
            if car in ready:
                car.log_in(now)
        for car in cars:
            if now >= car.next_event:
                car.attend(now)
        context.complain("cars", _complaint([car for car in cars if car.trouble]))


def _complaint(troubled: list[CarConnection]) -> str:
    """Which cars are not connected, and why, in words; empty: none."""
    if not troubled:
        return ""
    who = f"{len(troubled)} cars" if len(troubled) > 1 else troubled[0].car.name
    return f"{who} not connected: {troubled[0].trouble}"


def _color(index: int) -> str:
    """A colour of the car's own: hues a golden angle apart never come close."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1.0, 0.8, 0.9)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"
