"""Everything on the track, advanced frame by frame; pure simulation, no sockets and no clock of its own.

The same seed, cars and commands give the same trajectories bit for bit. A car's random numbers come from the
seed and from how many cars joined before it, so others that it does not meet change nothing for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robo.errors import UserError
from robo.simulation import physics
from robo.simulation.camera import Camera
from robo.simulation.ground import Ground
from robo.simulation.laps import Laps, LapTimes
from robo.simulation.track import Track
from robo.simulation.traffic import Traffic

FRAMES_PER_SECOND = 60
REST_HEIGHT = 0.0484
"""Height of a car's origin above the floor, metres."""
SILENCE = 0.3
"""Seconds of simulation time without a line after which a car's controls fall to 0."""
GIVE_WAY = 0.05
"""Metres by which a car is put back farther ahead, time and again, while it would touch another."""


@dataclass(frozen=True)
class Crashed:
    """A car touched a wall."""

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
    """Of the traffic's arrays, of which state and memory are views."""
    state: NDArray[np.float64]
    memory: NDArray[np.int64]
    random: np.random.Generator
    start: float
    distance: float
    laps: Laps
    heard: int
    throttle: float = 0.0
    brake: float = 0.0
    turn: float = 0.0
    events: list[Event] = field(default_factory=list)


