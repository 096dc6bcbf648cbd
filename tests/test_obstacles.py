"""Boxes on the floor: read, scattered, hit, seen, and kept clear of."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import robo.gym
from robo import config
from robo.driving.policies import to_action
from robo.errors import UserError
from robo.simulation import physics, surface_physics
from robo.simulation.camera import OBSTACLE_SHADES
from robo.simulation.procedural import random_obstacles, random_track
from robo.simulation.surface_physics import FLYING, FORWARD, PLACE, PLANAR, REST_HEIGHT, TOP, VELOCITY
from robo.simulation.terrain import FlatTerrain, ReliefTerrain
from robo.simulation.track import Track
from robo.simulation.world import Bumped, Crashed, Event, Returned, World

TRACKS = config.ROOT / "configs" / "tracks"
STRAIGHTS = {"esses": 14.4, "bridge": 5.3}
"""Where 1.7 m are straight; the distances in this file are from there."""
NAMES = tuple(STRAIGHTS)


def load(folder: Path, nodes: object, name: str = "track", **others: object) -> Track:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"trackNodes": nodes, **others}))
    return Track.load(path)


def boxed(folder: Path, name: str, *boxes: tuple[float, float, float]) -> Track:
    """A track of ours with boxes: distance, lateral and size of each."""
    nodes = json.loads((TRACKS / f"{name}.json").read_text())["trackNodes"]
    length = load(folder, nodes).length
    obstacles = [
        {"distance": (STRAIGHTS[name] + distance) % length, "lateral": lateral, "size": size}
        for distance, lateral, size in boxes
    ]
    return load(folder, nodes, name, obstacles=obstacles)


def crowded(folder: Path, name: str, random: np.random.Generator, count: int) -> Track:
    """A track of ours with random boxes; a car just fits between some of them and the wall, or does not."""
    boxes = []
    for index in range(count):
        size = random.uniform(0.03, 0.3)
        lateral = (0.44 - size / 2) * random.uniform(-1.0, 1.0)
        if index % 3 == 0:
            lateral = (0.35 - random.uniform(-0.03, 0.05) - size / 2) * random.choice((-1.0, 1.0))
        boxes.append((0.7 + index * 11.0 / count, lateral, size))
    return boxed(folder, name, *boxes)


def world(track: Track, *distances: float, **options: bool) -> World:
    """Cars named a, b, ... at these places."""
    made = World(track, seed=3, **options)
    for name, distance in zip("abcdef", distances, strict=False):
        made.add_car(name)
        made.place(name, STRAIGHTS.get(track.name, 0.0) + distance)
    return made


def place(made: World, name: str = "a") -> float:
    """Where a car is."""
    distance = made.track.distance(made.status(name).position)
    return (distance - STRAIGHTS[made.track.name]) % made.track.length


def drive(made: World, frames: int, **throttles: float) -> list[Event]:
    events: list[Event] = []
    for _ in range(frames):
        for name in made.cars:
            made.hear(name)
            made.command(name, throttle=throttles.get(name, 0.0))
        events += made.step()
    return events


def corners(x: float, z: float, yaw: float, half_length: float, half_breadth: float) -> np.ndarray:
    ahead, right = np.array([math.sin(yaw), math.cos(yaw)]), np.array([math.cos(yaw), -math.sin(yaw)])
    ways = [(1, 1), (1, -1), (-1, -1), (-1, 1)]
    return np.array([(x, z) + a * half_length * ahead + b * half_breadth * right for a, b in ways])


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """By how much two rectangles overlap, negative where they are apart, metres."""
    least = math.inf
    for edge in (one[1] - one[0], one[2] - one[1], other[1] - other[0], other[2] - other[1]):
        a, b = one @ edge / np.linalg.norm(edge), other @ edge / np.linalg.norm(edge)
        least = min(least, a.max() - b.min(), b.max() - a.min())
    return least


def depth(made: World, name: str) -> float:
    """How far a car is in a box, negative where it is apart from all, metres."""
    terrain, row = made.terrain, made.cars.index(name)
    state = terrain.traffic.states[row]
    if made.track.flat:
        body = corners(*state[:3], 0.1, 0.045)
        return max(overlap(body, corners(*box[:3], box[3], box[3])) for box in terrain.boxes)
    deepest = -math.inf
    place, forward, up = state[PLACE : PLACE + 3], state[FORWARD : FORWARD + 3], state[TOP : TOP + 3]
    right = np.cross(up, forward)
    for box in terrain.relief.boxes:
        off = box[:3] - place - (0.03 - REST_HEIGHT) * up
        yaw = math.atan2(box[3:6] @ right, box[3:6] @ forward)
        seen = corners(off @ right, off @ forward, yaw, box[9], box[9])
        upright = box[9] + 0.03 - abs(off @ up)
        deepest = max(deepest, min(upright, overlap(corners(0.0, 0.0, 0.0, 0.1, 0.045), seen)))
    return deepest


def orange(picture: np.ndarray) -> np.ndarray:
    """Which pixels show a box, bool [H, W]."""
    return (picture[:, :, None] == OBSTACLE_SHADES).all(axis=3).any(axis=2)


def test_obstacles_stand_apart_and_leave_a_way_past(tmp_path: Path) -> None:
    for seed in range(20):
        nodes = random_track(seed)
        length = load(tmp_path, nodes).length
        boxes = random_obstacles(seed, 6, length)
        assert len(boxes) == 6
        assert boxes == random_obstacles(seed, 6, length)
        assert boxes[0].distance >= 1.0
        assert boxes[-1].distance <= length - 0.999
        assert min(b.distance - a.distance for a, b in itertools.pairwise(boxes)) >= 1.499
        assert all(0.05 <= box.size <= 0.12 for box in boxes)
        assert all(0.44 - abs(box.lateral) - box.size / 2 >= -0.001 for box in boxes)
        assert all(max(0.44 + way * box.lateral for way in (1, -1)) - box.size / 2 >= 0.299 for box in boxes)


def test_too_many_obstacles_are_refused() -> None:
    with pytest.raises(UserError, match="ask for 6 or fewer"):
        random_obstacles(1, 40, 10.0)


def test_a_track_file_may_have_obstacles(tmp_path: Path) -> None:
    nodes = random_track(2)
    assert load(tmp_path, nodes).obstacles == ()
    box = {"distance": 3.0, "lateral": -0.2, "size": 0.1}
    (found,) = load(tmp_path, nodes, obstacles=[box]).obstacles
    assert (found.distance, found.lateral, found.size) == (3.0, -0.2, 0.1)


@pytest.mark.parametrize(
    ("obstacles", "words"),
    [
        ({}, "obstacles is not a list"),
        ([3], "obstacle 0 is not an object"),
        ([{"distance": 1.0, "lateral": 0.0}], "obstacle 0: size is missing"),
        ([{"distance": 1.0, "lateral": 0.0, "size": 9}], "obstacle 0: size is 9"),
        ([{"distance": 1.0, "lateral": "left", "size": 0.1}], "obstacle 0: lateral is 'left'"),
        (
            [{"distance": 1.0, "lateral": 0.43, "size": 0.1}],
            "obstacle 0: lateral is 0.43; it must be from -0.39",
        ),
        ([{"distance": 99.0, "lateral": 0.0, "size": 0.1}], "obstacle 0: distance is 99"),
        ([{"distance": math.nan, "lateral": 0.0, "size": 0.1}], "obstacle 0: distance is nan"),
    ],
)
def test_bad_obstacles_are_named(tmp_path: Path, obstacles: object, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        load(tmp_path, random_track(2), obstacles=obstacles)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cars", [1, 4])
def test_no_car_gets_into_a_box_however_it_drives(tmp_path: Path, name: str, cars: int) -> None:
    seen: list[Event] = []
    fastest = 0.0
    for seed in range(2):
        random = np.random.default_rng(seed)
        made = world(crowded(tmp_path, name, random, 14), *(3.0 * car for car in range(cars)))
        for frame in range(200):
            for car in made.cars:
                made.hear(car)
                if frame % 20 == 0:
                    turn = random.choice((0.0, random.uniform(-1.0, 1.0)))
                    made.command(car, throttle=random.choice((0.1, 0.3, 1.0)), turn=turn)
            seen += made.step()
            assert max(depth(made, car) for car in made.cars) < 0.001
            fastest = max(fastest, *(np.linalg.norm(made.status(car).velocity) for car in made.cars))
    assert fastest > 2.0
    assert sum(isinstance(event, Crashed) for event in seen) > 5
    assert sum(isinstance(event, Returned) for event in seen) > 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lateral", [0.0, 0.08])
def test_no_car_is_pushed_into_a_box_by_another(tmp_path: Path, name: str, lateral: float) -> None:
    made = world(boxed(tmp_path, name, (1.4, lateral, 0.2)), 1.0, 0.5)
    events: list[Event] = []
    for frame in range(120):
        events += drive(made, 1, a=0.02 if frame < 20 else 0.0, b=1.0)
        if Returned("a") in events or Returned("b") in events:
            break
        assert max(depth(made, car) for car in made.cars) < 0.001
    assert {Bumped("a", "b"), Crashed("a")} <= set(events)


@pytest.mark.parametrize("name", NAMES)
def test_no_car_is_squeezed_into_a_gap_that_is_too_narrow(tmp_path: Path, name: str) -> None:
    for gap in (0.07, 0.08, 0.085, 0.088):
        side = gap / 2 + 0.1
        made = world(boxed(tmp_path, name, (1.4, -side, 0.2), (1.4, side, 0.2)), 0.8, 0.4)
        for _ in range(100):
            events = drive(made, 1, a=0.4, b=1.0)
            assert max(depth(made, car) for car in made.cars) < 0.001
            if Returned("a") in events:
                break
        else:
            pytest.fail("it got through")


@pytest.mark.parametrize("name", NAMES)
def test_a_box_stops_a_car_as_a_wall_does(tmp_path: Path, name: str) -> None:
    made = world(boxed(tmp_path, name, (1.4, 0.0, 0.1)), 0.8)
    events, crashed = [], 0
    for frame in range(200):
        new = drive(made, 1, a=0.3)
        events += new
        if Crashed("a") in new:
            crashed = frame
            assert 1.24 < place(made) < 1.26
            assert np.linalg.norm(made.status("a").velocity) < 0.3
        if Returned("a") in new:
            break
    assert [type(event) for event in events].count(Crashed) <= 3  # it may turn away from the box and back
    assert 12 <= frame - crashed <= 14


@pytest.mark.parametrize("name", NAMES)
def test_a_hit_gives_no_energy(tmp_path: Path, name: str) -> None:
    hits = 0
    random = np.random.default_rng(0)
    made = world(boxed(tmp_path, name, (1.6, 0.05, 0.15)), 0.0)
    for _ in range(12):
        made.place("a", STRAIGHTS[name] + random.uniform(1.1, 1.25))
        state = made.terrain.traffic.states[0]
        speed, spin = random.uniform(0.5, 3.5), random.uniform(-3.0, 3.0)
        if made.track.flat:
            state[physics.VX], state[physics.VZ] = speed * np.sin(state[2]), speed * np.cos(state[2])
            state[physics.YAW_RATE] = spin
            wheels = state[physics.SPIN : physics.SPIN + 4]
        else:
            state[VELOCITY : VELOCITY + 3] = speed * state[FORWARD : FORWARD + 3]
            state[PLANAR + physics.YAW_RATE] = spin
            wheels = state[PLANAR + physics.SPIN : PLANAR + physics.SPIN + 4]
        wheels[:] = speed / physics.WHEEL_RADIUS

        def energy(state: np.ndarray = state, wheels: np.ndarray = wheels) -> float:
            if not made.track.flat:
                return surface_physics.energy(state)
            moving = physics.MASS * (state[physics.VX] ** 2 + state[physics.VZ] ** 2)
            turning = physics.YAW_INERTIA * state[physics.YAW_RATE] ** 2
            return 0.5 * (moving + turning + physics.WHEEL_INERTIA * float((wheels**2).sum()))

        for _ in range(15):
            before = energy()
            events = made.step()
            if Returned("a") in events:
                break
            assert energy() <= before + 1e-9
            hits += Crashed("a") in events
    assert hits > 3


def test_a_car_that_falls_onto_a_box_does_not_get_into_it(tmp_path: Path) -> None:
    made = world(boxed(tmp_path, "bridge", (1.4, 0.0, 0.1)), 1.0)
    state, memory = made.terrain.traffic.states[0], made.terrain.traffic.memories[0]
    state[PLACE : PLACE + 3] += 0.4 * state[FORWARD : FORWARD + 3] + 0.2 * state[TOP : TOP + 3]
    memory[FLYING] = 1
    events = []
    while Returned("a") not in events:
        assert depth(made, "a") < 0.001
        events = drive(made, 1)
        assert made.frame < 60
    assert made.frame > 12


@pytest.mark.parametrize("name", NAMES)
def test_a_box_changes_nothing_for_a_car_that_does_not_touch_it(tmp_path: Path, name: str) -> None:
    made = world(boxed(tmp_path, name, (1.4, 0.2, 0.1)), 0.8)
    plain = world(boxed(tmp_path, name), 0.8)
    for _ in range(60):
        assert drive(made, 1, a=0.06) == drive(plain, 1, a=0.06)
        assert made.status("a") == plain.status("a")
    assert 1.4 < place(made) < 3.0


@pytest.mark.parametrize("name", NAMES)
def test_no_car_is_put_near_a_box(tmp_path: Path, name: str) -> None:
    made = world(crowded(tmp_path, name, np.random.default_rng(1), 10), 0.0)
    moved = 0
    for distance in np.arange(0.0, made.track.length, 0.07):
        made.place("a", distance)
        assert depth(made, "a") < -0.02
        further = made.track.signed_gain(distance, made.track.distance(made.status("a").position))
        assert -0.001 < further < 2.0
        moved += further > 0.04
        assert made.terrain.is_free(0, distance) == (further < 0.04)
    assert moved > 10


@pytest.mark.parametrize("antialias", [False, True])
def test_a_box_is_seen_where_it_stands(tmp_path: Path, antialias: bool) -> None:
    track = boxed(tmp_path, "esses", (0.9, 0.1, 0.1))
    picture = world(track, 0.3, antialias=antialias).render("a", 128)
    columns = np.flatnonzero(orange(picture).any(axis=0))
    depth_of_face = (0.6 - 0.05 - 0.095) * math.cos(math.radians(11))
    per_metre = 64 / (math.tan(math.radians(24.4)) * 1.6) / depth_of_face
    assert columns[0] == pytest.approx(64 + 0.05 * per_metre, abs=2.0)
    assert columns[-1] == pytest.approx(64 + 0.15 * per_metre, abs=3.0)
    rows = np.flatnonzero(orange(picture).any(axis=1))
    assert rows[0] < 24 and 33 < rows[-1] < 40  # it is taller than the camera stands
    assert not orange(world(boxed(tmp_path, "esses"), 0.3).render("a", 128)).any()


def test_both_cameras_see_the_same_boxes(tmp_path: Path) -> None:
    """Behind walls and over them, too."""
    track = crowded(tmp_path, "esses", np.random.default_rng(4), 20)
    flat, relief = (kind(track, ghosts=False, antialias=False) for kind in (FlatTerrain, ReliefTerrain))
    shown = differing = 0
    for terrain in (flat, relief):
        terrain.add()
        terrain.add()
    for distance in np.arange(0.0, track.length, 0.4):
        for terrain in (flat, relief):
            terrain.place(0, distance)
            terrain.place(1, distance + 0.8)
        one, other = (orange(terrain.picture(0, 128)) for terrain in (flat, relief))
        shown += one.sum()
        differing += (one != other).sum()
    assert shown > 10_000
    assert differing < 0.03 * shown


@pytest.mark.parametrize("name", NAMES)
def test_a_box_hides_what_is_behind_it(tmp_path: Path, name: str) -> None:
    near, far = (0.9, 0.0, 0.2), (1.5, 0.0, 0.04)
    one = world(boxed(tmp_path, name, near), 0.4)
    both = world(boxed(tmp_path, name, near, far), 0.4, 1.2)
    assert np.array_equal(one.render("a", 128), both.render("a", 128))
    beyond = world(boxed(tmp_path, name, far), 0.4)
    assert orange(beyond.render("a", 128)).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_car_hides_the_box_behind_it(tmp_path: Path, name: str) -> None:
    track = boxed(tmp_path, name, (1.5, 0.0, 0.05))
    free, hidden = (orange(world(track, 0.4, *more).render("a", 128)) for more in ((), (1.0,)))
    assert free.sum() > hidden.sum()
    assert not (hidden & ~free).any()


def test_a_wall_hides_a_box(tmp_path: Path) -> None:
    plain = world(boxed(tmp_path, "esses"), 1.1)
    x, _, z, yaw = plain.track.pose(STRAIGHTS["esses"] + 1.1)
    ahead_of = {}
    for distance in np.arange(2.0, plain.track.length, 0.05):
        other_x, _, other_z, _ = plain.track.pose(distance)
        dx, dz = other_x - x, other_z - z
        ahead, aside = dx * math.sin(yaw) + dz * math.cos(yaw), dx * math.cos(yaw) - dz * math.sin(yaw)
        if ahead > 2.5 and abs(aside) < 0.2:
            ahead_of[distance - STRAIGHTS["esses"]] = ahead
    distance = min(ahead_of, key=ahead_of.get)
    hidden = world(boxed(tmp_path, "esses", (distance, 0.0, 0.1)), 1.1)
    assert np.array_equal(hidden.render("a", 128), plain.render("a", 128))


def test_many_cars_meet_and_see_boxes_as_each_would_alone(tmp_path: Path) -> None:
    track = crowded(tmp_path, "esses", np.random.default_rng(2), 12)
    settings = config.load(sets=["episode.laps=1"])
    random, ends, orange_seen = np.random.default_rng(0), 0, 0
    many = robo.gym.VectorRobotini(4, "camera", track, settings=settings)
    alone = [robo.gym.RobotiniEnv("camera", track, settings=settings) for _ in range(4)]
    seen, infos = many.reset(options={"place": track.obstacles[0].distance - np.array([0.0, 0.3, 0.6, 0.9])})
    for row, env in enumerate(alone):
        assert np.array_equal(env.reset(options={"place": infos["distance"][row]})[0], seen[row])
    for _ in range(60):
        actions = to_action(settings.action, 0.1, 0.0) + random.uniform(-0.5, 0.5, (4, 2)).astype(np.float32)
        seen, rewards, terminated, truncated, infos = many.step(actions)
        for row, env in enumerate(alone):
            expected, reward, *ended, info = env.step(actions[row])
            assert ended == [terminated[row], truncated[row]]
            assert rewards[row] == pytest.approx(reward, abs=1e-6)
            last = infos["final_obs"][row] if any(ended) else seen[row]
            assert np.array_equal(last, expected)
            orange_seen += orange(last[..., ::-1]).any()
            if any(ended):
                ends += 1
                assert infos["final_info"]["crashes"][row] == info["crashes"]
                assert np.array_equal(env.reset(options={"place": infos["distance"][row]})[0], seen[row])
    assert ends > 3 and orange_seen > 60
    many.close()


def test_random_tracks_with_random_boxes_can_be_driven(tmp_path: Path) -> None:
    for seed in range(2):
        nodes = random_track(seed)
        boxes = random_obstacles(seed, 5, load(tmp_path, nodes).length)
        made = world(load(tmp_path, nodes, obstacles=[vars(box) for box in boxes]), 0.0)
        drive(made, 120, a=0.05)
        assert depth(made, "a") < 0.001
