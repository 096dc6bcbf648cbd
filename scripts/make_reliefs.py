"""Write configs/tracks/bridge.json and loop.json, tracks in three dimensions, in the simulator's format."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent.parent / "configs" / "tracks"

Floats = NDArray[np.float64]
Place = tuple[Floats, Floats, float]
"""A point of the centre line, where its floor faces, and its roll in degrees."""

BRIDGE = 0.3
LOWEST = 0.12  # so that the lower edge of a banked floor stays above the ground
BANK = 14.0

LOOP_RADIUS = 0.4
LOOP_SHIFT = 1.1  # to the right, so that the way out passes beside the way in
RUN_UP = 3.0
RETURN_RADIUS = 0.8
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
    """A run-up, a vertical loop that winds to the right, and two half circles back to the start."""
    slant = math.atan2(LOOP_SHIFT, 2 * math.pi * LOOP_RADIUS)
    out_x, out_z = LOOP_SHIFT * math.cos(slant), LOOP_SHIFT * math.sin(slant)
    far = out_x + 2 * RETURN_RADIUS
    top = 2.0

    def at(x: float, z: float) -> Place:
        """A place on the ground, from metres right of the run-up and along it."""
        sine, cosine = math.sin(slant), math.cos(slant)
        return np.array((x * cosine + z * sine, LOWEST, z * cosine - x * sine)), UP, 0.0

    shares = np.linspace(0.0, 1.0, 800, endpoint=False)
    yield from (at(0.0, -RUN_UP * (1 - share)) for share in shares)
    for angle in 2 * math.pi * shares:
        sine, cosine = math.sin(angle), math.cos(angle)
        aside = LOOP_SHIFT * angle / (2 * math.pi)
        point = np.array((aside, LOWEST + LOOP_RADIUS * (1 - cosine), LOOP_RADIUS * sine))
        yield point, np.array((0.0, cosine, -sine)), 0.0
    yield from (at(out_x, out_z + (top - out_z) * share) for share in shares)
    yield from (
        at(out_x + RETURN_RADIUS * (1 - math.cos(angle)), top + RETURN_RADIUS * math.sin(angle))
        for angle in math.pi * shares
    )
    yield from (at(far, top - (top + RUN_UP) * share) for share in shares)
    yield from (
        at(far / 2 * (1 + math.cos(angle)), -RUN_UP - far / 2 * math.sin(angle)) for angle in math.pi * shares
    )


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
