"""Everything on the track, advanced frame by frame; pure simulation, no sockets and no clock of its own.

The same seed, cars and commands give the same trajectories bit for bit. A car's random numbers come from the
seed and from how many cars joined before it, so others that it does not meet change nothing for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo.config import Randomisation
from robo.simulation import physics, terrain
from robo.simulation.laps import Laps, LapTimes
from robo.simulation.randomisation import asked_for, draw
from robo.simulation.terrain import Controls, Drive
from robo.simulation.track import Track

FRAMES_PER_SECOND = 60
SILENCE = 0.3
"""Seconds of simulation time without a line after which a car's controls fall to 0."""


@dataclass(frozen=True)
class Crashed:
    """A car touched a wall or an obstacle."""

    car: str


@dataclass(frozen=True)
class Returned:
    """A car was put back on the track, at rest."""

    car: str


@dataclass(frozen=True)
class SegmentCrossed:
    """A car's trackSegment changed; ``in_order``: to the one that follows."""

    car: str
    segment: int
    in_order: bool


@dataclass(frozen=True)
class LapCompleted:
    """A car completed a lap; ``World.laps`` has its times."""

    car: str


@dataclass(frozen=True)
class Bumped:
    """A car touched another one; the other is told of it by an event of its own."""

    car: str
    other: str


Event = Crashed | Returned | SegmentCrossed | LapCompleted | Bumped


@dataclass(frozen=True)
class CarStatus:
    """A car as spectators are told: metres, m/s, a quaternion, degrees 0..180, -1 before a first segment."""

    position: tuple[float, float, float]
    velocity: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    track_angle: float
    track_segment: int


@dataclass
class _Car:
    name: str
    row: int
    """Of the terrain's cars."""
    random: np.random.Generator
    start: float
    distance: float
    laps: Laps
    heard: int
    throttle: float = 0.0
    brake: float = 0.0
    turn: float = 0.0
    motor: float = 1.0
    """Share of the motor's torque that it has."""


