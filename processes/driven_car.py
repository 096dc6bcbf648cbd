"""The car that a person drives: in a world of this process, or in a simulator that runs elsewhere."""

from __future__ import annotations

import math
import socket
from collections.abc import Collection
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from processes.connect import connect
from processes.frame_processor import decode
from robo.driving.dashboard import Dashboard
from robo.driving.keyboard import Controls
from robo.errors import UserError
from robo.protocol import spectator as wire
from robo.protocol.car import DEFAULT_IMAGE_WIDTH, FrameDecoder, command_line, login_line
from robo.protocol.lines import LineDecoder
from robo.simulation.clocks import Clock
from robo.simulation.world import Crashed, LapCompleted, Returned, World

RECEIVE_BYTES = 1 << 18


class DrivenCar(Protocol):
    """What the wheel and the screen need of a car. Times: seconds on any clock that never goes back."""

    dashboard: Dashboard
    frame: int
    """How many frames there were so far."""

    @property
    def sockets(self) -> list[socket.socket]:
        """What to watch for input, and to call ``receive`` on."""
        ...

    def receive(self, ready: Collection[object]) -> None:
        """Take what arrived at those of the sockets that are ready. UserError when the car is lost."""
        ...

    def wait(self, now: float) -> float:
        """Seconds until ``advance`` is due; infinite: not before something arrives."""
        ...

    def advance(self, now: float, controls: Controls) -> None:
        """Drive one frame."""
        ...

    def restart(self) -> None:
        """Put the car back at its start."""
        ...

    def picture(self) -> NDArray[np.uint8] | None:
        """What the car's camera sees, uint8 [height, width, 3] BGR; None: no frame yet."""
        ...

    def close(self) -> None:
        """Leave the track."""
        ...


class WorldCar:
    """A car in a world of its own, paced by a clock."""

    def __init__(self, world: World, clock: Clock, name: str) -> None:
        """Put the car on the track. Compiles what is needed to drive, so that it is smooth from then on."""
        self.dashboard = Dashboard()
        self.frame = 0
        self.sockets: list[socket.socket] = []
        self._world = world
        self._clock = clock
        self._name = name
        world.add_car(name)
        world.step()
        world.render(name, DEFAULT_IMAGE_WIDTH)

    def receive(self, ready: Collection[object]) -> None:
        """Nothing arrives."""

    def wait(self, now: float) -> float:
        """See DrivenCar."""
        return self._clock.wait(now, 1)

    def advance(self, now: float, controls: Controls) -> None:
        """See DrivenCar."""
        world, name = self._world, self._name
        world.hear(name)
        if controls.brake:
            world.command(name, brake=controls.brake, turn=controls.turn)
        else:
            world.command(name, throttle=controls.throttle, turn=controls.turn)
        for event in world.step():
            if isinstance(event, Crashed):
                self.dashboard.crashes += 1
            elif isinstance(event, Returned):
                self.dashboard.returns += 1
            elif isinstance(event, LapCompleted):
                self.dashboard.finish_lap(world.laps(name).last_lap)
        self.dashboard.speed = math.hypot(*world.status(name).velocity)
        self._clock.stepped(now, ())
        self.frame += 1

    def restart(self) -> None:
        """See DrivenCar."""
        self._world.place(self._name)

    def picture(self) -> NDArray[np.uint8]:
        """See DrivenCar."""
        return self._world.render(self._name, DEFAULT_IMAGE_WIDTH)

    def close(self) -> None:
        """Nothing to close."""


