"""The car on flat ground: four wheels on a rigid body in the plane, 500 Hz, compiled by numba.

State of a car, float64 [12]: x, z (metres), yaw (radians, 0 faces +z, right is +x), vx, vz (m/s, world
axes), yaw rate (rad/s), spin of the wheels front left, front right, rear left, rear right (rad/s), steering
(-1..1, +1 full left), and by what share its tyres grip better than nominal ones (0: nominal).

Tyres follow the similarity method (H. B. Pacejka, Tyre and Vehicle Dynamics, chapter 4): both slips are
divided by the slip at which they peak, the length of that vector gives the force's size and its direction
the force's direction.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.simulation.rectangles import clip, least_overlap

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS_PER_SECOND = 500
X, Z, YAW, VX, VZ, YAW_RATE, SPIN, STEERING, GRIP = 0, 1, 2, 3, 4, 5, 6, 10, 11
STATE_SIZE = 12

CONTACT, FREE, SLOW, MOVED, NEAREST = 0, 1, 2, 3, 4
MEMORY_SIZE = 5
"""int64 [5] of a car: steps since it touched a wall or a box (0: not touching), steps free of it since, steps
under 0.01 m/s, whether it has moved, and the index of the nearest piece of the centre line."""

HALF = 3
"""Where in the four numbers of a box half its edge is."""
SQUARE_ROOT_OF_2 = math.sqrt(2.0)

CRASHED, RETURN = 1, 2
"""Bits of what ``drive`` reports."""

DT = 1.0 / STEPS_PER_SECOND
GRAVITY = 9.81
WHEEL_MASS = 0.02
MASS = 0.553 + 4 * WHEEL_MASS
HALF_LENGTH = 0.1
HALF_BREADTH = 0.045
CORNER = math.hypot(HALF_LENGTH, HALF_BREADTH)
YAW_INERTIA = MASS * ((2 * HALF_LENGTH) ** 2 + (2 * HALF_BREADTH) ** 2) / 12
AXLE = 0.085
WHEEL_SIDE = 0.045
WHEEL_RADIUS = 0.023
WHEEL_INERTIA = 0.5 * WHEEL_MASS * WHEEL_RADIUS**2
WHEEL_DAMPING = 0.001
WHEEL_LOAD = MASS * GRAVITY / 4

MOTOR_TORQUE = 0.75
MOTOR_SPIN = 1800 * 2 * math.pi / 60
FULL_TORQUE_TO, KNEE, KNEE_TORQUE = 0.478, 0.518, 0.96
BRAKE_TORQUE = 100.0
MAX_STEERING_ANGLE = math.radians(30)
STEERING_PER_SECOND = 10.0

PEAK_SLIP = 0.4
PEAK_SLIP_ANGLE = 0.2
SLIDING_LONG, SLIDING_SIDE = 0.5, 0.75
SLIDING_FROM_LONG, SLIDING_FROM_SIDE = 0.8 / PEAK_SLIP, 0.5 / PEAK_SLIP_ANGLE
SLIP_SPEED_FLOOR = 0.25  # m/s; below it slips are of this speed, so that a car at rest stays at rest

# The body's outline where it is kept off the walls, forward and right of its centre: corners first, then
# along its sides and ends, which can meet the corner of a wall that points into a tight bend.
OUTLINE = np.array(
    [(arm, side) for arm in (HALF_LENGTH, -HALF_LENGTH) for side in (-HALF_BREADTH, HALF_BREADTH)]
    + [(arm, side) for arm in np.linspace(0.075, -0.075, 7) for side in (-HALF_BREADTH, HALF_BREADTH)]
    + [(arm, side) for arm in (HALF_LENGTH, -HALF_LENGTH) for side in (-0.015, 0.015)]
)
WALL = 0.44
WALL_GATE = 0.32  # no corner can reach a wall while the car's centre is nearer to the centre line
WALL_FRICTION = 0.15
FREE_STEPS = 10  # this long without contact ends a touch, so that a bounce is not a new crash
RETURN_AFTER_CONTACT = STEPS_PER_SECOND // 5
ROUNDS = 8
SLACK = 0.0005
"""How often a car is pushed off walls and boxes in turn, and what it may be in one of them then, metres."""
MOVING = 0.01
RETURN_AFTER_SLOW = 2 * STEPS_PER_SECOND
SEARCH = 60


@njit(cache=True)
def motor_curve(spin: float) -> float:
    """Share of the motor's torque left at a mean wheel spin in rad/s."""
    share = min(abs(spin) / MOTOR_SPIN, 1.0)
    if share <= FULL_TORQUE_TO:
        return 1.0
    if share <= KNEE:
        return 1.0 - (1.0 - KNEE_TORQUE) * (share - FULL_TORQUE_TO) / (KNEE - FULL_TORQUE_TO)
    return KNEE_TORQUE * (1.0 - share) / (1.0 - KNEE)


