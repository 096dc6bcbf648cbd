"""The cars of a track in three dimensions side by side, step by step together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from robo.simulation import surface_physics
from robo.simulation.collisions import REACH, Flags, note_touch
from robo.simulation.footing import distance, locate
from robo.simulation.physics import NEAREST, RETURN, WALL_GATE, YAW_RATE, Floats, Ints
from robo.simulation.space_collisions import collide_in_space
from robo.simulation.surface_physics import MEMORY_SIZE, PLACE, PLANAR, STATE_SIZE, TOP, near_box
from robo.simulation.vectors import load

SPIN = PLANAR + YAW_RATE
"""Where in a state the yaw rate is."""


class ReliefTraffic:
    """States and memories of all cars, a row a car, in the order they joined.

    ``states``: float64 [N, 25], ``memories``: int64 [N, 6], as ``surface_physics`` has them; new arrays after
    each ``add`` and ``remove``. With ``ghosts``, cars do not touch.
    """

    def __init__(self, samples: Floats, length: float, boxes: Floats, *, ghosts: bool) -> None:
        """Take the floor's samples, the length of the centre line, metres, and the boxes on the floor."""
        self._samples = samples
        self._boxes = boxes
        self._length = length
        self._ghosts = ghosts
        self.states = np.zeros((0, STATE_SIZE))
        self.memories = np.zeros((0, MEMORY_SIZE), np.int64)
        self._contacts = np.zeros((0, 0), np.int64)

    def add(self) -> None:
        """Append a car."""
        self.states = np.pad(self.states, ((0, 1), (0, 0)))
        self.memories = np.pad(self.memories, ((0, 1), (0, 0)))
        self._contacts = np.pad(self._contacts, ((0, 1), (0, 1)))

    def remove(self, row: int) -> None:
        """Take a car out; the rows of those behind it move up."""
        self.states = np.delete(self.states, row, axis=0)
        self.memories = np.delete(self.memories, row, axis=0)
        self._contacts = np.delete(np.delete(self._contacts, row, axis=0), row, axis=1)

    def drive(
        self, steps: int, controls: Sequence[tuple[float, float, float]]
    ) -> tuple[list[tuple[int, float]], list[tuple[int, int]]]:
        """Advance every car by ``steps`` of 2 ms; controls are throttle, brake and turn of each.

        Returns what ``surface_physics.drive`` does for each car, and the rows of cars that touched one
        another anew, each pair both ways round.
        """
        count = len(controls)
        happened, distances = np.zeros(count, np.int64), np.zeros(count)
        bumped = np.zeros((count, count), np.bool_)
        _drive_together(
            self.states,
            self.memories,
            self._samples,
            self._length,
            steps,
            np.array(controls).reshape(count, 3),
            self._ghosts,
            self._contacts,
            happened,
            distances,
            bumped,
            self._boxes,
        )
        results = list(zip(happened.tolist(), distances.tolist(), strict=True))
        return results, [(int(i), int(j)) for i, j in np.argwhere(bumped)]

    def is_free(self, row: int, place: Floats) -> bool:
        """Whether no other car is so near to a place, x, y, z, that the car in this row could touch it."""
        others = np.delete(self.states[:, PLACE : PLACE + 3], row, axis=0)
        return self._ghosts or not (np.linalg.norm(others - place, axis=1) < REACH).any()


@njit(cache=True)
def _drive_together(  # noqa: PLR0917 numba kernels take their state as flat arguments
    states: Floats,
    memories: Ints,
    samples: Floats,
    length: float,
    steps: int,
    controls: Floats,
    ghosts: bool,
    contacts: Ints,
    happened: Ints,
    distances: Floats,
    bumped: Flags,
    boxes: Floats,
) -> None:
    """As ``surface_physics.drive`` for every car, in place, letting those collide that meet.

    Fills ``happened``, ``distances`` and ``bumped``. To the bit the same as ``surface_physics.drive`` for a
    car that touches nobody.
    """
    count = len(states)
    index, share = np.empty(count, np.int64), np.empty(count)
    held = np.empty((count, TOP))
    for car in range(count):
        index[car], share[car] = locate(samples, memories[car, NEAREST], WALL_GATE, load(states[car], PLACE))
    for _ in range(steps):
        for car in range(count):
            if happened[car] & RETURN:
                continue
            throttle, brake, turning = controls[car, 0], controls[car, 1], controls[car, 2]
            new, index[car], share[car] = surface_physics.step(
                states[car], memories[car], samples, index[car], throttle, brake, turning, boxes
            )
            happened[car] |= new
        if ghosts:
            continue
        if len(boxes) > 0:
            held[:] = states[:, :TOP]
        for i in range(count):
            for j in range(i + 1, count):
                on_track = not (happened[i] | happened[j]) & RETURN
                touching = on_track and collide_in_space(states[i], states[j], SPIN)
                note_touch(contacts, bumped, i, j, touching)
        if len(boxes) > 0:
            for car in range(count):
                # Nobody is pushed into a box; with the speed that is kept it hits the box in the next step.
                if near_box(states[car], 0.0, boxes):
                    states[car, :TOP] = held[car]
    for car in range(count):
        state, memory = states[car], memories[car]
        happened[car] |= surface_physics.arrive(state, memory, samples, index[car], share[car])
        distances[car] = distance(samples, index[car], share[car], length)
