"""What a world needs of its track: cars standing, driving and looking on it. Flat tracks, and all others.

Cars are told apart by their row: 0 is the one that joined first of those on the track. ``Controls`` are
throttle, brake and turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from robo.simulation import physics, relief
from robo.simulation.camera import Camera
from robo.simulation.ground import Ground
from robo.simulation.relief import Relief
from robo.simulation.relief_traffic import ReliefTraffic
from robo.simulation.surface_physics import BEYOND, REST_HEIGHT
from robo.simulation.track import Track
from robo.simulation.traffic import Traffic

Controls = tuple[float, float, float]
Numbers = tuple[float, ...]


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

    def place(self, row: int, distance: float) -> None:
        """Put a car on the centre line at ``distance`` metres, at rest, along the track."""

    def is_free(self, row: int, distance: float) -> bool:
        """Whether the car would touch no other one there."""

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
        self.traffic = Traffic(self.line, ghosts=ghosts)
        self._cameras: dict[int, Camera] = {}

    def add(self) -> None:
        """See Terrain."""
        self.traffic.add()

    def remove(self, row: int) -> None:
        """See Terrain."""
        self.traffic.remove(row)

    def place(self, row: int, distance: float) -> None:
        """See Terrain."""
        x, _, z, yaw = self._track.pose(distance)
        state, memory = self.traffic.states[row], self.traffic.memories[row]
        state[:] = 0.0
        state[physics.X], state[physics.Z], state[physics.YAW] = x, z, yaw
        memory[:] = 0
        memory[physics.NEAREST] = int(np.searchsorted(self.line[:, 4], distance, side="right")) - 1

    def is_free(self, row: int, distance: float) -> bool:
        """See Terrain."""
        x, _, z, yaw = self._track.pose(distance)
        return self.traffic.is_free(row, x, z, yaw)

    def stay(self, row: int) -> None:
        """See Terrain."""
        self.traffic.memories[row, physics.MOVED] = 0

    def drive(self, steps: int, controls: Sequence[Controls]) -> tuple[list[Drive], list[tuple[int, int]]]:
        """See Terrain."""
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
        camera = self._cameras.get(width)
        if camera is None:
            camera = self._cameras[width] = Camera(width, self.ground, antialias=self._antialias)
        others = self.traffic.states if len(self.traffic.states) > 1 and not self._ghosts else None
        return camera.picture(*self.traffic.states[row, : physics.VX].tolist(), row, others)


class ReliefTerrain:
    """A track that climbs, is banked, crosses over itself or loops."""

    def __init__(self, track: Track, *, ghosts: bool, antialias: bool) -> None:
        """Sample the floor."""
        self._relief = Relief(track)
        self._ghosts = ghosts
        self._antialias = antialias
        self.traffic = ReliefTraffic(self._relief.samples, track.length, ghosts=ghosts)

    def add(self) -> None:
        """See Terrain."""
        self.traffic.add()

    def remove(self, row: int) -> None:
        """See Terrain."""
        self.traffic.remove(row)

    def place(self, row: int, distance: float) -> None:
        """See Terrain."""
        self._relief.place(self.traffic.states[row], self.traffic.memories[row], distance)

    def is_free(self, row: int, distance: float) -> bool:
        """See Terrain."""
        return self.traffic.is_free(row, np.array(self._relief.centre_line(distance)))

    def stay(self, row: int) -> None:
        """See Terrain."""
        self.traffic.memories[row, physics.MOVED] = 0

    def drive(self, steps: int, controls: Sequence[Controls]) -> tuple[list[Drive], list[tuple[int, int]]]:
        """See Terrain."""
        results, bumps = self.traffic.drive(steps, controls)
        drives = [Drive(happened, distance, passed=not happened & BEYOND) for happened, distance in results]
        return drives, bumps

    def pose(self, row: int, distance: float) -> Pose:
        """See Terrain."""
        state = self.traffic.states[row]
        return Pose(*relief.pose(state), self._relief.track_angle(state, distance))

    def picture(self, row: int, width: int) -> NDArray[np.uint8]:
        """See Terrain."""
        states = self.traffic.states
        others = () if self._ghosts else [state for other, state in enumerate(states) if other != row]
        return self._relief.picture(states[row], width, others, antialias=self._antialias)

    @property
    def samples(self) -> NDArray[np.float64]:
        """The floor's, as ``surface.samples`` makes them."""
        return self._relief.samples
