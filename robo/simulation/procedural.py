"""Random flat tracks: a seed, a length and a tightest radius to nodes of the simulator's track format.

The outline of a random polyomino gives corners on a grid whose rows and columns lie apart by no less than two
lanes need. They are spread and shifted at random, joined by straights, and rounded by arcs of random radii.
What comes too near to itself is shifted less; not shifted at all it can't.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo.errors import UserError
from robo.simulation.obstacles import Obstacle, scatter
from robo.simulation.outline import random_outline
from robo.simulation.shape import clearance

Floats = NDArray[np.float64]
Random = Callable[[], float]

LENGTHS = (12.0, 25.0)
"""From where a random length comes, metres."""
MIN_RADIUS = 0.35
RADII = (0.25, 1.5)
"""What may be asked for as the least radius of the centre line, metres."""
MOST_METRES = 80.0
GAP = 0.95
"""Least distance of the centre line from its other parts, metres: two half floors and their walls."""
NEIGHBOURS = 1.5
"""Metres along the track within which places are the same bend, and may be nearer to each other."""
START_STRAIGHT = 1.2
"""At least so much is straight around the finish line, which is in its middle."""

LANE = 1.0
LEAST_PERIMETER = 10
LARGEST_RADIUS = 1.6
SHARPEST = math.radians(125.0)
ONE_PIECE = math.radians(75.0)
"""An arc of more than this is written as two curves."""
SHIFT = 0.3
"""How far a corner is shifted at most, as a share of a lane, along each axis."""
SHIFTS = (1.0, 0.7, 0.45, 0.25, 0.0)
LAYOUTS = 400
DENSE = 0.08
FLATTENING = 1.01
"""A curve is an arc but for this: its tightest place has a radius so much smaller."""


@dataclass(frozen=True)
class _Corner:
    """A corner rounded by an arc that begins and ends ``tangent`` metres from it."""

    x: float
    z: float
    turn: float
    """Change of yaw, radians, right positive."""
    radius: float
    tangent: float
    handle: float
    """Length of the handles of the arc's curves, which reach that far into the straights, too."""


def random_track(
    seed: int, length: float | None = None, min_radius: float = MIN_RADIUS
) -> list[dict[str, Any]]:
    """Nodes of a closed, flat track that starts on a straight; the same for the same arguments, always.

    ``length``: metres, None: a random one of LENGTHS; ``min_radius``: of the tightest bend, metres. Raises
    UserError when they can't be had.
    """
    # Its stream of numbers in 0..1 is the one thing that Python promises never to change.
    stream = random.Random(seed).random
    lane = max(LANE, 2.95 * min_radius)
    shortest = LEAST_PERIMETER * lane
    if not RADII[0] <= min_radius <= RADII[1]:
        raise UserError(f"a radius of {min_radius:g} m; ask for {RADII[0]:g} to {RADII[1]:g}")
    if length is None:
        length = max(LENGTHS[0] + stream() * (LENGTHS[1] - LENGTHS[0]), shortest)
    if not shortest <= length <= MOST_METRES:
        raise UserError(
            f"a length of {length:g} m with a radius of {min_radius:g} m; "
            f"ask for {shortest:.1f} to {MOST_METRES:g} m, or another radius"
        )
    for _ in range(LAYOUTS):
        corners = _random_layout(stream, lane, length, min_radius)
        if corners is not None:
            return _nodes(corners)
    raise UserError(f"found no track of {length:g} m for seed {seed}; ask for another length or seed")


def random_obstacles(seed: int, count: int, length: float) -> tuple[Obstacle, ...]:
    """Boxes for a track of ``length`` metres; the same for the same arguments, always. UserError: no room."""
    return scatter(random.Random(f"obstacles {seed}").random, count, length)


