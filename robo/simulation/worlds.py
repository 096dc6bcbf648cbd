"""Worlds side by side, one a track: a car drives in one of them, and can be taken to another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from robo.protocol.car import Restart
from robo.simulation.laps import LapTimes
from robo.simulation.tracks import Tracks
from robo.simulation.world import FRAMES_PER_SECOND, CarStatus, Event, World


class Worlds:
    """What ``robo.simulation.server`` needs of a world, over all tracks of a run.

    Cars join on track 0. A track's world is made when a car first drives on it, and kept.
    """

    def __init__(self, tracks: Tracks, make: Callable[[int], World]) -> None:
        """``make``: the world of the track of this number."""
        self.frame = 0
        self.motors = True
        self._tracks = tracks
        self._make = make
        self._worlds = {0: make(0)}
        self._where: dict[str, World] = {}

    @property
    def time(self) -> float:
        """Seconds of simulation time."""
        return self.frame / FRAMES_PER_SECOND

    def prepare(self) -> None:
        """Make all worlds now: each takes some milliseconds, in which every car would wait."""
        for number in range(len(self._tracks)):
            self._world(number)

    def add_car(self, name: str) -> None:
        """See World."""
        self._enter(name, 0)

    def remove_car(self, name: str) -> None:
        """See World."""
        self._where.pop(name).remove_car(name)

    def place(self, name: str, distance: float | None = None) -> None:
        """See World."""
        self._where[name].place(name, distance)

    def restart(self, name: str, start: Restart) -> bool:
        """Take a car to a place, on whichever track. Whether there is such a track."""
        if not 0 <= start.track < len(self._tracks):
            return False
        self.remove_car(name)
        world = self._enter(name, start.track)
        world.place(
            name,
            start.at * world.track.length,
            lateral=start.lateral,
            heading=start.heading,
            speed=start.speed,
        )
        return True

    def hear(self, name: str) -> None:
        """See World."""
        self._where[name].hear(name)

    def command(self, name: str, **controls: float | None) -> None:
        """See World."""
        self._where[name].command(name, **controls)

    def step(self) -> list[Event]:
        """See World; cars of one track after those of another."""
        events: list[Event] = []
        for world in dict.fromkeys(self._where.values()):
            world.motors = self.motors
            events += world.step()
        self.frame += 1
        return events

    def status(self, name: str) -> CarStatus:
        """See World."""
        return self._where[name].status(name)

    def render(self, name: str, width: int) -> NDArray[np.uint8]:
        """See World."""
        return self._where[name].render(name, width)

    def laps(self, name: str) -> LapTimes:
        """See World."""
        return self._where[name].laps(name)

    def _enter(self, name: str, number: int) -> World:
        world = self._where[name] = self._world(number)
        world.frame = self.frame
        world.add_car(name)
        return world

    def _world(self, number: int) -> World:
        if number not in self._worlds:
            self._worlds[number] = self._make(number)
        return self._worlds[number]
