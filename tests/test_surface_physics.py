"""Driving on slopes, banked bends, a bridge and a loop; and through the air."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from robo.config import ROOT
from robo.simulation import physics, surface_physics
from robo.simulation.physics import CRASHED, NEAREST, RETURN, STEPS_PER_SECOND
from robo.simulation.relief import Relief
from robo.simulation.surface_physics import (
    BEYOND,
    FLYING,
    FORWARD,
    LOAD,
    PLACE,
    PLANAR,
    REST_HEIGHT,
    TOP,
    VELOCITY,
    energy,
)
from robo.simulation.track import Track

TRACKS = ROOT / "configs" / "tracks"
WEIGHT = physics.MASS * physics.GRAVITY


@pytest.fixture(scope="module")
def bridge() -> Relief:
    return Relief(Track.load(TRACKS / "bridge.json"))


@pytest.fixture(scope="module")
def loop() -> Relief:
    return Relief(Track.load(TRACKS / "loop.json"))


class Car:
    def __init__(self, relief: Relief, distance: float) -> None:
        self.relief = relief
        self.state, self.memory = relief.new_state()
        relief.place(self.state, self.memory, distance)
        self.distance = distance

    @property
    def speed(self) -> float:
        return float(np.linalg.norm(self.state[VELOCITY : VELOCITY + 3]))

    @property
    def height(self) -> float:
        return float(self.state[PLACE + 1])

    @property
    def flying(self) -> bool:
        return bool(self.memory[FLYING])

    def drive(self, steps: int, throttle: float = 0.0, brake: float = 0.0, turn: float = 0.0) -> int:
        happened, self.distance = surface_physics.drive(
            self.state,
            self.memory,
            self.relief.samples,
            self.relief.length,
            steps,
            throttle,
            brake,
            turn,
            self.relief.boxes,
        )
        return happened

    def aim(self) -> float:
        """The turn that leads to the centre line a little ahead."""
        ahead = 0.12 + 0.1 * self.speed
        place, up = self.state[PLACE : PLACE + 3], self.state[TOP : TOP + 3]
        forward = self.state[FORWARD : FORWARD + 3]
        target = self.relief.centre_line((self.distance + ahead) % self.relief.length)
        off = np.array(target) - place
        angle = math.atan2(off @ np.cross(up, forward), off @ forward)
        return -math.atan(0.34 * math.sin(angle) / ahead) / math.radians(15)

    def follow(self, seconds: float, throttle: float, until: Callable[[], bool] = lambda: False) -> int:
        """Drive along the centre line; the bits of all that happened."""
        happened = 0
        for _ in range(round(seconds * 60)):
            happened |= self.drive(8, throttle, turn=self.aim())
            if happened & RETURN or until():
                break
        return happened


def strip(height: Callable[[np.ndarray], np.ndarray], lean: float = 0.0) -> Relief:
    """A track of two straights of 20 m along z that ``height`` lifts, and wide level bends between them."""
    t = np.arange(0.0, 20.0, 0.1)
    bend = np.linspace(0.0, math.pi, 80, endpoint=False)
    straight = np.stack([0 * t, height(t), t], axis=1)
    there = np.stack([2 - 2 * np.cos(bend), 0 * bend + height(t[-1:])[0], 20 + 2 * np.sin(bend)], axis=1)
    back = np.stack([0 * t + 4, np.linspace(there[-1, 1], straight[0, 1], len(t)), 20 - t], axis=1)
    home = np.stack([2 + 2 * np.cos(bend), 0 * bend + straight[0, 1], -2 * np.sin(bend)], axis=1)
    points = np.concatenate([straight, there, back, home])
    ups = np.tile((-math.sin(lean), math.cos(lean), 0.0), (len(points), 1))
    return Relief(Track(points, level=False, ups=ups))


def test_a_flat_track_is_driven_as_the_planar_physics_drives_it() -> None:
    track = Track.load(TRACKS / "esses.json")
    relief = Relief(track)
    flat = track.points[:, [0, 2]]
    line = np.hstack([flat, np.roll(flat, -1, axis=0) - flat, track.starts[:, None]])
    random = np.random.default_rng(2)
    for _ in range(12):
        car = Car(relief, float(random.uniform(0.0, track.length)))
        state, memory = np.zeros(physics.STATE_SIZE), np.zeros(physics.MEMORY_SIZE, np.int64)
        x, _, z = car.state[PLACE : PLACE + 3]
        state[:3] = x, z, math.atan2(car.state[FORWARD], car.state[FORWARD + 2])
        memory[NEAREST] = int(np.searchsorted(track.starts, car.distance, side="right")) - 1
        for _ in range(50):
            throttle, turn = float(random.uniform(0.0, 0.15)), car.aim()
            happened = car.drive(8, throttle, 0.0, turn)
            expected, distance = physics.drive(state, memory, line, 8, throttle, 0.0, turn, np.empty((0, 4)))
            assert happened == expected
            np.testing.assert_allclose(car.state[[PLACE, PLACE + 2]], state[:2], atol=0.005)
            np.testing.assert_allclose(car.state[[VELOCITY, VELOCITY + 2]], state[3:5], atol=0.03)
            assert car.height == pytest.approx(REST_HEIGHT, abs=1e-9)
            assert abs(track.signed_gain(distance, car.distance)) < 0.01


def test_walls_hit_on_a_flat_track_are_hit_in_the_planar_physics() -> None:
    track = Track.load(TRACKS / "esses.json")
    relief = Relief(track)
    flat = track.points[:, [0, 2]]
    line = np.hstack([flat, np.roll(flat, -1, axis=0) - flat, track.starts[:, None]])
    for turn in (0.4, -0.4):
        car = Car(relief, 0.3)
        state, memory = np.zeros(physics.STATE_SIZE), np.zeros(physics.MEMORY_SIZE, np.int64)
        x, _, z = car.state[PLACE : PLACE + 3]
        state[:3] = x, z, math.atan2(car.state[FORWARD], car.state[FORWARD + 2])
        told = []
        for _ in range(120):
            ours = car.drive(8, 0.06, 0.0, turn)
            theirs, _ = physics.drive(state, memory, line, 8, 0.06, 0.0, turn, np.empty((0, 4)))
            told.append((ours, theirs))
            if ours & RETURN:
                break
        crashes = [[index for index, pair in enumerate(told) if pair[way] & CRASHED] for way in (0, 1)]
        assert crashes[0]
        assert abs(crashes[0][0] - crashes[1][0]) <= 1
        assert told[-1][0] & RETURN


def test_a_slope_slows_a_car_by_as_much_as_wheel_damping_says() -> None:
    """Motor torque less damping drives against gravity: 4 wheels, damping 0.001 N m s, radius 0.023 m."""
    for slope in (0.1, -0.1):
        car = Car(strip(lambda z, slope=slope: 3.0 + slope * z), 3.0)
        car.follow(3.0, 0.1)
        sine = slope / math.hypot(1.0, slope)
        expected = 1.72 - WEIGHT * sine * 0.023**2 / 0.004
        assert car.speed == pytest.approx(expected, rel=0.03)
        assert car.state[VELOCITY + 1] == pytest.approx(car.speed * sine, rel=0.02)
        assert car.state[FORWARD + 1] == pytest.approx(sine, rel=0.02)


def test_a_car_left_alone_rolls_down_a_slope_and_stays_on_the_level() -> None:
    car = Car(strip(lambda z: 3.0 + 0.1 * z), 5.0)
    car.drive(STEPS_PER_SECOND)
    assert 4.8 < car.distance < 4.98
    level = Car(strip(lambda z: 3.0 + 0.0 * z), 5.0)
    level.drive(STEPS_PER_SECOND)
    assert level.distance == pytest.approx(5.0)
    assert level.speed < 1e-12


def test_a_banked_bend_lets_a_car_round_that_slides_off_a_level_one() -> None:
    def widest(lean: float) -> float:
        """How far from a circle of 0.8 m a car gets that drives at 2.9 m/s, where level grip ends at 2.8."""
        angle = np.linspace(0.0, 2 * math.pi, 400, endpoint=False)
        points = np.stack([0.8 * np.sin(angle), 0 * angle + 1.0, 0.8 * np.cos(angle)], axis=1)
        inwards = -points * (1.0, 0.0, 1.0) / 0.8
        ups = math.cos(lean) * np.array((0.0, 1.0, 0.0)) + math.sin(lean) * inwards
        car = Car(Relief(Track(points, level=False, ups=ups)), 0.0)
        off = 0.0
        for _ in range(240):
            car.drive(8, 0.27, turn=car.aim())
            off = max(off, abs(math.hypot(car.state[PLACE], car.state[PLACE + 2]) - 0.8))
        return off

    assert widest(math.radians(25)) < 0.6 * widest(0.0)


def test_a_bump_taken_fast_throws_a_car_into_the_air_and_it_lands() -> None:
    car = Car(strip(lambda z: 1.0 + 0.12 * np.exp(-(((z - 8.0) / 0.35) ** 2))), 4.0)
    seen, happened = [], 0
    for _ in range(240):
        happened |= car.drive(8, 0.4, turn=car.aim())
        seen.append((car.distance, car.flying, car.height, car.state[TOP : TOP + 3].copy()))
    air = [entry for entry in seen if entry[1]]
    assert 10 <= len(air) <= 60
    assert all(7.5 < entry[0] < 10.0 for entry in air)
    np.testing.assert_array_equal(air[-8][3], air[-1][3])
    assert not car.flying
    assert car.height == pytest.approx(1.0 + REST_HEIGHT, abs=0.01)
    assert not happened & RETURN
    slow = Car(car.relief, 7.0)
    assert not slow.follow(3.0, 0.05, lambda: slow.flying)
    assert not slow.flying


def test_a_loop_holds_a_fast_car_and_presses_it_to_the_floor(loop: Relief) -> None:
    car = Car(loop, 0.5)
    highest, upside_down, pressed = 0.0, False, 0.0

    def through() -> bool:
        nonlocal highest, upside_down, pressed
        highest = max(highest, car.height)
        upside_down = upside_down or car.state[TOP + 1] < -0.95
        pressed = max(pressed, car.state[LOAD])
        return car.distance > 6.5

    assert not car.follow(6.0, 0.5, through)
    assert car.distance > 6.5
    assert upside_down
    assert highest > 0.7
    assert pressed > 3 * WEIGHT


@pytest.mark.parametrize("throttle", [0.04, 0.1])
def test_a_slow_car_does_not_get_up_the_loop(loop: Relief, throttle: float) -> None:
    car = Car(loop, 1.5)
    car.follow(6.0, throttle, lambda: car.distance > 4.4)
    assert 2.5 < car.distance < 4.0


def test_a_car_too_slow_for_the_loop_falls_off_it_and_is_returned(loop: Relief) -> None:
    car = Car(loop, 0.5)
    car.follow(6.0, 0.2, lambda: car.flying)
    assert car.flying
    assert car.height > 0.4
    assert car.follow(1.0, 0.2) & RETURN


def test_a_car_at_rest_upside_down_falls_and_is_returned(loop: Relief) -> None:
    car = Car(loop, 4.45)
    assert car.flying
    assert car.state[TOP + 1] < -0.9
    happened = 0
    for _ in range(40):
        happened |= car.drive(8)
        if happened & RETURN:
            break
    assert happened & RETURN
    assert car.state[TOP + 1] < -0.9


def lifted(relief: Relief, distance: float, up: float, velocity: tuple[float, float, float]) -> Car:
    car = Car(relief, distance)
    car.state[PLACE + 1] += up
    car.state[VELOCITY : VELOCITY + 3] = velocity
    car.memory[FLYING] = 1
    car.state[LOAD] = 0.0
    return car


def test_a_car_that_leaves_the_track_sideways_falls_below_the_ground_and_is_returned() -> None:
    relief = strip(lambda z: 0.5 + 0.0 * z)
    car = lifted(relief, 5.0, 0.5, (3.0, 0.0, 0.0))
    top, happened = car.state[TOP : TOP + 3].copy(), 0
    for _ in range(60):
        happened |= car.drive(8, 0.5)
        np.testing.assert_array_equal(car.state[TOP : TOP + 3], top)
        if happened & RETURN:
            break
    assert happened & RETURN
    assert happened & BEYOND
    assert -0.05 < car.height < 0.0
    assert not happened & CRASHED


def test_a_car_lower_than_the_walls_hits_them_in_the_air() -> None:
    car = lifted(strip(lambda z: 0.5 + 0.0 * z), 5.0, 0.03, (5.0, 0.0, 0.0))
    happened = 0
    for _ in range(30):
        happened |= car.drive(8)
        if happened & RETURN:
            break
    assert happened & CRASHED
    assert abs(car.state[PLACE]) < 0.45


def test_a_car_that_falls_off_the_bridge_onto_the_branch_below_drives_on_there(bridge: Relief) -> None:
    ground = bridge.samples[:, [0, 2]]
    heights = bridge.samples[:, 1]
    apart = np.linalg.norm(ground[:, None] - ground[None], axis=2)
    apart[np.abs(heights[:, None] - heights[None]) < 0.25] = np.inf
    one, other = np.unravel_index(apart.argmin(), apart.shape)
    over, under = (one, other) if heights[one] > heights[other] else (other, one)
    car = Car(bridge, float(bridge.samples[over, 12]))
    car.state[PLACE + 1] -= 0.12  # below the bridge already
    car.memory[FLYING] = 1
    happened = 0
    for _ in range(30):
        happened |= car.drive(8)
    assert not car.flying
    assert happened & BEYOND
    assert not happened & RETURN
    assert abs(car.distance - bridge.samples[under, 12]) < 0.2
    assert car.height == pytest.approx(heights[under] + REST_HEIGHT, abs=0.02)


def test_energy_never_rises_without_throttle_and_nothing_is_ever_not_a_number(
    bridge: Relief, loop: Relief
) -> None:
    random = np.random.default_rng(7)
    for relief in (bridge, loop):
        car = Car(relief, 1.0)
        throttle, brake, turn = 0.0, 0.0, 0.0
        for frame in range(5_000):
            if frame % 12 == 0:
                throttle = float(random.choice([0.0, 0.1, 0.4, 1.0]))
                brake = 0.0 if throttle else float(random.choice([0.0, 1e-5, 1.0]))
                turn = float(random.uniform(-1.0, 1.0) * random.choice([0.1, 1.0]))
            before = energy(car.state)
            happened = car.drive(8, throttle, brake, turn)
            assert np.isfinite(car.state).all()
            assert 0.0 <= car.distance <= relief.length
            assert car.speed < 8.0
            assert abs(car.state[PLANAR + physics.STEERING]) <= 1.0
            if throttle == 0.0 and not happened & RETURN:
                assert energy(car.state) <= before * (1 + 1e-12)
            if happened & RETURN:
                relief.place(car.state, car.memory, float(random.uniform(0.0, relief.length)))


def test_the_same_commands_give_the_same_bits(bridge: Relief) -> None:
    def way() -> np.ndarray:
        random, car, rows = np.random.default_rng(3), Car(bridge, 2.0), []
        for _ in range(200):
            car.drive(8, float(random.uniform(0.0, 0.3)), 0.0, float(random.uniform(-0.3, 0.3)))
            rows.append(car.state.copy())
        return np.array(rows)

    np.testing.assert_array_equal(way(), way())