class World:
    """Cars on a flat track, 60 frames a simulation second, physics at 500 Hz."""

    def __init__(
        self,
        track: Track,
        segments: int = 30,
        segments_between_cars: int = 2,
        seed: int = 0,
        *,
        ghosts: bool = False,
    ) -> None:
        """With ``ghosts``, cars neither touch nor see one another. UserError for a track that is not flat."""
        if not track.flat:
            raise UserError(
                f"track {track.name}: the embedded simulator drives on flat tracks only; "
                "choose a flat one, such as configs/tracks/esses.json"
            )
        self.track = track
        self.segments = segments
        self.segments_between_cars = segments_between_cars
        self.frame = 0
        self.motors = True
        """Whether the cars' throttles and brakes do anything."""
        self._seed = seed
        self._joined = 0
        self._cars: dict[str, _Car] = {}
        self._floor = float(track.points[0, 1])
        flat = track.points[:, [0, 2]]
        ahead = np.roll(flat, -1, axis=0) - flat
        self._line = np.ascontiguousarray(np.hstack([flat, ahead, track.starts[:, None]]))
        self._ghosts = ghosts
        self._traffic = Traffic(self._line, ghosts=ghosts)
        self._ground = Ground.paint(self._line, track.length)
        self._cameras: dict[int, Camera] = {}

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
        row = self._traffic.add()
        car = _Car(
            name=name,
            row=row,
            state=self._traffic.states[row],
            memory=self._traffic.memories[row],
            random=np.random.default_rng((self._seed, self._joined)),
            start=(length - behind) % length,
            distance=0.0,
            laps=Laps(self.segments, length),
            heard=self.frame,
        )
        self._cars[name] = car
        self._share_out()
        self._place(car, car.start)

    def remove_car(self, name: str) -> None:
        """Take a car off the track. Raises KeyError if there is none of that name, as every method does."""
        self._traffic.remove(self._cars.pop(name).row)
        self._share_out()

    def place(self, name: str, distance: float | None = None) -> None:
        """Put a car elsewhere, at rest, its laps begun anew; None: back to its free practice place."""
        car = self._cars[name]
        car.laps = Laps(self.segments, self.track.length)
        self._place(car, car.start if distance is None else distance % self.track.length)

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
        results, bumps = self._traffic.drive(steps, [self._controls(car) for car in cars])
        events: list[Event] = [Bumped(cars[row].name, cars[other].name) for row, other in bumps]
        for car, (happened, distance) in zip(cars, results, strict=True):
            self._follow(car, distance, happened, events)
            if happened & physics.RETURN:
                self._place(car, self._free_place(car, car.random.uniform(0.0, self.track.length)))
                events.append(Returned(car.name))
        self.frame += 1
        return events

    def status(self, name: str) -> CarStatus:
        """A car as spectators are told."""
        car = self._cars[name]
        x, z, yaw, vx, vz = car.state[: physics.YAW_RATE].tolist()
        off = abs((yaw - self.track.heading(car.distance) + math.pi) % (2 * math.pi) - math.pi)
        return CarStatus(
            position=(x, self._floor + REST_HEIGHT, z),
            velocity=(vx, 0.0, vz),
            rotation=(0.0, math.sin(yaw / 2), 0.0, math.cos(yaw / 2)),
            track_angle=math.degrees(off),
            track_segment=car.laps.segment,
        )

    def render(self, name: str, width: int) -> NDArray[np.uint8]:
        """What a car's camera sees: uint8 [width * 80 // 128, width, 3], blue, green, red, top row first."""
        camera = self._cameras.get(width)
        if camera is None:
            camera = self._cameras[width] = Camera(width, self._ground)
        car = self._cars[name]
        picture = camera.picture(*car.state[: physics.VX].tolist())
        if len(self._cars) > 1 and not self._ghosts:
            camera.draw_cars(picture, car.row, self._traffic.states)
        return picture

    def laps(self, name: str) -> LapTimes:
        """A car's laps so far."""
        return self._cars[name].laps.times

    def _share_out(self) -> None:
        """Give every car its rows of the traffic's arrays, which are new."""
        for row, car in enumerate(self._cars.values()):
            car.row, car.state, car.memory = row, self._traffic.states[row], self._traffic.memories[row]

    def _controls(self, car: _Car) -> tuple[float, float, float]:
        """Throttle, brake and turn; a car that was not heard of for long has let go of them."""
        if (self.frame - car.heard) > SILENCE * FRAMES_PER_SECOND:
            car.throttle = car.brake = 0.0
            return 0.0, 0.0, 0.0
        if not self.motors:
            car.memory[physics.MOVED] = 0  # nobody is to be returned for standing still
            return 0.0, 0.0, car.turn
        return car.throttle, car.brake, car.turn

    def _follow(self, car: _Car, distance: float, happened: int, events: list[Event]) -> None:
        """Add to the events what came of a car's frame, which ended at this distance along the track."""
        gain = self.track.signed_gain(car.distance, distance)
        for segment, in_order, lap in car.laps.move(car.distance, gain, self.time, 1 / FRAMES_PER_SECOND):
            events.append(SegmentCrossed(car.name, segment, in_order))
            if lap:
                events.append(LapCompleted(car.name))
        car.distance = distance
        if happened & physics.CRASHED:
            events.append(Crashed(car.name))

    def _free_place(self, car: _Car, distance: float) -> float:
        """``distance``, or the first place after it where the car touches no other.

        One random number a return, so that a car that had to give way goes on as it would have.
        """
        for further in np.arange(0.0, self.track.length, GIVE_WAY):
            x, _, z, yaw = self.track.pose(distance + further)
            if self._traffic.is_free(car.row, x, z, yaw):
                return float((distance + further) % self.track.length)
        return distance  # there are so many cars that no place is free

    def _place(self, car: _Car, distance: float) -> None:
        """Put a car on the centre line, at rest, along the track."""
        x, _, z, yaw = self.track.pose(distance)
        car.state[:] = 0.0
        car.state[physics.X], car.state[physics.Z], car.state[physics.YAW] = x, z, yaw
        car.memory[:] = 0
        starts = self._line[:, 4]
        car.memory[physics.NEAREST] = int(np.searchsorted(starts, distance, side="right")) - 1
        car.distance = distance


def _steps_until(frame: int) -> int:
    """Physics steps in the first ``frame`` frames: 25 in every 3."""
    return frame * 25 // 3
