import math

import numpy as np
import pytest

from robo.simulation import physics
from robo.simulation.physics import SPIN, STEERING, VX, VZ, YAW, YAW_RATE, X, Z


def at_rest() -> np.ndarray:
    return np.zeros(physics.STATE_SIZE)


def rolling(speed: float) -> np.ndarray:
    state = at_rest()
    state[VZ] = speed
    state[SPIN : SPIN + 4] = speed / physics.WHEEL_RADIUS
    return state


def drive(
    state: np.ndarray, seconds: float, throttle: float = 0.0, brake: float = 0.0, turn: float = 0.0
) -> np.ndarray:
    for _ in range(round(seconds * physics.STEPS_PER_SECOND)):
        physics.step(state, throttle, brake, turn)
    return state


def speed_of(state: np.ndarray) -> float:
    return math.hypot(state[VX], state[VZ])


def radius_of(state: np.ndarray) -> float:
    return speed_of(state) / abs(state[YAW_RATE])


def energy(state: np.ndarray) -> float:
    return 0.5 * (
        physics.MASS * speed_of(state) ** 2
        + physics.YAW_INERTIA * state[YAW_RATE] ** 2
        + physics.WHEEL_INERTIA * float((state[SPIN : SPIN + 4] ** 2).sum())
    )


@pytest.mark.parametrize(("throttle", "speed"), [(0.1, 1.72), (0.02, 0.345)])
def test_steady_speed_on_a_straight(throttle: float, speed: float) -> None:
    state = drive(at_rest(), 10, throttle)
    assert state[VZ] == pytest.approx(speed, rel=0.02)
    assert state[X] == state[VX] == state[YAW] == 0.0


def test_a_car_at_rest_stays_at_rest() -> None:
    assert not drive(at_rest(), 2, turn=0.0).any()
    steered = drive(at_rest(), 2, turn=1.0)
    assert steered[STEERING] == 1.0
    steered[STEERING] = 0.0
    assert not steered.any()


def test_steering_slews_from_0_to_full_in_a_tenth_of_a_second() -> None:
    state = drive(at_rest(), 0.05, turn=1.0)
    assert state[STEERING] == pytest.approx(0.5, abs=1e-9)
    assert drive(state, 0.052, turn=1.0)[STEERING] == 1.0


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_a_positive_turn_is_to_the_left(turn: float) -> None:
    state = drive(at_rest(), 0.5, 0.05, turn=turn)
    assert math.copysign(1.0, -state[YAW]) == turn
    assert math.copysign(1.0, -state[X]) == turn


def test_turning_radius_at_low_speed_is_that_of_the_wheelbase() -> None:
    state = drive(at_rest(), 6, 0.02, turn=1.0)
    behind_the_centre = math.hypot(0.17 / math.tan(math.radians(30)), 0.085)
    assert radius_of(state) == pytest.approx(behind_the_centre, rel=0.1)


def test_the_tightest_turn_at_full_learning_speed_is_limited_by_grip() -> None:
    state = drive(drive(rolling(1.72), 0.2, 0.1), 1.5, 0.11, turn=1.0)
    assert speed_of(state) == pytest.approx(1.7, abs=0.06)
    assert 0.28 < radius_of(state) < 0.40
    lateral = speed_of(state) ** 2 / radius_of(state)
    assert 0.6 * physics.GRAVITY < lateral < 1.0 * physics.GRAVITY


def test_a_turn_taken_too_fast_slides_out() -> None:
    state = drive(rolling(3.0), 0.3, 0.2, turn=1.0)
    assert speed_of(state) ** 2 / radius_of(state) < 1.05 * physics.GRAVITY
    assert radius_of(drive(rolling(3.0), 0.8, 0.3, turn=1.0)) > 0.5


def test_flooring_it_spins_the_wheels() -> None:
    state = drive(at_rest(), 0.1, 1.0)
    assert state[SPIN : SPIN + 4].min() * physics.WHEEL_RADIUS > 3 * state[VZ]
    assert 0.3 * physics.GRAVITY < state[VZ] / 0.1 < 1.0 * physics.GRAVITY


def test_the_brake_locks_the_wheels_and_stops_the_car_for_good() -> None:
    state = drive(rolling(2.0), 0.1, brake=1.0)
    assert state[SPIN : SPIN + 4].max() == 0.0
    drive(state, 1.5, brake=1.0)
    assert 0.2 < state[Z] < 0.5
    before = state.copy()
    drive(state, 2, brake=1.0)
    assert np.abs(state - before).max() < 1e-6


def test_the_motor_curve_has_the_given_points() -> None:
    full = physics.MOTOR_SPIN
    assert [physics.motor_curve(share * full) for share in (0.0, 0.4, 0.478)] == [1.0, 1.0, 1.0]
    assert physics.motor_curve(0.518 * full) == pytest.approx(0.96)
    assert physics.motor_curve(-0.759 * full) == pytest.approx(0.48, abs=0.01)
    assert physics.motor_curve(1.2 * full) == 0.0


def test_the_friction_curve_has_the_given_points() -> None:
    assert physics.friction(0.0, 0.0) == 0.0
    assert physics.friction(1.0, 0.0) == pytest.approx(1.0)
    assert physics.friction(0.0, 1.0) == pytest.approx(1.0)
    assert physics.friction(2.0, 0.0) == physics.friction(9.0, 0.0) == pytest.approx(0.5)
    assert physics.friction(0.0, 2.5) == physics.friction(0.0, 9.0) == pytest.approx(0.75)


def test_energy_never_rises_without_throttle() -> None:
    random = np.random.default_rng(5)
    for _ in range(40):
        state = at_rest()
        state[VX : YAW_RATE + 1] = random.normal(0.0, (1.5, 1.5, 6.0))
        state[SPIN : SPIN + 4] = random.normal(0.0, 80.0, 4)
        brake = float(random.choice([0.0, 0.001, 0.3]))
        before = energy(state)
        for _ in range(500):
            physics.step(state, 0.0, brake, float(random.uniform(-1.0, 1.0)))
            assert energy(state) <= before * (1 + 1e-9) + 1e-12
            before = energy(state)


def test_random_commands_keep_everything_finite_and_bounded() -> None:
    random = np.random.default_rng(6)
    state = at_rest()
    for _ in range(2_000):
        throttle, brake, turn = random.uniform((0.0, 0.0, -1.0), 1.0)
        if random.random() < 0.5:
            brake = 0.0
        drive(state, 0.02, throttle, brake, turn)
        assert np.isfinite(state).all()
        assert speed_of(state) < 5.0
        assert abs(state[YAW]) <= math.pi
