"""A track's centre line, read from the simulator's file format; NumPy only, so that any process can use it.

Axes: y up, at yaw 0 forward is +z and right is +x. Distances are metres along the centre line, 0..length,
from the finish line in driving direction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo.errors import UserError

Floats = NDArray[np.float64]

HALF_WIDTH = 0.45
"""Half the width of the drivable floor, metres."""
SAMPLES = 30
"""Straight pieces a curve."""
CLOSED_WITHIN = 0.01
FLAT_WITHIN = 0.001
NEAR_WINDOW = 1.5


class Track:
    """A closed centre line of straight pieces, 30 for each Bezier curve of the file.

    ``points``: float64 [N, 3], metres, without a repeated last point; ``starts``: float64 [N], the distance
    of each point; ``headings``: float64 [N], yaw at each; ``length``: metres; ``flat``: whether the floor is
    level everywhere.
    """

    def __init__(self, points: Floats, *, level: bool = True, name: str = "track") -> None:
        """Take the points of a closed line; ``level`` says that the floor is nowhere banked."""
        ahead = np.roll(points, -1, axis=0) - points
        lengths = np.linalg.norm(ahead, axis=1)
        keep = lengths > 1e-9
        self.points = np.ascontiguousarray(points[keep])
        self.name = name
        self._ahead = ahead[keep]
        self._lengths = lengths[keep]
        self.starts = np.concatenate([[0.0], np.cumsum(self._lengths)[:-1]])
        self.length = float(self._lengths.sum())
        heights = self.points[:, 1]
        self.flat = level and bool(heights.max() - heights.min() <= FLAT_WITHIN)
        self.headings = _headings(self._ahead, self._lengths)

    @classmethod
    def load(cls, path: str | Path) -> Track:
        """Read a track file. Raises UserError that names the file, the node and the field."""
        path = Path(path)
        nodes = _read_nodes(path)
        position, direction, up = (
            np.array([_vector(node, field, "xyz", index, path) for index, node in enumerate(nodes)])
            for field in ("position", "direction", "up")
        )
        for index, node in enumerate(nodes):
            _vector(node, "scale", "xy", index, path)
        roll = np.array([_number(node.get("roll"), "roll", index, path) for index, node in enumerate(nodes)])
        gap = float(np.linalg.norm(position[-1] - position[0]))
        if gap > CLOSED_WITHIN:
            raise UserError(
                f"{path}: the track is not closed, its last node is {gap:.2f} m from the first; "
                "make the last node repeat the first"
            )
        position[-1], direction[-1] = position[0], direction[0]
        points = np.concatenate(
            [
                _curve(position[i], direction[i], position[i + 1], direction[i + 1])
                for i in range(len(nodes) - 1)
            ]
        )
        if float(np.abs(np.diff(points, axis=0)).sum()) < 1.0:
            raise UserError(f"{path}: the track is shorter than a metre; positions are in metres")
        upright = np.allclose(up[:-1], (0.0, 1.0, 0.0), atol=1e-3) and np.allclose(roll[:-1], 0.0, atol=1e-3)
        return cls(points, level=upright, name=path.stem)

    def distance(self, position: Floats | tuple[float, float, float], near: float | None = None) -> float:
        """Distance along the centre line of its point closest to ``position`` (x, y, z), metres.

        ``near`` restricts the search to 1.5 m either side of that distance, for a track that crosses over
        itself.
        """
        offset = np.asarray(position, np.float64) - self.points
        along = np.einsum("ij,ij->i", offset, self._ahead) / self._lengths
        along = np.clip(along, 0.0, self._lengths)
        missing = offset - self._ahead * (along / self._lengths)[:, None]
        squared = np.einsum("ij,ij->i", missing, missing)
        distances = self.starts + along
        if near is not None:
            squared = np.where(np.abs(self._shortest(distances - near)) <= NEAR_WINDOW, squared, np.inf)
        return float(distances[int(np.argmin(squared))] % self.length)

    def heading(self, distance: float) -> float:
        """Yaw of the track's direction at ``distance``, radians in -pi..pi."""
        index, along = self._locate(distance)
        after = self.headings[(index + 1) % len(self.headings)]
        turn = _wrapped(after - self.headings[index])
        return float(_wrapped(self.headings[index] + turn * along / self._lengths[index]))

    def pose(self, distance: float) -> tuple[float, float, float, float]:
        """The centre line at ``distance``: x, y, z (metres) and yaw (radians)."""
        index, along = self._locate(distance)
        x, y, z = self.points[index] + self._ahead[index] * (along / self._lengths[index])
        return float(x), float(y), float(z), self.heading(distance)

    def signed_gain(self, before: float, after: float) -> float:
        """Metres from one distance to another the shortest way round; positive in driving direction."""
        return float(self._shortest(after - before))

    def _shortest(self, difference: Any) -> Any:
        return (difference + self.length / 2) % self.length - self.length / 2

    def _locate(self, distance: float) -> tuple[int, float]:
        distance = distance % self.length
        index = int(np.searchsorted(self.starts, distance, side="right")) - 1
        return index, distance - float(self.starts[index])


def _headings(ahead: Floats, lengths: Floats) -> Floats:
    """Yaw at every point: that of the circle through it and its neighbours."""
    pieces = np.arctan2(ahead[:, 0], ahead[:, 2])
    turns = _wrapped(pieces - np.roll(pieces, 1))
    before = np.roll(lengths, 1)
    return _wrapped(np.roll(pieces, 1) + turns * before / (before + lengths))


def _wrapped(angle: Any) -> Any:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _curve(start: Floats, direction: Floats, end: Floats, end_direction: Floats) -> Floats:
    """Sample a cubic Bezier curve, float64 [30, 3], without its last point; the end's handle is mirrored."""
    t = (np.arange(SAMPLES) / SAMPLES)[:, None]
    u = 1.0 - t
    mirrored = 2 * end - end_direction
    return u**3 * start + 3 * u * u * t * direction + 3 * u * t * t * mirrored + t**3 * end


def _read_nodes(path: Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; name a track file, such as configs/tracks/esses.json"
        ) from None
    except ValueError:
        raise UserError(f"{path}: not JSON; mend or replace the track file") from None
    nodes = content.get("trackNodes") if isinstance(content, dict) else None
    if not isinstance(nodes, list):
        raise UserError(f"{path}: no list 'trackNodes'; is it a track file?")
    if len(nodes) < 3:
        raise UserError(f"{path}: trackNodes has {len(nodes)} nodes; a closed track needs 3 or more")
    for index, node in enumerate(nodes):
        if not isinstance(node, dict):
            raise UserError(
                f"{path}: node {index} is not an object; write position, direction, up, scale, roll"
            )
    return nodes


def _vector(node: Mapping[str, Any], field: str, axes: str, index: int, path: Path) -> list[float]:
    value = node.get(field)
    if not isinstance(value, dict):
        raise UserError(f"{path}: node {index}: {field} is missing; give it {', '.join(axes)}")
    return [_number(value.get(axis), f"{field}.{axis}", index, path) for axis in axes]


def _number(value: Any, field: str, index: int, path: Path) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is None or not math.isfinite(number):
        found = "missing" if value is None else f"{value!r}"
        raise UserError(f"{path}: node {index}: {field} is {found}; it must be a finite number")
    return float(number)
