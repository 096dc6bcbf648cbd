"""The car on a floor in three dimensions: the planar car in the floor's tangent plane, or in the air.

State of a car, float64 [25]: position (0-2), the way it faces (3-5) and its up (6-8), both of length 1,
velocity in m/s (9-11), world axes; the planar car of ``physics`` (12-23), of which yaw rate, wheels,
steering and grip last from step to step; what presses it to the floor (24), N.

On the floor its up is the floor's normal, which follows the surface as the car moves; the floor's curvature
under the moving car and gravity press it down, and where they would have to pull it down it flies. In the air
it keeps its orientation and falls.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation import physics
from robo.simulation.footing import centre, directions, distance, lateral_at, locate, normal
from robo.simulation.physics import (
    CORNER,
    DT,
    GRAVITY,
    HALF_BREADTH,
    HALF_LENGTH,
    MASS,
    NEAREST,
    OUTLINE,
    RETURN,
    SPIN,
    VX,
    VZ,
    WALL,
    WALL_GATE,
    WHEEL_INERTIA,
    YAW,
    YAW_INERTIA,
    YAW_RATE,
    X,
    Z,
    push_off,
)
from robo.simulation.rectangles import least_overlap
from robo.simulation.surface import POSITION, RIGHT, TANGENT
from robo.simulation.vectors import Vector, add, cross, dot, level, load, minus, store, turn, unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLACE, FORWARD, TOP, VELOCITY, PLANAR, LOAD = 0, 3, 6, 9, 12, 24
STATE_SIZE = 25

FLYING = physics.MEMORY_SIZE
MEMORY_SIZE = physics.MEMORY_SIZE + 1
"""int64 [6] of a car: that of ``physics``, and whether it is in the air."""

BEYOND = 4
"""A bit of what ``drive`` reports: no trigger sees the car, above or beside the track, or just come down on
another branch."""

REST_HEIGHT = 0.0484
"""Height of a car's origin above the floor, metres."""
WALL_HEIGHT = 0.15
HALF_HEIGHT = 0.03
"""Of a car's body, which stands on the floor."""
HALF = 9
"""Where in the ten numbers of a box half its edge is."""
HALF_FLOOR = 0.45
UPRIGHT = 0.5  # cosine of the tilt from which on a car that lands is on its side or its roof
REACH = 0.5
SINK = 0.002  # metres by which a landing may be seen late
MOST_LOAD = 20 * MASS * GRAVITY
OTHER_BRANCH = 40  # samples


@njit(cache=True)
def energy(state: Floats) -> float:
    """Of motion and of height over y = 0, joules."""
    return MASS * GRAVITY * state[PLACE + 1] + _moving(state)


@njit(cache=True)
def _moving(state: Floats) -> float:
    velocity = load(state, VELOCITY)
    spins = 0.0
    for wheel in range(4):
        spins += state[PLANAR + SPIN + wheel] ** 2
    yaw_rate = state[PLANAR + YAW_RATE]
    return 0.5 * (MASS * dot(velocity, velocity) + YAW_INERTIA * yaw_rate * yaw_rate + WHEEL_INERTIA * spins)


@njit(cache=True)
def drive(  # noqa: PLR0917 numba kernels take their state as flat arguments
    state: Floats,
    memory: Ints,
    samples: Floats,
    length: float,
    steps: int,
    throttle: float,
    brake: float,
    turning: float,
    boxes: Floats,
) -> tuple[int, float]:
    """Advance a car by ``steps`` of 2 ms, in place, on the floor of ``surface.samples``.

    ``boxes``: float64 [K, 10], middle, forward and up of each obstacle, and half its edge. Returns the bits
    CRASHED, RETURN (has to be put back on the track; the rest of the steps is left out) and BEYOND, and the
    car's distance along the centre line, metres.
    """
    happened = 0
    index, share = locate(samples, memory[NEAREST], WALL_GATE, load(state, PLACE))
    for _ in range(steps):
        new, index, share = step(state, memory, samples, index, throttle, brake, turning, boxes)
        happened |= new
        if happened & RETURN:
            break
    return happened | arrive(state, memory, samples, index, share), distance(samples, index, share, length)


@njit(cache=True)
def step(  # noqa: PLR0917 numba kernels take their state as flat arguments
    state: Floats,
    memory: Ints,
    samples: Floats,
    index: int,
    throttle: float,
    brake: float,
    turning: float,
    boxes: Floats,
) -> tuple[int, int, float]:
    """Advance a car by 2 ms, in place, from sample ``index``. What happened, and where it is now."""
    happened = 0
    before = energy(state)
    place, forward, top = load(state, PLACE), load(state, FORWARD), load(state, TOP)
    work = _push(state, throttle, brake, turning)
    if memory[FLYING]:
        index, share, touching, happened = _fly(state, memory, samples, index)
    else:
        index, share, touching = _follow(state, memory, samples, index)
    if len(boxes) > 0 and _hold_off(state, memory, boxes) >= 0.0:
        touching = True
        index, share = _hold_between(state, memory, samples, index, boxes, place, forward, top)
    _keep_energy(state, before + (max(work, 0.0) if throttle > 0.0 else 0.0), place, top)
    planar = state[PLANAR : PLANAR + physics.STATE_SIZE]
    happened |= physics._contact(memory, touching) | physics._slow(planar, memory)
    if state[PLACE + 1] < 0.0:
        happened |= RETURN
    return happened, index, share


