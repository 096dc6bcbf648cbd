"""Write configs/tracks/bridge.json and loop.json, tracks in three dimensions, in the simulator's format."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent.parent / "configs" / "tracks"

Floats = NDArray[np.float64]
Place = tuple[Floats, Floats, float]
"""A point of the centre line, where its floor faces, and its roll in degrees."""

BRIDGE = 0.3
LOWEST = 0.12  # so that a banked floor's lower edge stays above the ground
BANK = 14.0

LOOP_RADIUS = 0.4
LOOP_SHIFT = 1.1  # to the right, so that the way out passes beside the way in
RUN_UP = 3.0
UP = np.array((0.0, 1.0, 0.0))


def main() -> None:
    """Lay both tracks out and write them."""
    _write("bridge", list(_eight()), 24)
    _write("loop", list(_looping()), 60)


def _eight() -> Iterator[Place]:
    """A figure of eight, banked in its bends, that crosses over itself on a bridge."""
    for t in np.linspace(0.0, 2 * math.pi, 4000, endpoint=False) + 0.6:
        height = LOWEST + BRIDGE * (1 - math.cos(t)) / 2
        point = np.array((1.5 * math.sin(2 * t), height, 2.3 * math.sin(t)))
        yield point, UP, BANK * math.sin(t) * abs(math.sin(t))


def _looping() -> Iterator[Place]:
    """A run-up, a vertical loop, and two half circles back to the start."""
    yield from _line((0.0, 0.0, -RUN_UP), (0.0, 0.0, 0.0))
    for angle in np.linspace(0.0, 2 * math.pi, 1000, endpoint=False):
        share = angle / (2 * math.pi)
        aside = LOOP_SHIFT * (share - math.sin(angle) / (2 * math.pi))
        sine, cosine = math.sin(angle), math.cos(angle)
        yield (
            np.array((aside, LOOP_RADIUS * (1 - cosine), LOOP_RADIUS * sine)),
            np.array((0.0, cosine, -sine)),
            0.0,
        )
    far = LOOP_SHIFT + 2 * 0.8
    yield from _line((LOOP_SHIFT, 0.0, 0.0), (LOOP_SHIFT, 0.0, 1.6))
    yield from _half_circle((LOOP_SHIFT + 0.8, 1.6), lambda a: (-0.8 * math.cos(a), 0.8 * math.sin(a)))
    yield from _line((far, 0.0, 1.6), (far, 0.0, -RUN_UP))
    yield from _half_circle((far / 2, -RUN_UP), lambda a: (far / 2 * math.cos(a), -far / 2 * math.sin(a)))


def _line(start: tuple[float, ...], end: tuple[float, ...]) -> Iterator[Place]:
    for share in np.linspace(0.0, 1.0, 500, endpoint=False):
        yield (1 - share) * np.array(start) + share * np.array(end), UP, 0.0


def _half_circle(middle: tuple[float, float], off: Callable[[float], tuple[float, float]]) -> Iterator[Place]:
    for angle in np.linspace(0.0, math.pi, 500, endpoint=False):
        x, z = off(angle)
        yield np.array((middle[0] + x, 0.0, middle[1] + z)), UP, 0.0


def _write(name: str, places: list[Place], count: int) -> None:
    """Write ``count`` nodes, evenly spaced, with handles of a third of the space between them."""
    points = np.array([point for point, _, _ in places])
    after = np.roll(points, -1, axis=0)
    starts = np.concatenate([[0.0], np.cumsum(np.linalg.norm(after - points, axis=1))])
    spacing = starts[-1] / count
    nodes = []
    for distance in np.arange(count) * spacing:
        index = min(int(np.searchsorted(starts, distance)), len(points) - 1)
        way = points[(index + 1) % len(points)] - points[index - 1]
        point, up, roll = places[index]
        direction = point + way / np.linalg.norm(way) * spacing / 3
        nodes.append(
            {
                "position": _xyz(point),
                "direction": _xyz(direction),
                "up": _xyz(up),
                "scale": {"x": 1.0, "y": 1.0},
                "roll": round(roll, 2) + 0.0,
            }
        )
    nodes.append(nodes[0])
    lines = ",\n".join("  " + json.dumps(node) for node in nodes)
    (FOLDER / f"{name}.json").write_text('{"trackNodes": [\n' + lines + "\n]}\n", encoding="utf-8")
    print(f"wrote {name}.json: {len(nodes)} nodes, {starts[-1]:.1f} m")


def _xyz(point: Floats) -> dict[str, float]:
    return {axis: round(float(value), 4) + 0.0 for axis, value in zip("xyz", point, strict=True)}


if __name__ == "__main__":
    main()
