"""Drive a car with the keyboard, in a terminal: python -m scripts.drive."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from processes.driven_car import DrivenCar, RemoteCar, WorldCar
from processes.screen import Screen
from robo import config
from robo.config import Config
from robo.driving import dashboard
from robo.driving.keyboard import Key, Keyboard, KeyDecoder
from robo.errors import UserError
from robo.simulation.clocks import Realtime
from robo.simulation.counters import Counters
from robo.simulation.track import Track
from robo.simulation.world import World
from robo.terminal import page
from scripts.command import guarded

THROTTLE = 0.1
WAKE_SECONDS = 0.2
"""How long it takes at most to see a signal."""
SKIPPED_FRAMES = 6
"""How many frames in a row may go undrawn for the sake of the physics."""
OPTIONS = {
    "--track": ("track", "FILE", "a track in the simulator's format"),
    "--host": ("simulator.host", "HOST", "drive in the simulator that runs there; else in one of your own"),
    "--car-port": ("simulator.car_port", "N", "that simulator's port for cars"),
    "--spectator-port": ("simulator.spectator_port", "N", "that simulator's port for spectators"),
    "--seed": ("seed", "N", "of where the car is put back on the track"),
}
"""Option -> the setting that it stands for, its value's name, help."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Drive a car with the keyboard, in a terminal with 24-bit colours. "
        f"Keys: {dashboard.HELP}.",
        epilog="Environment: SIMULATOR_HOST, as --host. The other defaults are those of configs/base.yml.",
    )
    for option, (key, value, text) in OPTIONS.items():
        parser.add_argument(option, dest=key, metavar=value, help=text)
    parser.add_argument(
        "--throttle",
        type=float,
        default=THROTTLE,
        metavar="X",
        help=f"what the throttle goes up to, 0..1 ({THROTTLE})",
    )
    parser.add_argument("--name", default="driver", help="the car's name in a simulator elsewhere (driver)")
    options = vars(parser.parse_args())
    throttle, name = options.pop("throttle"), options.pop("name")
    if not 0 < throttle <= 1:
        raise UserError(f"--throttle {throttle}: choose a number above 0, up to 1")
    sets = [f"{key}={value}" for key, value in options.items() if value is not None]
    settings = config.load(sets=sets, environ=os.environ)
    stopped: list[int] = []
    screen = Screen()
    with contextlib.closing(open_car(settings, name)) as car:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: stopped.append(number))
        with screen:
            drive(car, screen, Keyboard(throttle), time.monotonic, lambda: bool(stopped))
    return 0


def open_car(settings: Config, name: str) -> DrivenCar:
    """A car where the config says. Raises UserError on a bad track, or when no simulator answers."""
    simulator = settings.simulator
    clock = Realtime(Counters())
    if not simulator.embedded:
        ports = simulator.car_port, simulator.spectator_port
        return RemoteCar(simulator.host, *ports, clock, name=name, team=settings.cars.team)
    track = Track.load(Path(settings.track))
    print("getting the car ready; on a track of a new kind that can take a minute, once", flush=True)
    world = World(
        track,
        simulator.segments,
        simulator.segments_between_cars,
        settings.seed,
        antialias=simulator.antialias,
    )
    return WorldCar(world, clock, name)


def drive(
    car: DrivenCar,
    screen: Screen,
    keyboard: Keyboard,
    now: Callable[[], float],
    stop: Callable[[], bool],
) -> None:
    """Drive until a key or ``stop()`` says to end, or the terminal is gone."""
    keys = KeyDecoder()
    painter = Painter(screen)
    while not stop():
        readable, writable, _ = select.select(
            [screen.source, *car.sockets],
            [screen.target] if screen.pending else [],
            [],
            min(car.wait(now()), WAKE_SECONDS),
        )
        if writable:
            screen.flush()
        if screen.source in readable:
            data = screen.read()
            pressed = keys.feed(data)
            if not data or Key.QUIT in pressed:
                return
            for key in pressed:
                if key is Key.RESTART:
                    car.restart()
                    keyboard.release()
                else:
                    keyboard.press(key, now())
        car.receive(readable)
        if car.wait(now()) <= 0:
            car.advance(now(), keyboard.controls(now()))
        painter.paint(car, keyboard, now())


class Painter:
    """Draws frames while the terminal takes them and the next one is not yet due."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._drawn = -1
        self._size = 0, 0

    def paint(self, car: DrivenCar, keyboard: Keyboard, now: float) -> None:
        """Draw the car's frame if it is new and there is time."""
        skipped = car.frame - self._drawn
        if not skipped or self._screen.pending or (skipped < SKIPPED_FRAMES and car.wait(now) <= 0):
            return
        size = self._screen.size()
        texts = dashboard.lines(car.dashboard, keyboard.controls(now))
        self._screen.show(page(car.picture(), texts, *size, clear=size != self._size))
        self._drawn, self._size = car.frame, size


if __name__ == "__main__":
    sys.exit(guarded(main))