@njit(cache=True)
def friction(slip: float, slip_angle: float) -> float:
    """Force over load, for slips in units of their peaks: rises to 1 at length 1, then falls to sliding."""
    squared = slip * slip + slip_angle * slip_angle
    if squared < 1e-18:
        return 0.0
    rho = math.sqrt(squared)
    if rho <= 1.0:
        return rho * (1.5 - 0.5 * squared)
    forward = slip * slip / squared
    sliding = forward * SLIDING_LONG + (1.0 - forward) * SLIDING_SIDE
    sliding_from = forward * SLIDING_FROM_LONG + (1.0 - forward) * SLIDING_FROM_SIDE
    t = min((rho - 1.0) / (sliding_from - 1.0), 1.0)
    return 1.0 + (sliding - 1.0) * t * t * (3.0 - 2.0 * t)


@njit(cache=True)
def _wheel(  # noqa: PLR0917 numba kernels take their state as flat arguments
    spin: float, along: float, across: float, torque: float, brake: float, load: float
) -> tuple[float, float, float]:
    """One step of a wheel over ground that passes at ``along`` and ``across`` (m/s, wheel axes).

    ``load``: N, times the tyre's grip. Returns its new spin and the forces along and across. Spin takes a
    linearly implicit step with the secant stiffness of the tyre, since a wheel's inertia is too small for an
    explicit one at 500 Hz.
    """
    speed = max(abs(along), SLIP_SPEED_FLOOR)
    slip = (spin * WHEEL_RADIUS - along) / (speed * PEAK_SLIP)
    slip_angle = math.atan(across / speed) / PEAK_SLIP_ANGLE
    rho = math.sqrt(slip * slip + slip_angle * slip_angle)
    share = friction(slip, slip_angle) / rho if rho > 1e-9 else 1.5
    force_across = -load * share * slip_angle
    stiffness = load * share / (speed * PEAK_SLIP)

    inertia = WHEEL_INERTIA + DT * (WHEEL_DAMPING + stiffness * WHEEL_RADIUS * WHEEL_RADIUS)
    new_spin = (WHEEL_INERTIA * spin + DT * (torque + stiffness * WHEEL_RADIUS * along)) / inertia
    new_spin = _braked(new_spin, DT * brake / inertia)
    force_along = stiffness * (new_spin * WHEEL_RADIUS - along)
    limit = math.sqrt(max(load * load - force_across * force_across, 0.0))
    if abs(force_along) > limit:
        force_along = math.copysign(limit, force_along)
        inertia = WHEEL_INERTIA + DT * WHEEL_DAMPING
        new_spin = (WHEEL_INERTIA * spin + DT * (torque - WHEEL_RADIUS * force_along)) / inertia
        new_spin = _braked(new_spin, DT * brake / inertia)
    return new_spin, force_along, force_across


@njit(cache=True)
def _braked(spin: float, less: float) -> float:
    """A brake slows a wheel but never turns it back."""
    return math.copysign(max(abs(spin) - less, 0.0), spin)


@njit(cache=True)
def step(state: Floats, throttle: float, brake: float, turn: float) -> None:
    """Advance a car's state by 2 ms in place. Throttle and brake 0..1, turn -1..1."""
    advance(state, throttle, brake, turn, WHEEL_LOAD)