class World:
    """Cars on a track, 60 frames a simulation second, physics at 500 Hz."""

    def __init__(
        self,
        track: Track,
        segments: int = 30,
        segments_between_cars: int = 2,
        seed: int = 0,
        *,
        ghosts: bool = False,
        antialias: bool = False,
        randomisation: Randomisation | None = None,
    ) -> None:
        """With ``ghosts``, cars neither touch nor see one another; ``antialias``: see ``terrain.build``.

        ``randomisation``: whenever a car is placed, it draws from these ranges what it differs in.
        """
        self.track = track
        self.segments = segments
        self.segments_between_cars = segments_between_cars
        self.frame = 0
        self.motors = True
        """Whether the cars' throttles and brakes do anything."""
        self._seed = seed
        self._joined = 0
        self._cars: dict[str, _Car] = {}
        self._randomisation = randomisation if randomisation and asked_for(randomisation) else None
        self.terrain = terrain.build(track, ghosts=ghosts, antialias=antialias)

    @property
    def time(self) -> float:
        """Seconds of simulation time."""
        return self.frame / FRAMES_PER_SECOND

    @property
    def cars(self) -> list[str]:
        """Names of the cars on the track, in the order they joined."""
        return list(self._cars)

    def add_car(self, name: str) -> None:
        """Put a car at its free practice place, at rest. Raises ValueError if the name is taken."""
        if name in self._cars:
            raise ValueError(f"car {name!r} is on the track already")
        self._joined += 1
        length = self.track.length
        behind = self._joined * self.segments_between_cars * length / self.segments % length
        car = _Car(
            name=name,
            row=len(self._cars),
            random=np.random.default_rng((self._seed, self._joined)),
            start=(length - behind) % length,
            distance=0.0,
            laps=Laps(self.segments, length),
            heard=self.frame,
        )
        self.terrain.add()
        self._cars[name] = car
        self._place(car, car.start)

    def remove_car(self, name: str) -> None:
        """Take a car off the track. Raises KeyError if there is none of that name, as every method does."""
        self.terrain.remove(self._cars.pop(name).row)
        for row, car in enumerate(self._cars.values()):
            car.row = row

    def place(
        self,
        name: str,
        distance: float | None = None,
        *,
        lateral: float = 0.0,
        heading: float = 0.0,
        speed: float = 0.0,
    ) -> None:
        """Put a car elsewhere, its laps begun anew; None: back to its free practice place.

        ``lateral``: metres right of the centre line, ``heading``: radians to the right of the track's
        direction, ``speed``: m/s, on a flat track; on others it is at rest on the line.
        """
        car = self._cars[name]
        car.laps = Laps(self.segments, self.track.length)
        self._place(car, car.start if distance is None else distance % self.track.length)
        self.terrain.push(car.row, lateral, heading, speed)

    def reseed(self, name: str, seed: int) -> None:
        """Begin a car's random numbers anew."""
        self._cars[name].random = np.random.default_rng(seed)

    def hear(self, name: str) -> None:
        """Note that a line of this car arrived."""
        self._cars[name].heard = self.frame

    def command(
        self,
        name: str,
        *,
        throttle: float | None = None,
        brake: float | None = None,
        turn: float | None = None,
    ) -> None:
        """Set a car's controls, clamped to 0..1, 0..1 and -1..1 (+1 full left); a NaN or infinity is ignored.

        Throttle releases the brake, and brake the throttle.
        """
        car = self._cars[name]
        if throttle is not None and math.isfinite(throttle):
            car.throttle, car.brake = min(max(float(throttle), 0.0), 1.0), 0.0
        if brake is not None and math.isfinite(brake):
            car.brake, car.throttle = min(max(float(brake), 0.0), 1.0), 0.0
        if turn is not None and math.isfinite(turn):
            car.turn = min(max(float(turn), -1.0), 1.0)

    def step(self) -> list[Event]:
        """Advance every car by one frame, 1/60 s; what happened, by car in the order they joined."""
        steps = _steps_until(self.frame + 1) - _steps_until(self.frame)
        cars = list(self._cars.values())
        drives, bumps = self.terrain.drive(steps, [self._controls(car) for car in cars])
        events: list[Event] = [Bumped(cars[row].name, cars[other].name) for row, other in bumps]
        for car, drive in zip(cars, drives, strict=True):
            self._follow(car, drive, events)
            if drive.happened & physics.RETURN:
                self._place(car, self._free_place(car, car.random.uniform(0.0, self.track.length)))
                events.append(Returned(car.name))
        self.frame += 1
        return events

    def status(self, name: str) -> CarStatus:
        """A car as spectators are told."""
        car = self._cars[name]
        return CarStatus(*self.terrain.pose(car.row, car.distance), car.laps.segment)

    def render(self, name: str, width: int) -> NDArray[np.uint8]:
        """What a car's camera sees: uint8 [width * 80 // 128, width, 3], blue, green, red, top row first."""
        return self.terrain.picture(self._cars[name].row, width)

    def laps(self, name: str) -> LapTimes:
        """A car's laps so far."""
        return self._cars[name].laps.times

    def _controls(self, car: _Car) -> Controls:
        """Throttle, brake and turn; a car that was not heard of for long has let go of them."""
        if (self.frame - car.heard) > SILENCE * FRAMES_PER_SECOND:
            car.throttle = car.brake = 0.0
            return 0.0, 0.0, 0.0
        if not self.motors:
            self.terrain.stay(car.row)  # nobody is to be returned for standing still
            return 0.0, 0.0, car.turn
        return car.throttle * car.motor, car.brake, car.turn

    def _follow(self, car: _Car, drive: Drive, events: list[Event]) -> None:
        """Add to the events what came of a car's frame."""
        gain = self.track.signed_gain(car.distance, drive.distance) if drive.passed else 0.0
        for segment, in_order, lap in car.laps.move(car.distance, gain, self.time, 1 / FRAMES_PER_SECOND):
            events.append(SegmentCrossed(car.name, segment, in_order))
            if lap:
                events.append(LapCompleted(car.name))
        car.distance = drive.distance
        if drive.happened & physics.CRASHED:
            events.append(Crashed(car.name))

    def _free_place(self, car: _Car, distance: float) -> float:
        """``distance``, or the first place after it where the car touches no other and no obstacle is near.

        One random number a return, so that a car that had to give way goes on as it would have.
        """
        return terrain.first_place(
            distance, self.track.length, lambda place: self.terrain.is_free(car.row, place)
        )

    def _place(self, car: _Car, distance: float) -> None:
        """Put a car on the centre line, at rest, along the track, clear of obstacles."""
        if self.track.obstacles:
            # One that had to give way to an obstacle may stand where the next one should.
            distance = self._free_place(car, distance)
        car.distance = self.terrain.place(car.row, distance)
        if self._randomisation:
            variation = draw(self._randomisation, car.random)
            self.terrain.vary(car.row, variation)
            car.motor = variation.motor


def _steps_until(frame: int) -> int:
    """Physics steps in the first ``frame`` frames: 25 in every 3."""
    return frame * 25 // 3
