"""Boxes that stand on the floor: how a track file tells of them, and where random ones go.

They are the value of an extra key of the file, ``"obstacles": [{"distance", "lateral", "size"}, ...]``, which
a simulator that does not know it passes over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robo.errors import UserError

HALF_FLOOR = 0.44
"""From the centre line to a wall, metres."""
SIZES = (0.03, 0.3)
"""Least and largest edge of a box, metres."""
RANDOM_SIZES = (0.05, 0.12)
PASSAGE = 0.3
"""What a random box leaves free on one side of it at least, metres; a car is 0.09 wide."""
CLEAR_OF_START = 1.0
SPACING = 1.5
"""Metres along the track that random boxes keep from the finish line and from each other."""


@dataclass(frozen=True)
class Obstacle:
    """A cube on the floor, turned as the track is turned there."""

    distance: float
    """Metres along the centre line to its middle."""
    lateral: float
    """Metres from the centre line to its middle, right positive."""
    size: float
    """Length of its edges, metres."""


def read_obstacles(content: Mapping[str, Any], length: float, path: Path) -> tuple[Obstacle, ...]:
    """The boxes of a track file's content, none without the key.

    Raises UserError that names the file, the box and the field. ``length``: the track's, metres.
    """
    boxes = content.get("obstacles", [])
    if not isinstance(boxes, list):
        raise UserError(f"{path}: obstacles is not a list; write distance, lateral and size of each")
    return tuple(_read(box, f"{path}: obstacle {index}", length) for index, box in enumerate(boxes))


def _read(box: Any, where: str, length: float) -> Obstacle:
    if not isinstance(box, dict):
        raise UserError(f"{where} is not an object; write distance, lateral, size")
    size = _number(box, "size", *SIZES, where)
    reach = HALF_FLOOR - size / 2
    return Obstacle(
        _number(box, "distance", 0.0, length, where), _number(box, "lateral", -reach, reach, where), size
    )


def _number(box: Mapping[str, Any], field: str, low: float, high: float, where: str) -> float:
    value = box.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        found = "missing" if value is None else repr(value)
        raise UserError(f"{where}: {field} is {found}; it must be from {low:g} to {high:.4g} metres")
    return float(value)


def scatter(random: Callable[[], float], count: int, length: float) -> tuple[Obstacle, ...]:
    """``count`` random boxes along a track of ``length`` metres, in order of their distance.

    Each leaves a way past it on one side, and room before the next. ``random`` gives numbers in 0..1.
    Raises UserError when they do not all find room.
    """
    free = length - 2 * CLEAR_OF_START - max(count - 1, 0) * SPACING
    if free < 0:
        most = int((length - 2 * CLEAR_OF_START) / SPACING) + 1
        raise UserError(f"{count} obstacles do not fit on {length:.1f} m; ask for {max(most, 0)} or fewer")
    shares = sorted(random() for _ in range(count))
    boxes = []
    for index, share in enumerate(shares):
        size = RANDOM_SIZES[0] + random() * (RANDOM_SIZES[1] - RANDOM_SIZES[0])
        low, high = size / 2 - HALF_FLOOR, HALF_FLOOR - PASSAGE - size / 2
        side = 1.0 if random() < 0.5 else -1.0
        lateral = side * (low + random() * (high - low))
        distance = CLEAR_OF_START + share * free + index * SPACING
        boxes.append(Obstacle(round(distance, 3), round(lateral, 3), round(size, 3)))
    return tuple(boxes)


def write_obstacles(obstacles: tuple[Obstacle, ...]) -> list[dict[str, float]]:
    """The boxes as a track file has them."""
    return [asdict(obstacle) for obstacle in obstacles]