@njit(cache=True)
def advance(state: Floats, throttle: float, brake: float, turn: float, wheel_load: float) -> None:
    """Advance a car's state by 2 ms in place, each wheel pressed to the ground by ``wheel_load`` N."""
    slew = STEERING_PER_SECOND * DT
    state[STEERING] += min(max(turn - state[STEERING], -slew), slew)
    yaw, yaw_rate = state[YAW], state[YAW_RATE]
    sine, cosine = math.sin(yaw), math.cos(yaw)
    forward = state[VX] * sine + state[VZ] * cosine
    right = state[VX] * cosine - state[VZ] * sine
    angle = -state[STEERING] * MAX_STEERING_ANGLE
    sine_front, cosine_front = math.sin(angle), math.cos(angle)
    mean_spin = 0.25 * (state[SPIN] + state[SPIN + 1] + state[SPIN + 2] + state[SPIN + 3])
    torque = throttle * MOTOR_TORQUE * motor_curve(mean_spin)
    gripping = wheel_load * (1.0 + state[GRIP])
    force_forward = force_right = moment = 0.0
    for wheel in range(4):
        arm = AXLE if wheel < 2 else -AXLE
        side = WHEEL_SIDE if wheel % 2 else -WHEEL_SIDE
        sine_wheel = sine_front if wheel < 2 else 0.0
        cosine_wheel = cosine_front if wheel < 2 else 1.0
        ahead = forward - yaw_rate * side
        aside = right + yaw_rate * arm
        spin, along, across = _wheel(
            state[SPIN + wheel],
            ahead * cosine_wheel + aside * sine_wheel,
            aside * cosine_wheel - ahead * sine_wheel,
            torque,
            brake * BRAKE_TORQUE,
            gripping,
        )
        state[SPIN + wheel] = spin
        wheel_forward = along * cosine_wheel - across * sine_wheel
        wheel_right = along * sine_wheel + across * cosine_wheel
        force_forward += wheel_forward
        force_right += wheel_right
        moment += wheel_right * arm - wheel_forward * side
    state[VX] += DT / MASS * (force_forward * sine + force_right * cosine)
    state[VZ] += DT / MASS * (force_forward * cosine - force_right * sine)
    state[YAW_RATE] += DT / YAW_INERTIA * moment
    state[X] += DT * state[VX]
    state[Z] += DT * state[VZ]
    state[YAW] = (yaw + DT * state[YAW_RATE] + math.pi) % (2 * math.pi) - math.pi


@njit(cache=True)
def project(line: Floats, index: int, x: float, z: float) -> tuple[float, float]:
    """Squared distance from a point to piece ``index`` of the centre line, and where on the piece, 0..1."""
    dx, dz = line[index, 2], line[index, 3]
    px, pz = x - line[index, 0], z - line[index, 1]
    t = min(max((px * dx + pz * dz) / (dx * dx + dz * dz), 0.0), 1.0)
    px -= t * dx
    pz -= t * dz
    return px * px + pz * pz, t


@njit(cache=True)
def nearest(line: Floats, hint: int, enough: float, x: float, z: float) -> tuple[int, float, float]:
    """The piece of the centre line nearest to a point: index, squared distance, where on the piece.

    Walks from ``hint`` while that gets nearer, and only where that ends farther away than ``enough`` looks at
    more pieces: inside a tight bend the walk can end on the wrong side of it.
    ``line``: float64 [N, 5] of x, z, dx, dz, distance of each piece's start.
    """
    count = len(line)
    best, squared, where = _walk(line, hint, x, z)
    if squared > enough * enough:
        for offset in range(-SEARCH, SEARCH + 1):
            index = (hint + offset) % count
            found, t = project(line, index, x, z)
            if found < squared:
                best, squared, where = index, found, t
    return best, squared, where


@njit(cache=True)
def _walk(line: Floats, hint: int, x: float, z: float) -> tuple[int, float, float]:
    count = len(line)
    best = hint
    squared, where = project(line, hint, x, z)
    for way in (-1, 1):
        for _ in range(count):
            index = (best + way) % count
            found, t = project(line, index, x, z)
            if found >= squared:
                break
            best, squared, where = index, found, t
    return best, squared, where


