"""Write configs/tracks/esses.json: straights and arcs, laid out by a turtle, in the simulator's format."""

from __future__ import annotations

import json
import math
from pathlib import Path

from robo.simulation.procedural import level_node

TARGET = Path(__file__).resolve().parent.parent / "configs" / "tracks" / "esses.json"

STRAIGHT, LEFT, RIGHT = "straight", "left", "right"
# What follows the finish line: straights with their length, quarter turns with their radius, metres.
LAYOUT = (
    (STRAIGHT, 1.2),
    (LEFT, 0.4),
    (STRAIGHT, 0.4),
    (RIGHT, 0.5),
    (STRAIGHT, 0.5),
    (RIGHT, 0.5),
    (STRAIGHT, 1.4),
    (RIGHT, 0.3),
    (STRAIGHT, 0.7),
    (LEFT, 0.3),
    (STRAIGHT, 1.0),
    (RIGHT, 0.4),
    (STRAIGHT, 1.0),
    (RIGHT, 0.3),
    (STRAIGHT, 0.4),
    (LEFT, 0.3),
    (STRAIGHT, 0.8),
    (RIGHT, 0.5),
    (STRAIGHT, 0.6),
    (RIGHT, 0.5),
    (STRAIGHT, 1.0),
)
FIRST_YAW = math.pi / 2
QUARTER = 4 / 3 * math.tan(math.pi / 8)  # a Bezier handle over the radius, for a quarter of a circle


def main() -> None:
    """Lay the track out and write it."""
    x, z, yaw = 0.0, 0.0, FIRST_YAW
    nodes = []
    for index, (kind, size) in enumerate(LAYOUT):
        nodes.append(level_node(x, z, yaw, _handle(index)))
        if kind == STRAIGHT:
            x, z = x + size * math.sin(yaw), z + size * math.cos(yaw)
            continue
        side = 1.0 if kind == RIGHT else -1.0
        x += size * (math.sin(yaw) + side * math.cos(yaw))
        z += size * (math.cos(yaw) - side * math.sin(yaw))
        yaw += side * math.pi / 2
    if math.hypot(x, z) > 1e-6:
        raise SystemExit(
            f"error: the layout ends at ({x:.3f}, {z:.3f}); change straights until it ends at 0, 0"
        )
    nodes.append(nodes[0])
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(node) for node in nodes)
    TARGET.write_text('{"trackNodes": [\n' + lines + "\n]}\n", encoding="utf-8")
    print(f"wrote {TARGET.name}: {len(nodes)} nodes")


def _handle(index: int) -> float:
    """A node's handle serves the piece before it and the one after it, so an arc next to it decides."""
    for kind, size in (LAYOUT[index], LAYOUT[index - 1]):
        if kind != STRAIGHT:
            return QUARTER * size
    return 0.3


if __name__ == "__main__":
    main()
