"""A track's centre line, read from the simulator's file format; NumPy only, so that any process can use it.

Axes: y up, at yaw 0 forward is +z and right is +x. Distances are metres along the centre line, 0..length,
from the finish line in driving direction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo.errors import UserError
from robo.simulation.obstacles import Obstacle, read_obstacles

Floats = NDArray[np.float64]

HALF_WIDTH = 0.45
"""Half the width of the drivable floor, metres."""
SAMPLES = 30
"""Straight pieces a curve."""
CLOSED_WITHIN = 0.01
FLAT_WITHIN = 0.001
NEAR_WINDOW = 1.5
REMEMBERED = 256


class Track:
    """A closed centre line of straight pieces, 30 for each Bezier curve of the file.

    ``points``: float64 [N, 3], metres, without a repeated last point; ``starts``: float64 [N], the distance
    of each point; ``headings``: float64 [N], yaw at each; ``length``: metres; ``flat``: whether the floor is
    level everywhere. ``tangents``, ``ups``, ``rights``: float64 [N, 3], at each point the driving direction,
    the floor's normal and the way to the right, of length 1 and perpendicular.
    """

    def __init__(
        self,
        points: Floats,
        *,
        level: bool = True,
        name: str = "track",
        tangents: Floats | None = None,
        ups: Floats | None = None,
    ) -> None:
        """Take the points of a closed line; ``level`` says that the floor is nowhere banked.

        ``tangents``: its direction at each point, else found from the neighbours; ``ups``: where the floor
        faces, else upwards. Neither needs length 1, nor an up to be perpendicular to its tangent.
        """
        ahead = np.roll(points, -1, axis=0) - points
        lengths = np.linalg.norm(ahead, axis=1)
        keep = lengths > 1e-9
        self.points = np.ascontiguousarray(points[keep])
        ups = np.tile((0.0, 1.0, 0.0), (len(points), 1)) if ups is None else ups
        self.tangents = _tangents(ahead[keep], lengths[keep], None if tangents is None else tangents[keep])
        self.ups = _perpendicular(ups[keep], self.tangents)
        self.rights = np.cross(self.ups, self.tangents)
        self.name = name
        self.obstacles: tuple[Obstacle, ...] = ()
        """Boxes on the floor."""
        self._ahead = ahead[keep]
        self._lengths = lengths[keep]
        self._ways = self._ahead / self._lengths[:, None]
        # A car's place is asked for twice: where a step ends, and where the next one begins.
        self._nearest = lru_cache(maxsize=REMEMBERED)(self._search)
        self.starts = np.concatenate([[0.0], np.cumsum(self._lengths)[:-1]])
        self.length = float(self._lengths.sum())
        heights = self.points[:, 1]
        self.flat = level and bool(heights.max() - heights.min() <= FLAT_WITHIN)
        self.headings = _headings(self._ahead, self._lengths)

    @classmethod
    def load(cls, path: str | Path) -> Track:
        """Read a track file. Raises UserError that names the file, the node and the field."""
        path = Path(path)
        return cls.read(_read(path), path)

    @classmethod
    def read(cls, content: dict[str, Any], path: Path) -> Track:
        """Take a track file's content. Raises UserError as ``load`` does; ``path`` is what it calls it."""
        nodes = _nodes(content, path)
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
        for values in (position, direction, up, roll):
            values[-1] = values[0]
        curves = [
            _curve(position[i], direction[i], position[i + 1], direction[i + 1])
            for i in range(len(nodes) - 1)
        ]
        points, tangents = (np.concatenate(parts) for parts in zip(*curves, strict=True))
        if float(np.abs(np.diff(points, axis=0)).sum()) < 1.0:
            raise UserError(f"{path}: the track is shorter than a metre; positions are in metres")
        upright = np.allclose(up[:-1], (0.0, 1.0, 0.0), atol=1e-3) and np.allclose(roll[:-1], 0.0, atol=1e-3)
        tangents = _tangents(*_ahead(points), tangents)
        ups = _rolled(_perpendicular(_between(up), tangents), tangents, np.radians(_between(roll)))
        track = cls(points, level=upright, name=path.stem, tangents=tangents, ups=ups)
        track.obstacles = read_obstacles(content, track.length, path)
        return track

    def distance(self, position: Floats | tuple[float, float, float], near: float | None = None) -> float:
        """Distance along the centre line of its point closest to ``position`` (x, y, z), metres.

        ``near`` restricts the search to 1.5 m either side of that distance, for a track that crosses over
        itself.
        """
        x, y, z = position
        anywhere = self._nearest((float(x), float(y), float(z)))
        if near is None or abs(self.signed_gain(near, anywhere)) <= NEAR_WINDOW:
            return anywhere  # the nearest of all is the nearest of those around
        squared, distances = self._pieces((float(x), float(y), float(z)))
        squared = np.where(np.abs(self._shortest(distances - near)) <= NEAR_WINDOW, squared, np.inf)
        return float(distances[int(np.argmin(squared))] % self.length)

    def _search(self, position: tuple[float, float, float]) -> float:
        squared, distances = self._pieces(position)
        return float(distances[int(np.argmin(squared))] % self.length)

    def _pieces(self, position: tuple[float, float, float]) -> tuple[Floats, Floats]:
        """Of each piece of the centre line, squared distance and where along the track it is nearest."""
        offset = np.array(position) - self.points
        along = np.einsum("ij,ij->i", offset, self._ways)
        np.clip(along, 0.0, self._lengths, out=along)
        offset -= self._ways * along[:, None]
        return np.einsum("ij,ij->i", offset, offset), self.starts + along

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
    # NumPy's arctan2 differs in the last bit with how an array happens to lie in memory.
    pieces = np.array([math.atan2(x, z) for x, z in ahead[:, [0, 2]].tolist()])
    turns = _wrapped(pieces - np.roll(pieces, 1))
    before = np.roll(lengths, 1)
    return _wrapped(np.roll(pieces, 1) + turns * before / (before + lengths))