@njit(cache=True)
def hold_inside(state: Floats, line: Floats, hint: int) -> bool:
    """Keep the body off the walls: push the car back and take its speed into the wall. True on contact."""
    touching = False
    for corner in range(len(OUTLINE)):
        sine, cosine = math.sin(state[YAW]), math.cos(state[YAW])
        arm, side = OUTLINE[corner, 0], OUTLINE[corner, 1]
        reach_x = arm * sine + side * cosine
        reach_z = arm * cosine - side * sine
        x, z = state[X] + reach_x, state[Z] + reach_z
        index, squared, where = nearest(line, hint, WALL, x, z)
        if squared <= WALL * WALL:
            continue
        touching = True
        distance = math.sqrt(squared)
        inward_x = (line[index, 0] + where * line[index, 2] - x) / distance
        inward_z = (line[index, 1] + where * line[index, 3] - z) / distance
        state[X] += (distance - WALL) * inward_x
        state[Z] += (distance - WALL) * inward_z
        _strike(state, reach_x, reach_z, inward_x, inward_z)
    return touching


@njit(cache=True)
def _strike(state: Floats, reach_x: float, reach_z: float, inward_x: float, inward_z: float) -> None:
    """Impulse of a wall on a point of the body: no bounce, a little friction along the wall."""
    speed_x = state[VX] + state[YAW_RATE] * reach_z
    speed_z = state[VZ] - state[YAW_RATE] * reach_x
    into = speed_x * inward_x + speed_z * inward_z
    if into >= 0.0:
        return
    lever = reach_z * inward_x - reach_x * inward_z
    normal = -into / (1.0 / MASS + lever * lever / YAW_INERTIA)
    along_x, along_z = -inward_z, inward_x
    sliding = speed_x * along_x + speed_z * along_z
    lever_along = reach_z * along_x - reach_x * along_z
    stopping = abs(sliding) / (1.0 / MASS + lever_along * lever_along / YAW_INERTIA)
    rub = -math.copysign(min(WALL_FRICTION * normal, stopping), sliding)
    impulse_x = normal * inward_x + rub * along_x
    impulse_z = normal * inward_z + rub * along_z
    state[VX] += impulse_x / MASS
    state[VZ] += impulse_z / MASS
    state[YAW_RATE] += (reach_z * impulse_x - reach_x * impulse_z) / YAW_INERTIA


@njit(cache=True)
def hold_off(state: Floats, boxes: Floats) -> float:
    """Keep the body off the boxes, as ``hold_inside`` does off the walls; how far it was in one, metres.

    ``boxes``: float64 [K, 4], x, z and yaw of each and half its edge.
    """
    deepest = 0.0
    for index in range(len(boxes)):
        box = boxes[index]
        dx, dz, reach = box[X] - state[X], box[Z] - state[Z], CORNER + SQUARE_ROOT_OF_2 * box[HALF]
        if dx * dx + dz * dz < reach * reach:
            deepest = max(deepest, push_off(state, (box[X], box[Z], box[YAW]), box[HALF]))
    return deepest


@njit(cache=True)
def push_off(state: Floats, box: tuple[float, float, float], half: float) -> float:
    """Keep the body off one box: x, z and yaw, and half its edge. How far it was in it, metres."""
    overlap, away_x, away_z, of_car, end = least_overlap(box, half, half, state, HALF_LENGTH, HALF_BREADTH)
    if overlap <= 0.0:
        return 0.0
    if of_car:
        touch = clip(state, HALF_LENGTH, HALF_BREADTH, box, half, half, -away_x, -away_z, end)
    else:
        touch = clip(box, half, half, state, HALF_LENGTH, HALF_BREADTH, away_x, away_z, end)
    first, first_depth, second, second_depth = touch
    first_x, first_z = first[0] - state[X], first[1] - state[Z]
    second_x, second_z = second[0] - state[X], second[1] - state[Z]
    state[X] += overlap * away_x
    state[Z] += overlap * away_z
    total = first_depth + second_depth
    share = first_depth / total if total > 0.0 else 0.5
    # The middle first: a car that meets a box squarely must not start to turn.
    middle_x = share * first_x + (1.0 - share) * second_x
    middle_z = share * first_z + (1.0 - share) * second_z
    _strike(state, middle_x, middle_z, away_x, away_z)
    if first_depth > 0.0 and second_depth > 0.0:
        _strike(state, first_x, first_z, away_x, away_z)
        _strike(state, second_x, second_z, away_x, away_z)
    return overlap