class RemoteCar:
    """A car in a simulator at the other end of its two sockets.

    Every frame is answered when the clock says so: a simulator that waits for answers goes at our pace.
    """

    def __init__(
        self, host: str, car_port: int, spectator_port: int, clock: Clock, *, name: str, team: str
    ) -> None:
        """Connect and log in. Raises UserError when nobody answers."""
        self.dashboard = Dashboard()
        self.frame = 0
        self._address = host, car_port
        self._clock = clock
        self._name = name
        self._login = login_line(name, team, "#ffffff")
        self._picture: NDArray[np.uint8] | None = None
        self._lines = LineDecoder()
        self._stream = _open(host, spectator_port)
        try:
            self._enter()
        except UserError:
            self._stream.close()
            raise

    @property
    def sockets(self) -> list[socket.socket]:
        """See DrivenCar."""
        return [self._stream] if self._car is None else [self._stream, self._car]

    def receive(self, ready: Collection[object]) -> None:
        """See DrivenCar."""
        if self._car in ready:
            bad = self._frames.bad
            for png in self._frames.feed(self._take(self._car)):
                self._see(png)
            self._asked |= self._frames.bad > bad  # by what is no picture, too; else no other one would come
        if self._stream in ready:
            for line in self._lines.feed(self._take(self._stream)):
                self._hear(wire.decode(line))

    def wait(self, now: float) -> float:
        """See DrivenCar."""
        return self._clock.wait(now, 1) if self._asked else math.inf

    def advance(self, now: float, controls: Controls) -> None:
        """Answer the frame."""
        if self._car is None:
            return
        if controls.brake:
            answer = command_line(brake=controls.brake, turn=controls.turn)
        else:
            answer = command_line(throttle=controls.throttle, turn=controls.turn)
        self._asked = False
        try:
            self._car.sendall(answer)
        except OSError as error:
            raise self._lost(error.strerror) from None
        self._clock.stepped(now, ())

    def restart(self) -> None:
        """Leave the track, and come back once the simulator has told that the car is gone."""
        if self._car is not None:
            self._car.close()
            self._car, self._asked = None, False

    def picture(self) -> NDArray[np.uint8] | None:
        """See DrivenCar."""
        return self._picture

    def close(self) -> None:
        """See DrivenCar."""
        self.restart()
        self._stream.close()

    def _enter(self) -> None:
        self._car: socket.socket | None = _open(*self._address)
        self._frames = FrameDecoder()
        self._asked = False
        try:
            self._car.sendall(self._login)
        except OSError as error:
            raise self._lost(error.strerror) from None

    def _take(self, connection: socket.socket) -> bytes:
        try:
            data = connection.recv(RECEIVE_BYTES)
        except OSError as error:
            raise self._lost(error.strerror) from None
        if not data:
            raise self._lost("connection closed")
        return data

    def _lost(self, why: str | None) -> UserError:
        host, port = self._address
        return UserError(
            f"simulator at {host}:{port}: {why}; see that it runs and has no other car named {self._name}"
        )

    def _see(self, png: bytes) -> None:
        self.frame += 1
        self._asked = True
        picture = decode(png, DEFAULT_IMAGE_WIDTH)
        if picture is not None:  # else the last one stands: one broken frame is no reason to stop
            self._picture = picture

    def _hear(self, message: wire.SpectatorMessage | None) -> None:
        if isinstance(message, wire.GameStatus):
            for status in message.cars:
                speed = math.hypot(status.velocity.x, status.velocity.y, status.velocity.z)
                if status.name == self._name and math.isfinite(speed):
                    self.dashboard.speed = speed
        elif isinstance(message, wire.CarMessage) and message.car.name == self._name:
            if isinstance(message, wire.CarCrashed):
                self.dashboard.crashes += 1
            elif isinstance(message, wire.CarReturnedToTrack):
                self.dashboard.returns += 1
            elif isinstance(message, wire.LapCompleted) and math.isfinite(message.last_lap):
                self.dashboard.finish_lap(message.last_lap)
            elif isinstance(message, wire.CarRemoved) and self._car is None:
                self._enter()


def _open(host: str, port: int) -> socket.socket:
    try:
        return connect(host, port)
    except OSError as error:
        why = error.strerror or error
        raise UserError(
            f"simulator at {host}:{port}: {why}; start one (make start_simulator) or name another --host"
        ) from None