def _wrapped(angle: Any) -> Any:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _curve(start: Floats, direction: Floats, end: Floats, end_direction: Floats) -> tuple[Floats, Floats]:
    """Sample a cubic Bezier curve and its derivative, float64 [30, 3] each, without the last point.

    The end's handle is mirrored.
    """
    t = (np.arange(SAMPLES) / SAMPLES)[:, None]
    u = 1.0 - t
    mirrored = 2 * end - end_direction
    points = u**3 * start + 3 * u * u * t * direction + 3 * u * t * t * mirrored + t**3 * end
    along = u * u * (direction - start) + 2 * u * t * (mirrored - direction) + t * t * (end - mirrored)
    return points, along


def _between(values: Floats) -> Floats:
    """Values at nodes [n + 1, ...], interpolated to the samples of the n curves between them."""
    t = np.arange((len(values) - 1) * SAMPLES) / SAMPLES
    index = t.astype(int)
    share = (t - index).reshape(-1, *[1] * (values.ndim - 1))
    return values[index] * (1.0 - share) + values[index + 1] * share


def _ahead(points: Floats) -> tuple[Floats, Floats]:
    ahead = np.roll(points, -1, axis=0) - points
    return ahead, np.linalg.norm(ahead, axis=1)


def _tangents(ahead: Floats, lengths: Floats, given: Floats | None = None) -> Floats:
    """Directions of length 1: the given ones where they have a length, else those between the neighbours.

    ``ahead`` and ``lengths``: of the piece that starts at each point.
    """
    pieces = ahead / np.maximum(lengths, 1e-12)[:, None]
    middle = pieces + np.roll(pieces, 1, axis=0)
    middle = np.where(np.linalg.norm(middle, axis=1)[:, None] > 1e-3, middle, pieces)
    if given is not None:
        middle = np.where(np.linalg.norm(given, axis=1)[:, None] > 1e-6, given, middle)
    return middle / np.maximum(np.linalg.norm(middle, axis=1), 1e-12)[:, None]


def _perpendicular(ups: Floats, tangents: Floats) -> Floats:
    """Each up made perpendicular to its tangent; one that has no such part takes after the one before it."""
    flat = ups - (ups * tangents).sum(axis=1)[:, None] * tangents
    lengths = np.linalg.norm(flat, axis=1)
    out = flat / np.maximum(lengths, 1e-12)[:, None]
    for index in np.flatnonzero(lengths < 1e-3):
        last = out[index - 1] if index else np.eye(3)[int(np.abs(tangents[0]).argmin())]
        last = last - (last @ tangents[index]) * tangents[index]
        out[index] = last / max(float(np.linalg.norm(last)), 1e-12)
    return out


def _rolled(ups: Floats, tangents: Floats, roll: Floats) -> Floats:
    """Ups turned about the tangents by ``roll`` radians; a positive roll leans to the left."""
    return np.cos(roll)[:, None] * ups - np.sin(roll)[:, None] * np.cross(ups, tangents)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; name a track file, such as configs/tracks/esses.json"
        ) from None
    except ValueError:
        raise UserError(f"{path}: not JSON; mend or replace the track file") from None
    if not isinstance(content, dict) or not isinstance(content.get("trackNodes"), list):
        raise UserError(f"{path}: no list 'trackNodes'; is it a track file?")
    return content


def _nodes(content: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    nodes = content["trackNodes"]
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