@njit(cache=True)
def _hold_between(
    state: Floats, line: Floats, hint: int, before: tuple[float, float, float], boxes: Floats
) -> tuple[int, float]:
    """Keep a car that touches a box off walls and boxes at once; the nearest piece and where on it.

    Where there is no room for it, it stays as it was ``before`` the step, and stops.
    """
    fits = False
    for _ in range(ROUNDS):
        index, squared, _ = nearest(line, hint, WALL_GATE, state[X], state[Z])
        if squared > WALL_GATE * WALL_GATE:
            hold_inside(state, line, index)
        fits = hold_off(state, boxes) <= SLACK
        if fits:
            break
    if not fits:
        state[X], state[Z], state[YAW] = before
        state[VX] = state[VZ] = state[YAW_RATE] = 0.0
    index, _, where = nearest(line, hint, WALL_GATE, state[X], state[Z])
    return index, where


@njit(cache=True)
def near_box(x: float, z: float, yaw: float, room: float, boxes: Floats) -> bool:
    """Whether a car at a place (metres, radians) would touch one of the boxes were it ``room`` m larger."""
    for index in range(len(boxes)):
        box = boxes[index]
        half = box[HALF] + room
        if least_overlap((x, z, yaw), HALF_LENGTH, HALF_BREADTH, box, half, half)[0] > 0.0:
            return True
    return False


@njit(cache=True)
def drive(  # noqa: PLR0917 numba kernels take their state as flat arguments
    state: Floats,
    memory: Ints,
    line: Floats,
    steps: int,
    throttle: float,
    brake: float,
    turn: float,
    boxes: Floats,
) -> tuple[int, float]:
    """Advance a car among its walls and boxes by ``steps`` of 2 ms, in place.

    Returns the bits CRASHED (touched one of them anew) and RETURN (has to be put back on the track; the rest
    of the steps is left out), and the car's distance along the centre line, metres.
    """
    happened = 0
    index, _, where = nearest(line, memory[NEAREST], WALL_GATE, state[X], state[Z])
    for _ in range(steps):
        before = (state[X], state[Z], state[YAW])
        step(state, throttle, brake, turn)
        new, index, where = among_walls(state, memory, line, index, before, boxes)
        happened |= new
        if happened & RETURN:
            break
    memory[NEAREST] = index
    return happened, distance_at(line, index, where)


@njit(cache=True)
def among_walls(  # noqa: PLR0917
    state: Floats,
    memory: Ints,
    line: Floats,
    hint: int,
    before: tuple[float, float, float],
    boxes: Floats,
) -> tuple[int, int, float]:
    """What follows each step: keep the car off walls and boxes and note what happened to it.

    ``before``: x, z and yaw before the step. Returns the bits, and the piece of the centre line that is
    nearest with where on it, as ``nearest`` does.
    """
    index, squared, where = nearest(line, hint, WALL_GATE, state[X], state[Z])
    touching = False
    if squared > WALL_GATE * WALL_GATE:
        touching = hold_inside(state, line, index)
    if len(boxes) > 0 and hold_off(state, boxes) > 0.0:
        touching = True
        index, where = _hold_between(state, line, index, before, boxes)
    return _contact(memory, touching) | _slow(state, memory), index, where


@njit(cache=True)
def distance_at(line: Floats, index: int, where: float) -> float:
    """Metres along the centre line of a place on piece ``index``, 0..1."""
    return line[index, 4] + where * math.sqrt(line[index, 2] ** 2 + line[index, 3] ** 2)


@njit(cache=True)
def _contact(memory: Ints, touching: bool) -> int:
    if memory[CONTACT] == 0:
        if not touching:
            return 0
        memory[CONTACT] = 1
        memory[FREE] = 0
        return CRASHED
    memory[CONTACT] += 1
    memory[FREE] = 0 if touching else memory[FREE] + 1
    if memory[FREE] >= FREE_STEPS:
        memory[CONTACT] = 0
        return 0
    return RETURN if touching and memory[CONTACT] > RETURN_AFTER_CONTACT else 0


@njit(cache=True)
def _slow(state: Floats, memory: Ints) -> int:
    forward = state[VX] * math.sin(state[YAW]) + state[VZ] * math.cos(state[YAW])
    if forward >= MOVING:
        memory[MOVED] = 1
        memory[SLOW] = 0
        return 0
    memory[SLOW] += memory[MOVED]
    return RETURN if memory[SLOW] >= RETURN_AFTER_SLOW else 0