def _random_layout(stream: Random, lane: float, length: float, min_radius: float) -> list[_Corner] | None:
    """One try: the rounded corners of a track, the first one after its finish line; None if it fails."""
    perimeter = max(round(length * (0.65 + 0.5 * stream()) / lane), LEAST_PERIMETER)
    grid = random_outline(stream, perimeter, 3.0 * stream())
    if stream() < 0.5:
        grid.reverse()
    angle = 2 * math.pi * stream()
    spread = [[stream() ** 2 for _ in range(perimeter)] for _ in "xz"]
    shifts = np.array([[2 * stream() - 1 for _ in "xz"] for _ in grid]) * SHIFT * lane
    wishes = [(stream(), stream()) for _ in grid]
    if len(grid) < 6:
        return None

    def lay(more: float, shift: float) -> list[_Corner] | None:
        ticks = [_ticks(lane, more, shares) for shares in spread]
        low = np.min(grid, axis=0)
        places = np.array([[ticks[axis][point[axis] - low[axis]] for axis in (0, 1)] for point in grid])
        return _rounded(places + shift * shifts, wishes, min_radius)

    for shift in SHIFTS:
        corners = _of_length(lambda more, shift=shift: lay(more, shift), length)
        if corners is not None and clearance(_dense(corners), NEIGHBOURS) >= GAP + DENSE / 10:
            return _turned(corners, angle)
    return None


def _ticks(lane: float, more: float, shares: Sequence[float]) -> Floats:
    """Where the grid's lines are along one axis: a lane apart, and a random share of ``more`` metres more."""
    return np.concatenate([[0.0], np.cumsum([lane + more * share for share in shares])])


def _of_length(lay: Callable[[float], list[_Corner] | None], length: float) -> list[_Corner] | None:
    """Spread the grid until the track is as long as wanted; None where it is too long unspread."""
    low, high = 0.0, 4.0
    closest = None
    for _ in range(40):
        middle = (low + high) / 2
        corners = lay(middle)
        if corners is not None and _length(corners) > length:
            high = middle
        else:
            low = middle
        closest = corners or closest
    return closest if closest is not None and abs(_length(closest) - length) < 0.001 else None


def _rounded(
    places: Floats, wishes: Sequence[tuple[float, float]], min_radius: float
) -> list[_Corner] | None:
    """Round the corners of a polygon; None where a bend of the least radius does not fit.

    Every corner, in random order, takes a random share of the room that the others leave it. ``wishes``: the
    order and the share of each, 0..1. The result begins at the end of the longest straight.
    """
    count = len(places)
    ahead = np.roll(places, -1, axis=0) - places
    edges = np.linalg.norm(ahead, axis=1)
    yaws = np.arctan2(ahead[:, 0], ahead[:, 1])
    turns = (yaws - np.roll(yaws, 1) + math.pi) % (2 * math.pi) - math.pi
    sizes = np.abs(turns)
    if sizes.max() > SHARPEST:
        return None
    longest = int(np.argmax(edges))
    per_radius = np.tan(sizes / 2)
    handle = 4 / 3 * np.tan(sizes / np.where(sizes > ONE_PIECE, 8, 4))
    reach = per_radius + handle  # metres of both straights that a bend of radius 1 m takes
    room = edges.copy()
    room[longest] -= START_STRAIGHT
    radii = np.full(count, FLATTENING * min_radius)
    room -= reach * radii + np.roll(reach * radii, -1)
    if room.min() < 0:
        return None
    for corner in sorted(range(count), key=lambda index: wishes[index]):
        most = min(room[corner], room[corner - 1]) / max(reach[corner], 1e-6)
        grown = min(wishes[corner][1] * most, LARGEST_RADIUS - FLATTENING * min_radius)
        radii[corner] += grown
        room[corner] -= grown * reach[corner]
        room[corner - 1] -= grown * reach[corner]
    order = [(longest + 1 + index) % count for index in range(count)]
    return [
        _Corner(*places[i], turns[i], radii[i], radii[i] * per_radius[i], radii[i] * handle[i]) for i in order
    ]


