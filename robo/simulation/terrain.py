"""What a world needs of its track: cars standing, driving and looking on it. Flat tracks, and all others.

Cars are told apart by their row: 0 is the one that joined first of those on the track. ``Controls`` are
throttle, brake and turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from robo.simulation import physics, relief
from robo.simulation.camera import Camera
from robo.simulation.eyes import Eyes
from robo.simulation.ground import Ground
from robo.simulation.look import NOMINAL, Look
from robo.simulation.obstacles import Obstacle
from robo.simulation.randomisation import Variation
from robo.simulation.relief import Relief
from robo.simulation.relief_traffic import ReliefTraffic
from robo.simulation.scene_camera import SceneCamera
from robo.simulation.surface_physics import BEYOND, PLACE, PLANAR, REST_HEIGHT
from robo.simulation.track import Track
from robo.simulation.traffic import Traffic

Controls = tuple[float, float, float]
Numbers = tuple[float, ...]

GIVE_WAY = 0.05
"""Metres by which a car is put farther ahead, time and again, while it would touch another or an obstacle."""
ROOM = 0.1
"""Metres between a car that is put on the track and an obstacle, at least."""


class Drive(NamedTuple):
    """What came of one car's frame."""

    happened: int
    """The bits ``physics.CRASHED`` and ``physics.RETURN``."""
    distance: float
    """Along the centre line, metres."""
    passed: bool
    """Whether the car drove the way to there, and did not come from another part of the track."""


class Pose(NamedTuple):
    """Where a car is and how it moves, in world axes: metres, m/s, and a quaternion x, y, z, w."""

    position: Numbers
    velocity: Numbers
    rotation: Numbers
    track_angle: float
    """Degrees between where it faces and the track's direction, 0..180."""


class Terrain(Protocol):
    """A track with cars on it."""

    def add(self) -> None:
        """Append a car; it must be placed before anything else is asked of it."""

    def remove(self, row: int) -> None:
        """Take a car out; those behind it move up by one row."""

    def place(self, row: int, distance: float) -> float:
        """Put a car on the centre line at ``distance`` metres, at rest, along the track.

        Near an obstacle, it is put at the first place after it instead. Returns where it is.
        """

    def push(self, row: int, lateral: float, heading: float, speed: float) -> None:
        """Move a car that was placed just now to the right, turn it right, and let it roll.

        Metres, radians and m/s; on a flat track only.
        """

    def vary(self, row: int, variation: Variation) -> None:
        """Let a car that was placed just now grip and see as it says; its motor is its driver's affair.

        Where cars vary, this follows every placement. A late picture shows all cars as they were then,
        without those that have left since, and nothing from before the car's own placement.
        """

    def is_free(self, row: int, distance: float) -> bool:
        """Whether the car would touch no other one there, and no obstacle is near."""

    def stay(self, row: int) -> None:
        """Forget how long the car has stood still: it is not to be returned for it."""

    def drive(self, steps: int, controls: Sequence[Controls]) -> tuple[list[Drive], list[tuple[int, int]]]:
        """Advance every car by ``steps`` of 2 ms; what came of each, and the pairs that touched anew.

        Each such pair is there both ways round.
        """

    def pose(self, row: int, distance: float) -> Pose:
        """Where a car is that is at ``distance`` along the track."""

    def picture(self, row: int, width: int) -> NDArray[np.uint8]:
        """What a car's camera sees: uint8 [width * 80 // 128, width, 3], blue, green, red, top row first."""


def build(track: Track, *, ghosts: bool, antialias: bool) -> Terrain:
    """The track's terrain: flat tracks have a planar physics and a camera of their own, which are faster.

    With ``ghosts``, cars neither touch nor see one another; ``antialias``: pictures average 2 x 2 samples a
    pixel.
    """
    kind = FlatTerrain if track.flat else ReliefTerrain
    return kind(track, ghosts=ghosts, antialias=antialias)


def first_place(distance: float, length: float, fits: Callable[[float], bool]) -> float:
    """``distance``, or the first place that fits after it on a track so long; none does: ``distance``."""
    for further in np.arange(0.0, length, GIVE_WAY):
        place = float((distance + further) % length)
        if fits(place):
            return place
    return distance


