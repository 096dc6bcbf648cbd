"""Cars that hit one another: the bodies by themselves, then in a world."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from robo.config import ROOT
from robo.simulation import physics
from robo.simulation.collisions import BODY_HEIGHT, REACH, collide, collide_all, find_near
from robo.simulation.ground import Ground
from robo.simulation.physics import DT, HALF_BREADTH, HALF_LENGTH, MASS, SPIN, YAW_INERTIA
from robo.simulation.track import Track
from robo.simulation.world import Bumped, Event, Returned, World

TRACK = Track.load(ROOT / "configs" / "tracks" / "esses.json")
EVERY_TRACK = sorted((ROOT / "configs" / "tracks").glob("*.json"))


@pytest.fixture(autouse=True, scope="module")
def painted_once() -> Iterator[None]:
    """Painting the ground takes longer than most of these tests."""
    ground = World(TRACK).terrain.ground
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ground, "paint", lambda line, length: ground)
        yield


def body(x: float, z: float, yaw: float, *, vx: float = 0.0, vz: float = 0.0) -> np.ndarray:
    return np.array([x, z, yaw, vx, vz, 0.0])


def momentum(*bodies: np.ndarray) -> np.ndarray:
    """Along x and z, and angular about the origin (positive as yaw is, from z to x)."""
    x, z, _, vx, vz, rate = np.array(bodies).T
    return np.array(
        [
            MASS * vx.sum(),
            MASS * vz.sum(),
            (MASS * (z * vx - x * vz) + YAW_INERTIA * rate).sum(),
        ]
    )


def energy(*bodies: np.ndarray) -> float:
    _, _, _, vx, vz, rate = np.array(bodies).T
    return float(0.5 * (MASS * (vx * vx + vz * vz) + YAW_INERTIA * rate * rate).sum())


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """How far one body is inside the other, metres; 0 or less: not at all."""
    axes = [[math.sin(y), math.cos(y)] for y in (a[2], b[2], a[2] + math.pi / 2, b[2] + math.pi / 2)]

    def reach(it: np.ndarray, axis: np.ndarray) -> float:
        ahead = abs(axis @ [math.sin(it[2]), math.cos(it[2])])
        aside = abs(axis @ [math.cos(it[2]), -math.sin(it[2])])
        return HALF_LENGTH * ahead + HALF_BREADTH * aside

    gaps = [
        abs(np.array(axis) @ (a[:2] - b[:2])) - reach(a, axis) - reach(b, axis) for axis in np.array(axes)
    ]
    return -max(gaps)


def random_pair(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    a, b = (random.normal(0.0, (0.04, 0.04, 3.0, 2.0, 2.0, 10.0)) for _ in range(2))
    return a, b


def fly(a: np.ndarray, b: np.ndarray, seconds: float) -> tuple[float, int]:
    """Let two bodies move freely; the deepest overlap and the number of steps in which they touched."""
    deepest, touched = 0.0, 0
    for _ in range(round(seconds / DT)):
        for it in (a, b):
            it[:3] += DT * it[3:]
        deepest = max(deepest, overlap(a, b))
        touched += collide(a, b)
    return deepest, touched


def test_bodies_that_do_not_overlap_are_left_alone() -> None:
    random = np.random.default_rng(1)
    apart = touching = 0
    for _ in range(3000):
        a, b = random_pair(random)
        b[:2] += random.normal(0.0, 0.1, 2)
        depth, before = overlap(a, b), np.array([a, b])
        assert collide(a, b) == (depth > 0)
        if depth <= 0:
            apart += 1
            assert np.array_equal(before, [a, b])
        touching += depth > 0
    assert min(apart, touching) > 500


def test_momentum_is_kept_and_energy_never_rises() -> None:
    random = np.random.default_rng(2)
    changed = 0
    for _ in range(3000):
        a, b = random_pair(random)
        before = np.array([a, b])
        if not collide(a, b):
            continue
        after = np.array([a, b])
        for bodies in (before, after):  # what is kept is that of where they were, a step ago
            bodies[:, :3] -= DT * bodies[:, 3:]
        # Bodies that lay in one another are moved apart as well, by half a millimetre each at most.
        assert np.abs(after[:, :2] - before[:, :2]).max() < 0.00051
        after[:, :3] = before[:, :3]
        np.testing.assert_allclose(momentum(*after), momentum(*before), rtol=0, atol=1e-12)
        assert energy(*after) <= energy(*before) * (1 + 1e-12)
        changed += not np.array_equal(after, before)
    assert changed > 1000


def test_it_does_not_matter_which_body_comes_first() -> None:
    random = np.random.default_rng(3)
    for _ in range(1000):
        a, b = random_pair(random)
        c, d = b.copy(), a.copy()
        assert collide(a, b) == collide(c, d)
        np.testing.assert_allclose([a, b], [d, c], rtol=0, atol=1e-9)


def test_a_square_hit_shares_the_speed_with_little_bounce_and_no_turning() -> None:
    front, rear = body(0.0, 0.205, 0.0), body(0.0, 0.0, 0.0, vz=2.0)
    fly(rear, front, 0.1)
    assert front[4] == pytest.approx(1.1)
    assert rear[4] == pytest.approx(0.9)
    assert front[3] == rear[3] == front[5] == rear[5] == 0.0


def test_a_hit_off_the_middle_turns_both() -> None:
    front, rear = body(0.05, 0.205, 0.0), body(0.0, 0.0, 0.0, vz=2.0)
    fly(rear, front, 0.1)
    assert front[5] > 1.0 < rear[5]
    assert front[4] > 0.5


def test_bodies_that_rub_slow_each_other() -> None:
    left, right = body(0.0, 0.0, 0.0, vx=0.5, vz=2.0), body(0.0901, 0.0, 0.0)
    fly(left, right, 0.01)
    assert 0.01 < right[4] < 0.3
    assert left[4] + right[4] == pytest.approx(2.0)


@pytest.mark.parametrize("angle", np.linspace(0.0, 2 * math.pi, 17))
@pytest.mark.parametrize("offset", [-0.1, 0.0, 0.03])
def test_nobody_tunnels_at_five_metres_a_second(angle: float, offset: float) -> None:
    a, b = body(offset, 0.0, 0.3, vz=2.5), body(0.0, 0.5, angle, vz=-2.5)
    before = momentum(a, b)
    start = energy(a, b)
    deepest, touched = fly(a, b, 0.3)
    assert touched
    assert deepest < 0.011  # a step at that speed is 10 mm
    assert overlap(a, b) < 0.001
    assert energy(a, b) < start
    np.testing.assert_allclose(momentum(a, b), before, rtol=0, atol=5e-4)


def test_bodies_in_one_place_go_apart_without_speed() -> None:
    a, b = body(1.0, 2.0, 0.7), body(1.0, 2.0, 0.7)
    _, touched = fly(a, b, 1.0)
    assert touched > 50
    assert overlap(a, b) < 0.001
    assert energy(a, b) == 0.0


def test_bodies_on_a_bridge_do_not_meet_those_below() -> None:
    bodies = np.array([body(0.0, 0.0, 0.0, vz=1.0), body(0.0, 0.1, 0.0), body(0.0, 5.0, 0.0)])
    near, bumped = np.zeros(3, bool), np.zeros((3, 3), bool)
    contacts, everyone = np.zeros((3, 3), np.int64), np.ones(3, bool)
    for height, meets in ((2 * BODY_HEIGHT, False), (0.5 * BODY_HEIGHT, True)):
        heights = np.array([0.0, height, 0.0])
        assert find_near(bodies, heights, 0.0, contacts, near) == 2 * meets
        assert near.tolist() == [meets, meets, False]
        assert collide_all(bodies, heights, everyone, contacts, bumped) == meets
        assert bumped[0, 1] == bumped[1, 0] == meets
    assert not bumped[2].any()


# In a world


def put(world: World, name: str, distance: float, lateral: float = 0.0, turned: float = 0.0) -> None:
    world._place(world._cars[name], distance)
    state = world.terrain.traffic.states[world._cars[name].row]
    yaw = state[physics.YAW]
    state[:3] += (lateral * math.cos(yaw), -lateral * math.sin(yaw), turned)


def start(*places: float, **more: object) -> World:
    world = World(TRACK, **more)
    for number, place in enumerate(places):
        world.add_car(f"car{number}")
        put(world, f"car{number}", place)
    return world


def run(world: World, frames: int) -> list[Event]:
    events = []
    for _ in range(frames):
        for name in world.cars:
            world.hear(name)
        events += world.step()
    return events


def bumps(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, Bumped)]


def drive_at_random(world: World, random: np.random.Generator, throttle: float = 0.5) -> None:
    for name in world.cars:
        world.hear(name)
        if random.random() < 0.1:
            world.command(name, throttle=random.uniform(0.0, throttle), turn=random.uniform(-1.0, 1.0))
        if random.random() < 0.02:
            world.command(name, brake=random.uniform(0.0, 1.0))


def bodies_of(world: World) -> np.ndarray:
    return world.terrain.traffic.states[:, :6]


def test_both_are_told_of_a_bump_once_until_they_have_parted() -> None:
    world = start(1.0, 1.25)
    world.command("car0", throttle=0.08)
    events = run(world, 30)
    assert bumps(events)[:2] == [Bumped("car0", "car1"), Bumped("car1", "car0")]
    assert len(bumps(events)) <= 4  # it may bounce once; then it pushes
    assert np.hypot(*bodies_of(world)[1, 3:5]) > 0.3
    world.command("car0", brake=1.0)
    world.command("car1", throttle=0.05)
    assert not bumps(run(world, 20))
    world.command("car0", throttle=0.1)
    world.command("car1", brake=1.0)
    assert bumps(run(world, 60))[:2] == [Bumped("car0", "car1"), Bumped("car1", "car0")]


def test_ghosts_neither_touch_nor_see_one_another() -> None:
    alone, together = start(1.0), start(1.0, 1.4, ghosts=True)
    for world in (alone, together):
        world.command("car0", throttle=0.08)
        assert not bumps(run(world, 40))
    assert alone.status("car0") == together.status("car0")
    put(together, "car1", TRACK.distance(alone.status("car0").position) + 0.3)
    assert np.array_equal(alone.render("car0", 128), together.render("car0", 128))


def test_cars_that_do_not_touch_change_nothing_to_the_bit() -> None:
    """Close enough to one another all the time that they are stepped together."""
    alone, together = start(1.0), start(1.0, 1.0)
    put(alone, "car0", 1.0, -0.1)
    put(together, "car0", 1.0, -0.1)
    put(together, "car1", 1.0, 0.1)
    for frame in range(50):
        for world in (alone, together):
            for name in world.cars:
                world.command(name, throttle=0.05 + 0.03 * math.sin(frame), turn=0.05 * math.cos(frame / 9))
            assert not bumps(run(world, 1))
        assert together.terrain.traffic._near.all()
        assert alone.status("car0") == together.status("car0")
        assert np.array_equal(alone.terrain.traffic.states[0], together.terrain.traffic.states[0])


def test_the_same_seed_and_commands_give_the_same_collisions_whatever_the_names() -> None:
    def trajectory(prefix: str) -> tuple[np.ndarray, int]:
        world, random = World(TRACK, seed=4), np.random.default_rng(5)
        for number in range(12):
            world.add_car(f"{prefix}{number * 7 % 12}")
        events = []
        for _ in range(400):
            drive_at_random(world, random)
            events += world.step()
        return world.terrain.traffic.states.copy(), len(bumps(events))

    first, count = trajectory("a")
    second, _ = trajectory("car")
    assert np.array_equal(first, second)
    assert count > 20


def test_twenty_cars_in_a_heap_stay_apart_and_within_the_walls() -> None:
    world, random = World(TRACK, seed=6), np.random.default_rng(7)
    for number in range(20):
        world.add_car(f"car{number}")
    told: set[tuple[str, str]] = set()
    deepest = []
    for frame in range(1200):
        drive_at_random(world, random, 0.3)
        events = world.step()
        told |= {(event.car, event.other) for event in bumps(events)}
        if frame % 10 or frame < 60:  # some began in one place
            continue
        bodies = bodies_of(world)
        for i in range(20):
            assert abs(TRACK.signed_gain(0, TRACK.distance(world.status(f"car{i}").position))) < 10
            for j in range(i):
                if math.dist(bodies[i, :2], bodies[j, :2]) < REACH:
                    deepest.append(overlap(bodies[i], bodies[j]))
    assert len(told) > 100
    assert told == {(other, car) for car, other in told}
    assert len(deepest) > 100
    assert max(deepest) < 0.02


def test_a_car_is_not_put_back_onto_another() -> None:
    world, random = World(TRACK, seed=8), np.random.default_rng(9)
    for number in range(20):
        world.add_car(f"car{number}")
    returned = 0
    for _ in range(600):
        drive_at_random(world, random)
        for event in world.step():
            if isinstance(event, Returned):
                own = world._cars[event.car].row
                bodies = bodies_of(world)
                others = [overlap(bodies[own], other) for row, other in enumerate(bodies) if row != own]
                assert max(others) <= 1e-9
                returned += 1
    assert returned > 50


def test_energy_never_rises_without_throttle() -> None:
    world, random = World(TRACK, seed=10), np.random.default_rng(11)
    for number in range(12):
        world.add_car(f"car{number}")
        put(world, f"car{number}", 0.2 * number, random.normal(0, 0.1), random.normal(0, 1))
    states = world.terrain.traffic.states

    def energies() -> float:
        spins = 0.5 * physics.WHEEL_INERTIA * float((states[:, SPIN : SPIN + 4] ** 2).sum())
        return energy(*states[:, :6]) + spins

    told = 0
    for frame in range(1200):
        if frame % 40 == 0:
            states[:, physics.VX : physics.YAW_RATE + 1] = random.normal(0.0, (1.5, 1.5, 6.0), (12, 3))
            states[:, SPIN : SPIN + 4] = random.normal(0.0, 80.0, (12, 4))
        for name in world.cars:
            world.hear(name)
            world.command(name, turn=random.uniform(-1, 1), brake=float(random.choice([0.0, 0.001, 0.3])))
        before = energies()
        told += len(bumps(world.step()))
        assert energies() <= before * (1 + 1e-9) + 1e-12
    assert told > 50


@pytest.mark.parametrize("path", EVERY_TRACK, ids=lambda path: path.stem)
def test_a_million_random_steps_keep_everything_finite(path: object) -> None:
    world = World(Track.load(path), seed=12)
    random, cars = np.random.default_rng(13), 20
    for number in range(cars):
        world.add_car(f"car{number}")
    steps = 0
    while steps < 1_000_000:
        drive_at_random(world, random, 1.0)
        world.step()
        steps += cars * 25 // 3
        if world.frame % 10 == 0:
            for name in world.cars:
                status = world.status(name)
                assert math.isfinite(sum((*status.position, *status.velocity, *status.rotation)))
                assert math.hypot(*status.velocity) < 20.0