@njit(cache=True)
def arrive(state: Floats, memory: Ints, samples: Floats, index: int, share: float) -> int:
    """End a frame: remember where the car is; BEYOND where no trigger sees it."""
    memory[NEAREST] = index
    if memory[FLYING] and _out_of_reach(samples, index, share, load(state, PLACE)):
        return BEYOND
    return 0


@njit(cache=True)
def _push(state: Floats, throttle: float, brake: float, turning: float) -> float:
    """Gravity, motor and tyres: change the velocity and turn the car; the place stays.

    Returns the work that motor and tyres did, joules.
    """
    forward, up = load(state, FORWARD), load(state, TOP)
    right = cross(up, forward)
    velocity = load(state, VELOCITY)
    velocity = (velocity[0], velocity[1] - DT * GRAVITY, velocity[2])
    planar = state[PLANAR : PLANAR + physics.STATE_SIZE]
    planar[X] = planar[Z] = planar[YAW] = 0.0
    planar[VX], planar[VZ] = dot(velocity, right), dot(velocity, forward)
    store(state, VELOCITY, velocity)
    before = _moving(state)
    physics.advance(planar, throttle, brake, turning, 0.25 * state[LOAD])
    rising = dot(velocity, up)
    velocity = add(add((0.0, 0.0, 0.0), right, planar[VX]), forward, planar[VZ])
    store(state, VELOCITY, add(velocity, up, rising))
    turned = planar[YAW]
    forward = add(add((0.0, 0.0, 0.0), forward, math.cos(turned)), right, math.sin(turned))
    store(state, FORWARD, unit(level(forward, up)))
    planar[YAW] = 0.0
    return _moving(state) - before


@njit(cache=True)
def _follow(state: Floats, memory: Ints, samples: Floats, index: int) -> tuple[int, float, bool]:
    """Move a car over the floor for one step: index and share of its place, and whether it touches a wall."""
    up = load(state, TOP)
    velocity = level(load(state, VELOCITY), up)
    store(state, VELOCITY, velocity)
    store(state, PLACE, add(load(state, PLACE), velocity, DT))
    index, share = locate(samples, index, WALL_GATE, load(state, PLACE))
    after, lateral, off = _floor_at(state, samples, index, share)
    touching = abs(lateral) > WALL_GATE and _hold_inside(state, samples, index)
    if touching:
        index, share = locate(samples, index, WALL_GATE, load(state, PLACE))
        after, lateral, off = _floor_at(state, samples, index, share)
    store(state, PLACE, add(load(state, PLACE), after, REST_HEIGHT - dot(off, after)))
    velocity = load(state, VELOCITY)
    pressed = -dot(velocity, minus(after, up)) / DT
    _tilt(state, up, after)
    state[LOAD] = min(max(MASS * (GRAVITY * after[1] + pressed), 0.0), MOST_LOAD)
    memory[FLYING] = state[LOAD] == 0.0
    return index, share, touching


@njit(cache=True)
def _tilt(state: Floats, before: Vector, after: Vector) -> None:
    """Turn car and velocity with the floor, from one normal to another."""
    forward = turn(load(state, FORWARD), before, after)
    store(state, FORWARD, unit(level(forward, after)))
    store(state, VELOCITY, level(turn(load(state, VELOCITY), before, after), after))
    store(state, TOP, after)


@njit(cache=True)
def _fly(state: Floats, memory: Ints, samples: Floats, index: int) -> tuple[int, float, bool, int]:
    """Move a car through the air: index and share of its place, whether it touches a wall, and bits."""
    velocity = load(state, VELOCITY)
    store(state, PLACE, add(load(state, PLACE), velocity, DT))
    floor = _floor_below(state, samples)
    if floor >= 0:
        happened = _land(state, memory, samples, floor)
        count = len(samples)
        if (floor - index + OTHER_BRANCH) % count > 2 * OTHER_BRANCH:
            happened |= BEYOND
        index, share = locate(samples, floor, HALF_FLOOR, load(state, PLACE))
        return index, share, False, happened
    index, share = locate(samples, index, HALF_FLOOR, load(state, PLACE))
    _, up, right = directions(samples, index, share)
    off = minus(load(state, PLACE), centre(samples, index, share))
    between = abs(dot(off, right)) < WALL and 0.0 < dot(off, up) < WALL_HEIGHT + REST_HEIGHT
    return index, share, between and _hold_inside(state, samples, index), 0