def _box(track: Track, obstacle: Obstacle) -> tuple[float, float, float, float]:
    """An obstacle on a flat track: x, z and yaw, and half its edge."""
    x, _, z, yaw = track.pose(obstacle.distance)
    right, along = math.cos(yaw), math.sin(yaw)
    return x + obstacle.lateral * right, z - obstacle.lateral * along, yaw, obstacle.size / 2


class FlatTerrain:
    """A flat track."""

    def __init__(self, track: Track, *, ghosts: bool, antialias: bool) -> None:
        """Paint the ground."""
        self._track = track
        self._ghosts = ghosts
        self._antialias = antialias
        self._floor = float(track.points[0, 1])
        flat = track.points[:, [0, 2]]
        ahead = np.roll(flat, -1, axis=0) - flat
        self.line = np.ascontiguousarray(np.hstack([flat, ahead, track.starts[:, None]]))
        """The centre line as ``physics.nearest`` wants it."""
        self.ground = Ground.paint(self.line, track.length)
        self.boxes = np.array([_box(track, obstacle) for obstacle in track.obstacles]).reshape(-1, 4)
        """The obstacles as ``physics.hold_off`` wants them."""
        self.traffic = Traffic(self.line, self.boxes, ghosts=ghosts)
        self._cameras: dict[int, Camera] = {}
        self._eyes: Eyes[Camera] = Eyes(self._camera)

    def add(self) -> None:
        """See Terrain."""
        self.traffic.add()
        self._eyes.add()

    def remove(self, row: int) -> None:
        """See Terrain."""
        self.traffic.remove(row)
        self._eyes.remove(row)

    def place(self, row: int, distance: float) -> float:
        """See Terrain."""
        distance = first_place(distance, self._track.length, self._is_clear)
        x, _, z, yaw = self._track.pose(distance)
        state, memory = self.traffic.states[row], self.traffic.memories[row]
        state[:] = 0.0
        state[physics.X], state[physics.Z], state[physics.YAW] = x, z, yaw
        memory[:] = 0
        memory[physics.NEAREST] = int(np.searchsorted(self.line[:, 4], distance, side="right")) - 1
        return distance

    def push(self, row: int, lateral: float, heading: float, speed: float) -> None:
        """See Terrain."""
        state = self.traffic.states[row]
        state[physics.X] += lateral * math.cos(state[physics.YAW])
        state[physics.Z] -= lateral * math.sin(state[physics.YAW])
        state[physics.YAW] += heading
        state[physics.VX] = speed * math.sin(state[physics.YAW])
        state[physics.VZ] = speed * math.cos(state[physics.YAW])
        state[physics.SPIN : physics.SPIN + 4] = speed / physics.WHEEL_RADIUS

    def vary(self, row: int, variation: Variation) -> None:
        """See Terrain."""
        self.traffic.states[row, physics.GRIP] = variation.friction - 1.0
        self._eyes.vary(row, variation.look, variation.latency)

    def is_free(self, row: int, distance: float) -> bool:
        """See Terrain."""
        x, _, z, yaw = self._track.pose(distance)
        return self._is_clear(distance) and self.traffic.is_free(row, x, z, yaw)

    def _is_clear(self, distance: float) -> bool:
        """Whether no obstacle is near a car there."""
        x, _, z, yaw = self._track.pose(distance)
        return not physics.near_box(x, z, yaw, ROOM, self.boxes)

    def stay(self, row: int) -> None:
        """See Terrain."""
        self.traffic.memories[row, physics.MOVED] = 0

    def drive(self, steps: int, controls: Sequence[Controls]) -> tuple[list[Drive], list[tuple[int, int]]]:
        """See Terrain."""
        self._eyes.remember(self.traffic.states)
        results, bumps = self.traffic.drive(steps, controls)
        return [Drive(happened, distance, passed=True) for happened, distance in results], bumps

    def pose(self, row: int, distance: float) -> Pose:
        """See Terrain."""
        x, z, yaw, vx, vz = self.traffic.states[row, : physics.YAW_RATE].tolist()
        off = abs((yaw - self._track.heading(distance) + math.pi) % (2 * math.pi) - math.pi)
        return Pose(
            position=(x, self._floor + REST_HEIGHT, z),
            velocity=(vx, 0.0, vz),
            rotation=(0.0, math.sin(yaw / 2), 0.0, math.cos(yaw / 2)),
            track_angle=math.degrees(off),
        )

    def picture(self, row: int, width: int) -> NDArray[np.uint8]:
        """See Terrain."""
        camera = self.own_camera(row, width) or self._cameras.get(width)
        if camera is None:
            camera = self._cameras[width] = self._camera(width)
        states = self._eyes.states(row, self.traffic.states)
        others = states if len(states) > 1 and not self._ghosts else None
        return camera.picture(*states[row, : physics.VX].tolist(), row, others)

    def own_camera(self, row: int, width: int) -> Camera | None:
        """A car's camera; None: it is the nominal one."""
        return self._eyes.camera(row, width)

    def _camera(self, width: int, look: Look = NOMINAL) -> Camera:
        return Camera(width, self.ground, antialias=self._antialias, look=look, obstacles=self.boxes)


