"""Everything on the track, advanced frame by frame; pure simulation, no sockets and no clock of its own.

The same seed, cars and commands give the same trajectories bit for bit: a car's random numbers come from the
seed and from how many cars joined before it, and cars do not touch one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robo.simulation import physics, relief, surface_physics
from robo.simulation.camera import Camera
from robo.simulation.ground import Ground
from robo.simulation.laps import Laps, LapTimes
from robo.simulation.relief import Relief
from robo.simulation.track import Track

FRAMES_PER_SECOND = 60
REST_HEIGHT = 0.0484
"""Height of a car's origin above the floor, metres."""
SILENCE = 0.3
"""Seconds of simulation time without a line after which a car's controls fall to 0."""


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


Event = Crashed | Returned | SegmentCrossed | LapCompleted


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
    state: NDArray[np.float64]
    memory: NDArray[np.int64]
    random: np.random.Generator
    distance: float
    laps: Laps
    heard: int
    throttle: float = 0.0
    brake: float = 0.0
    turn: float = 0.0
    events: list[Event] = field(default_factory=list)


class World:
    """Cars on a track, 60 frames a simulation second, physics at 500 Hz.

    A flat track has a planar physics and a camera of its own, which are faster; any other is a ``Relief``.
    """

    def __init__(
        self,
        track: Track,
        segments: int = 30,
        segments_between_cars: int = 2,
        seed: int = 0,
        *,
        antialias: bool = False,
    ) -> None:
        """Take the track; ``antialias``: pictures average 2 x 2 samples a pixel."""
        self.track = track
        self.segments = segments
        self.segments_between_cars = segments_between_cars
        self.frame = 0
        self._seed = seed
        self._joined = 0
        self._cars: dict[str, _Car] = {}
        self._antialias = antialias
        self._cameras: dict[int, Camera] = {}
        self._relief = None if track.flat else Relief(track)
        if self._relief is None:
            self._paint_flat(track)

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
        state, memory = np.zeros(physics.STATE_SIZE), np.zeros(physics.MEMORY_SIZE, np.int64)
        if self._relief is not None:
            state, memory = self._relief.new_state()
        car = _Car(
            name=name,
            state=state,
            memory=memory,
            random=np.random.default_rng((self._seed, self._joined)),
            distance=0.0,
            laps=Laps(self.segments, length),
            heard=self.frame,
        )
        self._place(car, (length - behind) % length)
        self._cars[name] = car

    def remove_car(self, name: str) -> None:
        """Take a car off the track. Raises KeyError if there is none of that name, as every method does."""
        del self._cars[name]

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
        events: list[Event] = []
        for car in self._cars.values():
            self._drive(car, steps, events)
        self.frame += 1
        return events

    def status(self, name: str) -> CarStatus:
        """A car as spectators are told."""
        car = self._cars[name]
        if self._relief is not None:
            angle = self._relief.track_angle(car.state, car.distance)
            return CarStatus(*relief.pose(car.state), angle, car.laps.segment)
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
        if self._relief is not None:
            others = [car.state for car in self._cars.values() if car.name != name]
            return self._relief.picture(self._cars[name].state, width, others, antialias=self._antialias)
        camera = self._cameras.get(width)
        if camera is None:
            camera = self._cameras[width] = Camera(width, self._ground, antialias=self._antialias)
        x, z, yaw = self._cars[name].state[: physics.VX].tolist()
        return camera.picture(x, z, yaw)

    def laps(self, name: str) -> LapTimes:
        """A car's laps so far."""
        return self._cars[name].laps.times

    def _drive(self, car: _Car, steps: int, events: list[Event]) -> None:
        if (self.frame - car.heard) > SILENCE * FRAMES_PER_SECOND:
            car.throttle = car.brake = 0.0
            turn = 0.0
        else:
            turn = car.turn
        controls = (car.throttle, car.brake, turn)
        if self._relief is not None:
            happened, distance = self._relief.drive(car.state, car.memory, steps, controls)
        else:
            happened, distance = physics.drive(car.state, car.memory, self._line, steps, *controls)
        if happened & surface_physics.BEYOND:
            car.distance = distance
        gain = self.track.signed_gain(car.distance, distance)
        for segment, in_order, lap in car.laps.move(car.distance, gain, self.time, 1 / FRAMES_PER_SECOND):
            events.append(SegmentCrossed(car.name, segment, in_order))
            if lap:
                events.append(LapCompleted(car.name))
        car.distance = distance
        if happened & physics.CRASHED:
            events.append(Crashed(car.name))
        if happened & physics.RETURN:
            self._place(car, float(car.random.uniform(0.0, self.track.length)))
            events.append(Returned(car.name))

    def _place(self, car: _Car, distance: float) -> None:
        """Put a car on the centre line, at rest, along the track."""
        car.distance = distance
        if self._relief is not None:
            self._relief.place(car.state, car.memory, distance)
            return
        x, _, z, yaw = self.track.pose(distance)
        car.state[:] = 0.0
        car.state[physics.X], car.state[physics.Z], car.state[physics.YAW] = x, z, yaw
        car.memory[:] = 0
        starts = self._line[:, 4]
        car.memory[physics.NEAREST] = int(np.searchsorted(starts, distance, side="right")) - 1

    def _paint_flat(self, track: Track) -> None:
        """Prepare what the planar physics and camera of a flat track need."""
        self._floor = float(track.points[0, 1])
        flat = track.points[:, [0, 2]]
        ahead = np.roll(flat, -1, axis=0) - flat
        self._line = np.ascontiguousarray(np.hstack([flat, ahead, track.starts[:, None]]))
        self._ground = Ground.paint(self._line, track.length)


def _steps_until(frame: int) -> int:
    """Physics steps in the first ``frame`` frames: 25 in every 3."""
    return frame * 25 // 3
