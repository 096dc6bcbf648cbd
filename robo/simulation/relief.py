"""A track in three dimensions as the world sees it: where cars stand, drive and look."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from robo.simulation import footing, physics, surface, surface_physics
from robo.simulation.look import NOMINAL, Look
from robo.simulation.obstacles import Obstacle
from robo.simulation.scene import Scene
from robo.simulation.scene_camera import SceneCamera
from robo.simulation.surface import START
from robo.simulation.surface_physics import FLYING, FORWARD, LOAD, PLACE, REST_HEIGHT, TOP, VELOCITY
from robo.simulation.track import Track
from robo.simulation.vectors import level, unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Numbers = tuple[float, ...]


class Relief:
    """A track that climbs, is banked, crosses over itself or loops; any flat track, too."""

    def __init__(self, track: Track) -> None:
        """Sample the track's floor."""
        self.samples = surface.samples(track)
        self.length = track.length
        self.boxes = np.array([self._box(obstacle) for obstacle in track.obstacles]).reshape(-1, 10)
        """The obstacles as ``surface_physics.drive`` wants them."""
        self._scene = Scene.build(self.samples, track.length)
        self._cameras: dict[tuple[int, int, bool], SceneCamera] = {}

    def new_state(self) -> tuple[Floats, Ints]:
        """State and memory of a car, as ``surface_physics`` has them."""
        return np.zeros(surface_physics.STATE_SIZE), np.zeros(surface_physics.MEMORY_SIZE, np.int64)

    def place(self, state: Floats, memory: Ints, distance: float) -> None:
        """Put a car on the centre line at ``distance`` metres, at rest, along the track."""
        index, share = self._locate(distance)
        tangent, up, _ = self._directions(index, share)
        state[:] = 0.0
        memory[:] = 0
        state[PLACE : PLACE + 3] = self._centre(index, share) + REST_HEIGHT * up
        state[FORWARD : FORWARD + 3] = tangent
        state[TOP : TOP + 3] = up
        state[LOAD] = max(physics.MASS * physics.GRAVITY * float(up[1]), 0.0)
        memory[physics.NEAREST] = index
        memory[FLYING] = state[LOAD] == 0.0

    def centre_line(self, distance: float) -> Numbers:
        """The centre line's point at ``distance`` metres, x, y, z."""
        return tuple(self._centre(*self._locate(distance)).tolist())

    def near_box(self, distance: float, room: float) -> bool:
        """Whether a car put at ``distance`` would touch an obstacle were it ``room`` metres larger."""
        if not len(self.boxes):
            return False
        state, memory = self.new_state()
        self.place(state, memory, distance)
        return surface_physics.near_box(state, room, self.boxes)

    def track_angle(self, state: Floats, distance: float) -> float:
        """Degrees 0..180 between the way a car faces and the track's direction."""
        tangent, _, _ = self._directions(*self._locate(distance))
        cosine = float(np.dot(state[FORWARD : FORWARD + 3], tangent))
        return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))

    def camera(self, width: int, look: Look = NOMINAL, *, antialias: bool) -> SceneCamera:
        """A camera for one car alone."""
        return SceneCamera(width, self._scene, antialias=antialias, look=look, obstacles=self.boxes)

    def picture(
        self,
        state: Floats,
        width: int,
        others: Sequence[Floats] = (),
        *,
        antialias: bool = False,
        camera: SceneCamera | None = None,
    ) -> Bytes:
        """What the camera of a car sees: uint8 [width * 80 // 128, width, 3], blue, green, red.

        ``others``: the states of the other cars. ``antialias``: average 2 x 2 samples a pixel. ``camera``:
        the car's own, if it has one. Threads may make pictures at the same time.
        """
        if camera is None:
            key = (threading.get_ident(), width, antialias)  # what a camera draws on is its own
            camera = self._cameras.get(key)
            if camera is None:
                camera = self._cameras[key] = self.camera(width, antialias=antialias)
        place, forward, up = (tuple(state[at : at + 3].tolist()) for at in (PLACE, FORWARD, TOP))
        boxes = np.array([other[:VELOCITY] for other in others]).reshape(len(others), VELOCITY)
        return camera.picture(place, forward, up, boxes)

    def _box(self, obstacle: Obstacle) -> Floats:
        """An obstacle's middle, forward, up and half its edge."""
        index, share = self._locate(obstacle.distance % self.length)
        tangent, up, right = footing.directions(self.samples, index, share)
        top = footing.normal(self.samples, index, share, obstacle.lateral, tangent, up)
        half = obstacle.size / 2
        middle = self._centre(index, share) + obstacle.lateral * np.array(right) + half * np.array(top)
        return np.array([*middle, *unit(level(tangent, top)), *top, half])

    def _locate(self, distance: float) -> tuple[int, float]:
        starts = self.samples[:, START]
        index = int(np.searchsorted(starts, distance, side="right")) - 1
        end = starts[index + 1] if index + 1 < len(starts) else self.length
        return index, float((distance - starts[index]) / (end - starts[index]))

    def _centre(self, index: int, share: float) -> Floats:
        return np.array(footing.centre(self.samples, index, share))

    def _directions(self, index: int, share: float) -> tuple[Floats, Floats, Floats]:
        tangent, up, right = footing.directions(self.samples, index, share)
        return np.array(tangent), np.array(up), np.array(right)


def pose(state: Floats) -> tuple[Numbers, Numbers, Numbers]:
    """Position, velocity and rotation (quaternion x, y, z, w) of a car."""
    place = tuple(state[PLACE : PLACE + 3].tolist())
    velocity = tuple(state[VELOCITY : VELOCITY + 3].tolist())
    return place, velocity, quaternion(state[FORWARD : FORWARD + 3].tolist(), state[TOP : TOP + 3].tolist())


def quaternion(forward: Numbers, up: Numbers) -> Numbers:
    """The rotation x, y, z, w that takes +z to ``forward`` and +y to ``up``, both of length 1; w >= 0."""
    fx, fy, fz = forward
    ux, uy, uz = up
    rx, ry, rz = uy * fz - uz * fy, uz * fx - ux * fz, ux * fy - uy * fx
    # Of the four ways to write it, the one whose largest part is found first loses no precision.
    squares = (1.0 + rx - uy - fz, 1.0 - rx + uy - fz, 1.0 - rx - uy + fz, 1.0 + rx + uy + fz)
    largest = max(range(4), key=lambda part: squares[part])
    parts = (
        (squares[0], ry + ux, rz + fx, uz - fy),
        (ry + ux, squares[1], uz + fy, fx - rz),
        (rz + fx, uz + fy, squares[2], ry - ux),
        (uz - fy, fx - rz, ry - ux, squares[3]),
    )[largest]
    size = math.copysign(math.sqrt(sum(part * part for part in parts)), parts[3])
    return tuple(part / size for part in parts)