class ReliefTerrain:
    """A track that climbs, is banked, crosses over itself or loops."""

    def __init__(self, track: Track, *, ghosts: bool, antialias: bool) -> None:
        """Sample the floor."""
        self.relief = Relief(track)
        self._ghosts = ghosts
        self._antialias = antialias
        self.traffic = ReliefTraffic(self.relief.samples, track.length, self.relief.boxes, ghosts=ghosts)
        self._eyes: Eyes[SceneCamera] = Eyes(partial(self.relief.camera, antialias=antialias))

    def add(self) -> None:
        """See Terrain."""
        self.traffic.add()
        self._eyes.add()

    def remove(self, row: int) -> None:
        """See Terrain."""
        self.traffic.remove(row)
        self._eyes.remove(row)

    def place(self, row: int, distance: float) -> float:
        """See Terrain."""
        distance = first_place(distance, self.relief.length, self._is_clear)
        self.relief.place(self.traffic.states[row], self.traffic.memories[row], distance)
        return distance

    def push(self, row: int, lateral: float, heading: float, speed: float) -> None:
        """See Terrain."""

    def vary(self, row: int, variation: Variation) -> None:
        """See Terrain."""
        self.traffic.states[row, PLANAR + physics.GRIP] = variation.friction - 1.0
        self._eyes.vary(row, variation.look, variation.latency)

    def is_free(self, row: int, distance: float) -> bool:
        """See Terrain."""
        place = np.array(self.relief.centre_line(distance))
        return self._is_clear(distance) and self.traffic.is_free(row, place)

    def _is_clear(self, distance: float) -> bool:
        """Whether no obstacle is near a car there."""
        return not self.relief.near_box(distance, ROOM)

    def stay(self, row: int) -> None:
        """See Terrain."""
        self.traffic.memories[row, physics.MOVED] = 0

    def drive(self, steps: int, controls: Sequence[Controls]) -> tuple[list[Drive], list[tuple[int, int]]]:
        """See Terrain."""
        self._eyes.remember(self.traffic.states)
        results, bumps = self.traffic.drive(steps, controls)
        drives = [Drive(happened, distance, passed=not happened & BEYOND) for happened, distance in results]
        return drives, bumps

    def pose(self, row: int, distance: float) -> Pose:
        """See Terrain."""
        state = self.traffic.states[row]
        return Pose(*relief.pose(state), self.relief.track_angle(state, distance))

    def picture(self, row: int, width: int) -> NDArray[np.uint8]:
        """See Terrain."""
        states = self._eyes.states(row, self.traffic.states)
        others = []
        if not self._ghosts:
            there = (other for other in range(len(states)) if other != row)
            others = [states[other] for other in there if not math.isnan(states[other, PLACE])]
        return self.view(row, width, states[row], others)

    def view(
        self, row: int, width: int, state: NDArray[np.float64], others: Sequence[NDArray[np.float64]] = ()
    ) -> NDArray[np.uint8]:
        """What the camera of the car in this row would see if the cars' states were these."""
        camera = self._eyes.camera(row, width)
        return self.relief.picture(state, width, others, antialias=self._antialias, camera=camera)