def _length(corners: Sequence[_Corner]) -> float:
    total = 0.0
    for index, corner in enumerate(corners):
        before = corners[index - 1]
        total += math.hypot(corner.x - before.x, corner.z - before.z)
        total += corner.radius * abs(corner.turn) - 2 * corner.tangent
    return total


def _turned(corners: Sequence[_Corner], angle: float) -> list[_Corner]:
    """The same track in another direction."""
    sine, cosine = math.sin(angle), math.cos(angle)
    return [
        _Corner(c.x * cosine + c.z * sine, c.z * cosine - c.x * sine, c.turn, c.radius, c.tangent, c.handle)
        for c in corners
    ]


def _entry(corners: Sequence[_Corner], index: int) -> tuple[float, float, float]:
    """Where the arc of a corner begins: x, z and yaw."""
    corner, before = corners[index], corners[index - 1]
    yaw = math.atan2(corner.x - before.x, corner.z - before.z)
    return corner.x - corner.tangent * math.sin(yaw), corner.z - corner.tangent * math.cos(yaw), yaw


def _along(entry: tuple[float, float, float], corner: _Corner, share: float) -> tuple[float, float, float]:
    """A place on a corner's arc: x, z and yaw."""
    x, z, yaw = entry
    side = math.copysign(corner.radius, corner.turn)
    after = yaw + share * corner.turn
    return (
        x + side * (math.cos(yaw) - math.cos(after)),
        z + side * (math.sin(after) - math.sin(yaw)),
        after,
    )


def _dense(corners: Sequence[_Corner]) -> Floats:
    """The centre line as points about DENSE metres apart, float64 [N, 2] of x, z."""
    points: list[tuple[float, float]] = []
    for index, corner in enumerate(corners):
        entry = _entry(corners, index)
        pieces = max(math.ceil(corner.radius * abs(corner.turn) / DENSE), 1)
        points += [_along(entry, corner, piece / pieces)[:2] for piece in range(pieces)]
        x, z, _ = _along(entry, corner, 1.0)
        next_x, next_z, _ = _entry(corners, (index + 1) % len(corners))
        pieces = max(math.ceil(math.hypot(next_x - x, next_z - z) / DENSE), 1)
        points += [
            (x + (next_x - x) * piece / pieces, z + (next_z - z) * piece / pieces) for piece in range(pieces)
        ]
    return np.array(points)


def _nodes(corners: Sequence[_Corner]) -> list[dict[str, Any]]:
    """The track's nodes, the finish line in the middle of the straight before the first corner, at 0, 0."""
    x, z, yaw = _entry(corners, 0)
    last = _along(_entry(corners, len(corners) - 1), corners[-1], 1.0)
    home_x, home_z = (x + last[0]) / 2, (z + last[1]) / 2
    # Two handles that do not overlap on either half of the straight: the corners' are within its ends.
    start = level_node(0.0, 0.0, yaw, START_STRAIGHT / 4)
    nodes = [start]
    for index, corner in enumerate(corners):
        entry = _entry(corners, index)
        pieces = 2 if abs(corner.turn) > ONE_PIECE else 1
        for piece in range(pieces + 1):
            at_x, at_z, at_yaw = _along(entry, corner, piece / pieces)
            nodes.append(level_node(at_x - home_x, at_z - home_z, at_yaw, corner.handle))
    return [*nodes, start]


def level_node(x: float, z: float, yaw: float, handle: float) -> dict[str, Any]:
    """A track file's node on level ground: x, z and the length of its handle in metres, yaw in radians."""
    return {
        "position": _xyz(x, 0.0, z),
        "direction": _xyz(x + handle * math.sin(yaw), 0.0, z + handle * math.cos(yaw)),
        "up": _xyz(0.0, 1.0, 0.0),
        "scale": {"x": 1.0, "y": 1.0},
        "roll": 0.0,
    }


def _xyz(x: float, y: float, z: float) -> dict[str, float]:
    return {"x": round(x, 4) + 0.0, "y": round(y, 4) + 0.0, "z": round(z, 4) + 0.0}
