"""Random closed lines on a grid: the outlines of polyominoes, which never touch themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

Cell = tuple[int, int]
Random = Callable[[], float]
"""The next number in 0..1 of a random stream."""

SIDES: tuple[Cell, ...] = ((1, 0), (0, 1), (-1, 0), (0, -1))
RING: tuple[Cell, ...] = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
"""The cells around a cell, in order round it; every second one shares a side with it."""


def random_outline(random: Random, perimeter: int, slimness: float) -> list[Cell]:
    """Corners of the outline of a random polyomino, anticlockwise (right then up), of about ``perimeter``.

    Cells are added one by one such that there is never a hole, nor two cells that meet at a corner only: the
    outline is one loop that passes no grid point twice. ``slimness`` 0 takes any cell, more prefers those
    with few neighbours, which makes arms rather than lumps.
    """
    cells: set[Cell] = {(0, 0)}
    around = 4
    while around < perimeter:
        candidates = sorted(
            {(x + dx, y + dy) for x, y in cells for dx, dy in SIDES if _can_join((x + dx, y + dy), cells)}
        )
        weights = [math.exp(-slimness * _neighbours(cell, cells)) for cell in candidates]
        cell = candidates[_pick(weights, random)]
        around += 4 - 2 * _neighbours(cell, cells)
        cells.add(cell)
    return _corners(cells)


def _neighbours(cell: Cell, cells: set[Cell]) -> int:
    return sum((cell[0] + dx, cell[1] + dy) in cells for dx, dy in SIDES)


def _can_join(cell: Cell, cells: set[Cell]) -> bool:
    """Whether the filled cells round this free one follow each other without a break."""
    if cell in cells:
        return False
    filled = [(cell[0] + dx, cell[1] + dy) in cells for dx, dy in RING]
    return sum(filled[i] and not filled[i - 1] for i in range(len(filled))) == 1


def _pick(weights: list[float], random: Random) -> int:
    left = random() * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1


def _corners(cells: set[Cell]) -> list[Cell]:
    """Walk round the cells with them on the left, from their lowest, leftmost corner."""
    after: dict[Cell, Cell] = {}
    for x, y in cells:
        square = ((x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1))
        for side, (dx, dy) in enumerate(((0, -1), (1, 0), (0, 1), (-1, 0))):
            if (x + dx, y + dy) not in cells:
                after[square[side]] = square[(side + 1) % 4]
    start = here = min(after)
    corners = []
    before = next(point for point, following in after.items() if following == start)
    while True:
        following = after[here]
        if (here[0] - before[0], here[1] - before[1]) != (following[0] - here[0], following[1] - here[1]):
            corners.append(here)
        before, here = here, following
        if here == start:
            return corners
