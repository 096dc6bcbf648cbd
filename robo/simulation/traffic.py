"""The cars of a flat world side by side: alone while no other is near, else step by step together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from robo.simulation import physics
from robo.simulation.collisions import Flags, collide_all, find_near, is_free
from robo.simulation.physics import Floats, Ints

LONGEST_FRAME = 9 / physics.STEPS_PER_SECOND
"""Seconds of physics in a frame, at most."""


class Traffic:
    """States and memories of all cars, a row a car, in the order they joined.

    ``states``: float64 [N, 12], ``memories``: int64 [N, 5], as ``physics`` has them; new arrays after
    each ``add`` and ``remove``. With ``ghosts``, cars do not touch.
    """

    def __init__(self, line: Floats, boxes: Floats, *, ghosts: bool) -> None:
        """Take the centre line as ``physics.nearest`` wants it, and the boxes of ``physics.hold_off``."""
        self._line = line
        self._boxes = boxes
        self._ghosts = ghosts
        self.states = np.zeros((0, physics.STATE_SIZE))
        self.memories = np.zeros((0, physics.MEMORY_SIZE), np.int64)
        self._contacts = np.zeros((0, 0), np.int64)
        # The first call of a kernel loads it, which takes milliseconds: now, rather than when two cars meet.
        for _ in range(2):
            self.add()
        self.drive(1, [(0.0, 0.0, 0.0)] * 2)
        for _ in range(2):
            self.remove(0)

    def add(self) -> int:
        """Append a car; its row."""
        self.states = np.pad(self.states, ((0, 1), (0, 0)))
        self.memories = np.pad(self.memories, ((0, 1), (0, 0)))
        self._contacts = np.pad(self._contacts, ((0, 1), (0, 1)))
        self._resize()
        return len(self.states) - 1

    def remove(self, row: int) -> None:
        """Take a car out; the rows of those behind it move up."""
        self.states = np.delete(self.states, row, axis=0)
        self.memories = np.delete(self.memories, row, axis=0)
        self._contacts = np.delete(np.delete(self._contacts, row, axis=0), row, axis=1)
        self._resize()

    def drive(
        self, steps: int, controls: Sequence[tuple[float, float, float]]
    ) -> tuple[list[tuple[int, float]], list[tuple[int, int]]]:
        """Advance every car by ``steps`` of 2 ms; controls are throttle, brake and turn of each.

        Returns what ``physics.drive`` does for each car, and the rows of cars that touched one another anew,
        each pair both ways round.
        """
        count = len(controls)
        together = 0
        if count > 1 and not self._ghosts:
            together = find_near(self.states, self._heights, LONGEST_FRAME, self._contacts, self._near)
        bumps: list[tuple[int, int]] = []
        if together:
            commands = np.array(controls)
            if _drive_together(
                self.states,
                self.memories,
                self._line,
                steps,
                commands,
                self._near,
                self._heights,
                self._contacts,
                self._happened,
                self._distances,
                self._bumped,
                self._boxes,
            ):
                bumps = [(int(i), int(j)) for i, j in np.argwhere(self._bumped)]
                self._bumped[:] = False
        results = []
        for row, (throttle, brake, turn) in enumerate(controls):
            if together and self._near[row]:
                results.append((int(self._happened[row]), float(self._distances[row])))
            else:
                state, memory = self.states[row], self.memories[row]
                results.append(
                    physics.drive(state, memory, self._line, steps, throttle, brake, turn, self._boxes)
                )
        return results, bumps

    def is_free(self, row: int, x: float, z: float, yaw: float) -> bool:
        """Whether the car in this row would touch no other one at a place (metres, radians)."""
        return self._ghosts or is_free(np.array([x, z, yaw]), self.states, self._heights, 0.0, row)

    def _resize(self) -> None:
        count = len(self.states)
        self._near = np.zeros(count, np.bool_)
        self._heights = np.zeros(count)
        self._happened = np.zeros(count, np.int64)
        self._distances = np.zeros(count)
        self._bumped = np.zeros((count, count), np.bool_)


@njit(cache=True)
def _drive_together(  # noqa: PLR0917 numba kernels take their state as flat arguments
    states: Floats,
    memories: Ints,
    line: Floats,
    steps: int,
    controls: Floats,
    near: Flags,
    heights: Floats,
    contacts: Ints,
    happened: Ints,
    distances: Floats,
    bumped: Flags,
    boxes: Floats,
) -> int:
    """As ``physics.drive`` does for the cars that are near others, in place, and let them collide.

    Fills ``happened`` and ``distances`` for them; returns how many pairs touched anew. To the bit the same as
    ``physics.drive`` for a car that touches nobody.
    """
    count = len(states)
    on_track = near.copy()
    index = np.empty(count, np.int64)
    where = np.empty(count)
    before = np.empty((count, 3))
    for car in range(count):
        if near[car]:
            happened[car] = 0
            state = states[car]
            hint = memories[car, physics.NEAREST]
            index[car], _, where[car] = physics.nearest(
                line, hint, physics.WALL_GATE, state[physics.X], state[physics.Z]
            )
    anew = 0
    for _ in range(steps):
        for car in range(count):
            if on_track[car]:
                before[car] = states[car, : physics.VX]
                physics.step(states[car], controls[car, 0], controls[car, 1], controls[car, 2])
        anew += collide_all(states, heights, on_track, contacts, bumped)
        # Walls and boxes come last: whoever pushes, they hold.
        for car in range(count):
            if not on_track[car]:
                continue
            place = (before[car, 0], before[car, 1], before[car, 2])
            new, index[car], where[car] = physics.among_walls(
                states[car], memories[car], line, index[car], place, boxes
            )
            happened[car] |= new
            if happened[car] & physics.RETURN:
                on_track[car] = False
    for car in range(count):
        if near[car]:
            memories[car, physics.NEAREST] = index[car]
            distances[car] = physics.distance_at(line, index[car], where[car])
    return anew