@njit(cache=True)
def _floor_below(state: Floats, samples: Floats) -> int:
    """The sample of whichever branch's floor the car came down on in this step; -1: it did not."""
    place = load(state, PLACE)
    count = len(samples)
    for index in range(count):
        sample = samples[index]
        off = minus(place, load(sample, POSITION))
        if dot(off, off) > REACH * REACH or abs(dot(off, load(sample, RIGHT))) > HALF_FLOOR:
            continue
        past = dot(off, load(sample, TANGENT))
        if past < 0.0:
            continue
        after = samples[(index + 1) % count]
        ahead = -dot(minus(place, load(after, POSITION)), load(after, TANGENT))
        if ahead > 0.0 and _comes_down(state, samples, index, past / (past + ahead)):
            return index
    return -1


@njit(cache=True)
def _comes_down(state: Floats, samples: Floats, index: int, share: float) -> bool:
    """Whether the car passed the height at which it rests on the floor, downwards, in this step."""
    up, lateral, off = _floor_at(state, samples, index, share)
    height, rising = dot(off, up), dot(load(state, VELOCITY), up)
    return abs(lateral) <= HALF_FLOOR and rising < 0.0 and height < REST_HEIGHT <= height - DT * rising + SINK


@njit(cache=True)
def _floor_at(state: Floats, samples: Floats, index: int, share: float) -> tuple[Vector, float, Vector]:
    """The floor's normal under a car, where across the track that is, and the car's place from there."""
    tangent, rise, right = directions(samples, index, share)
    off = minus(load(state, PLACE), centre(samples, index, share))
    lateral = dot(off, right)
    return normal(samples, index, share, lateral, tangent, rise), lateral, add(off, right, -lateral)


@njit(cache=True)
def _land(state: Floats, memory: Ints, samples: Floats, floor: int) -> int:
    """Set a car down on the floor, with no bounce; RETURN if it came down on its side or its roof."""
    index, share = locate(samples, floor, HALF_FLOOR, load(state, PLACE))
    up, _, off = _floor_at(state, samples, index, share)
    if dot(load(state, TOP), up) < UPRIGHT:
        return RETURN
    store(state, PLACE, add(load(state, PLACE), up, REST_HEIGHT - dot(off, up)))
    store(state, VELOCITY, level(load(state, VELOCITY), up))
    store(state, FORWARD, unit(level(turn(load(state, FORWARD), load(state, TOP), up), up)))
    store(state, TOP, up)
    state[LOAD] = max(MASS * GRAVITY * up[1], 0.0)
    memory[FLYING] = 0
    return 0


@njit(cache=True)
def _hold_inside(state: Floats, samples: Floats, hint: int) -> bool:
    """Keep the body off the walls beside it, as ``physics.hold_inside`` does. True on contact."""
    touching = False
    planar = state[PLANAR : PLANAR + physics.STATE_SIZE]
    forward, up = load(state, FORWARD), load(state, TOP)
    across = cross(up, forward)
    velocity = load(state, VELOCITY)
    rising = dot(velocity, up)
    planar[VX], planar[VZ] = dot(velocity, across), dot(velocity, forward)
    for corner in range(len(OUTLINE)):
        arm, side = OUTLINE[corner, 0], OUTLINE[corner, 1]
        point = add(add(load(state, PLACE), forward, arm), across, side)
        lateral, right = lateral_at(samples, hint, WALL, point)
        if abs(lateral) <= WALL:
            continue
        touching = True
        way = -math.copysign(1.0, lateral)
        store(state, PLACE, add(load(state, PLACE), right, way * (abs(lateral) - WALL)))
        physics._strike(planar, side, arm, way * dot(right, across), way * dot(right, forward))
    velocity = add(add((0.0, 0.0, 0.0), across, planar[VX]), forward, planar[VZ])
    store(state, VELOCITY, add(velocity, up, rising))
    return touching


@njit(cache=True)
def _hold_between(  # noqa: PLR0917 numba kernels take their state as flat arguments
    state: Floats,
    memory: Ints,
    samples: Floats,
    hint: int,
    boxes: Floats,
    place: Vector,
    forward: Vector,
    top: Vector,
) -> tuple[int, float]:
    """As ``physics._hold_between``; the place, the way it faced and its up are those before the step."""
    fits = False
    for _ in range(physics.ROUNDS):
        index, share = locate(samples, hint, WALL_GATE, load(state, PLACE))
        _, up, right = directions(samples, index, share)
        off = minus(load(state, PLACE), centre(samples, index, share))
        if WALL_GATE < abs(dot(off, right)) < WALL and dot(off, up) < WALL_HEIGHT + REST_HEIGHT:
            _hold_inside(state, samples, index)
        fits = _hold_off(state, memory, boxes) <= physics.SLACK
        if fits:
            break
    if not fits:
        store(state, PLACE, place)
        store(state, FORWARD, forward)
        store(state, TOP, top)
        store(state, VELOCITY, (0.0, 0.0, 0.0))
        state[PLANAR + YAW_RATE] = 0.0
    return locate(samples, hint, WALL_GATE, load(state, PLACE))


@njit(cache=True)
def _hold_off(state: Floats, memory: Ints, boxes: Floats) -> float:
    """Keep the body off the boxes, as ``physics.hold_off`` does; how far it was in one, -1: it met none.

    A car that falls onto a box comes to rest on it.
    """
    deepest = -1.0
    planar = state[PLANAR : PLANAR + physics.STATE_SIZE]
    for number in range(len(boxes)):
        box = boxes[number]
        half = box[HALF]
        height, flat = _seen_by(state, box)
        over = half + HALF_HEIGHT - abs(height)
        if over <= 0.0 or math.hypot(flat[0], flat[1]) > CORNER + physics.SQUARE_ROOT_OF_2 * half:
            continue
        forward, up = load(state, FORWARD), load(state, TOP)
        across = cross(up, forward)
        velocity = load(state, VELOCITY)
        rising = dot(velocity, up)
        planar[X] = planar[Z] = planar[YAW] = 0.0
        planar[VX], planar[VZ] = dot(velocity, across), dot(velocity, forward)
        if memory[FLYING] and height < 0.0:
            overlap = least_overlap(flat, half, half, planar, HALF_LENGTH, HALF_BREADTH)[0]
            if over < overlap:
                store(state, PLACE, add(load(state, PLACE), up, over))
                store(state, VELOCITY, add(velocity, up, max(-rising, 0.0)))
                deepest = max(deepest, 0.0)
                continue
        overlap = push_off(planar, flat, half)
        if overlap > 0.0:
            deepest = max(deepest, overlap)
            store(state, PLACE, add(add(load(state, PLACE), across, planar[X]), forward, planar[Z]))
            velocity = add(add((0.0, 0.0, 0.0), across, planar[VX]), forward, planar[VZ])
            store(state, VELOCITY, add(velocity, up, rising))
            planar[X] = planar[Z] = 0.0
    return deepest


@njit(cache=True)
def near_box(state: Floats, room: float, boxes: Floats) -> bool:
    """Whether a car would touch one of the boxes were it ``room`` metres larger."""
    for number in range(len(boxes)):
        box = boxes[number]
        half = box[HALF] + room
        height, flat = _seen_by(state, box)
        if abs(height) >= half + HALF_HEIGHT:
            continue
        if least_overlap(flat, half, half, (0.0, 0.0, 0.0), HALF_LENGTH, HALF_BREADTH)[0] > 0.0:
            return True
    return False


@njit(cache=True)
def _seen_by(state: Floats, box: Floats) -> tuple[float, Vector]:
    """How far a box's middle is above that of a car, and where in its plane: to the right, ahead, and yaw."""
    forward, up = load(state, FORWARD), load(state, TOP)
    across = cross(up, forward)
    off = minus(load(box, 0), add(load(state, PLACE), up, HALF_HEIGHT - REST_HEIGHT))
    way = load(box, FORWARD)
    yaw = math.atan2(dot(way, across), dot(way, forward))
    return dot(off, up), (dot(off, across), dot(off, forward), yaw)


@njit(cache=True)
def _keep_energy(state: Floats, allowed: float, place: Vector, top: Vector) -> None:
    """Slow a car down by what the step's rounding of the way over a curved floor would have given it."""
    excess = energy(state) - allowed
    if excess <= 0.0:
        return
    moving = _moving(state)
    slower = 0.0
    if moving > excess:
        slower = math.sqrt(1.0 - excess / moving)
    else:
        store(state, PLACE, place)
        forward = turn(load(state, FORWARD), load(state, TOP), top)
        store(state, FORWARD, unit(level(forward, top)))
        store(state, TOP, top)
    for axis in range(3):
        state[VELOCITY + axis] *= slower
    for wheel in range(4):
        state[PLANAR + SPIN + wheel] *= slower
    state[PLANAR + YAW_RATE] *= slower


@njit(cache=True)
def _out_of_reach(samples: Floats, index: int, share: float, place: Vector) -> bool:
    """Whether a car in the air is outside the space that a trigger spans."""
    _, up, right = directions(samples, index, share)
    off = minus(place, centre(samples, index, share))
    return abs(dot(off, right)) > HALF_FLOOR or not 0.0 < dot(off, up) < WALL_HEIGHT + REST_HEIGHT
