"""The world on tracks in three dimensions."""

import math

import numpy as np
import pytest

from robo.config import ROOT
from robo.driving.debug_policy import follow_colors
from robo.perception.color_mass import color_mass
from robo.simulation.relief import quaternion
from robo.simulation.surface_physics import FLYING, PLACE, VELOCITY
from robo.simulation.track import Track
from robo.simulation.world import Crashed, Event, LapCompleted, Returned, SegmentCrossed, World

BRIDGE = Track.load(ROOT / "configs" / "tracks" / "bridge.json")
LOOP = Track.load(ROOT / "configs" / "tracks" / "loop.json")


def rotated(rotation: tuple[float, ...], vector: tuple[float, ...]) -> np.ndarray:
    part, w = np.array(rotation[:3]), rotation[3]
    vector = np.array(vector)
    return vector + 2 * np.cross(part, np.cross(part, vector) + w * vector)


def drive_by_colour(world: World, seconds: float) -> list[Event]:
    events: list[Event] = []
    for frame in range(round(seconds * 60)):
        if frame % 3 == 0:
            throttle, turn = follow_colors(color_mass(world.render("a", 128)))
            world.command("a", throttle=throttle, turn=turn)
        world.hear("a")
        events += world.step()
    return events


def test_the_colour_following_policy_drives_clean_laps_over_the_bridge() -> None:
    world = World(BRIDGE)
    world.add_car("a")
    events = drive_by_colour(world, 52)
    assert not [event for event in events if isinstance(event, Crashed | Returned)]
    assert events.count(LapCompleted("a")) == 2
    crossed = [event for event in events if isinstance(event, SegmentCrossed)]
    assert [event.segment for event in crossed[2:33]] == [*range(30), 0]


def test_a_car_stands_on_the_floor_where_it_joins_and_faces_along_the_track() -> None:
    world = World(BRIDGE)
    for count in range(1, 16):
        world.add_car(str(count))
        status = world.status(str(count))
        distance = (BRIDGE.length - count * 2 * BRIDGE.length / 30) % BRIDGE.length
        found = BRIDGE.distance(status.position, near=distance)
        assert abs(BRIDGE.signed_gain(distance, found)) < 0.02
        assert math.dist(status.position, BRIDGE.pose(found)[:3]) == pytest.approx(0.0484, abs=0.002)
        assert status.velocity == (0.0, 0.0, 0.0)
        assert status.track_angle < 0.1
        index = int(np.searchsorted(BRIDGE.starts, distance, side="right")) - 1
        assert rotated(status.rotation, (0, 0, 1)) @ BRIDGE.tangents[index] > 0.99
        assert rotated(status.rotation, (0, 1, 0)) @ BRIDGE.ups[index] > 0.99


def test_status_has_velocity_and_rotation_in_three_dimensions() -> None:
    world = World(BRIDGE)
    world.add_car("a")
    steepest, rolled = 0.0, 0.0
    for frame in range(600):
        if frame % 3 == 0:
            throttle, turn = follow_colors(color_mass(world.render("a", 128)))
            world.command("a", throttle=throttle, turn=turn)
        before = np.array(world.status("a").position)
        world.hear("a")
        world.step()
        status = world.status("a")
        velocity = (np.array(status.position) - before) * 60
        np.testing.assert_allclose(status.velocity, velocity, atol=0.06)
        assert sum(part * part for part in status.rotation) == pytest.approx(1.0)
        steepest = max(steepest, abs(status.velocity[1]))
        rolled = max(rolled, abs(rotated(status.rotation, (1, 0, 0))[1]))
        if np.linalg.norm(velocity) > 0.3:
            assert rotated(status.rotation, (0, 0, 1)) @ velocity / np.linalg.norm(velocity) > 0.95
    assert steepest > 0.05
    assert rolled > 0.15


@pytest.mark.parametrize("seed", range(6))
def test_a_quaternion_turns_z_and_y_to_where_they_shall_be(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(50):
        forward = random.normal(size=3)
        forward /= np.linalg.norm(forward)
        up = np.cross(forward, random.normal(size=3))
        up /= np.linalg.norm(up)
        rotation = quaternion(tuple(forward), tuple(up))
        assert rotation[3] >= 0.0
        np.testing.assert_allclose(rotated(rotation, (0, 0, 1)), forward, atol=1e-12)
        np.testing.assert_allclose(rotated(rotation, (0, 1, 0)), up, atol=1e-12)
    assert quaternion((0.0, 0.0, -1.0), (0.0, 1.0, 0.0)) == pytest.approx((0.0, 1.0, 0.0, 0.0))
    assert quaternion((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)) == pytest.approx((0.0, 0.0, 1.0, 0.0))


def test_the_track_angle_is_taken_in_three_dimensions() -> None:
    world = World(LOOP)
    world.add_car("a")
    state = world.terrain.traffic.states[0]
    world.place("a", 3.7)  # where the loop climbs straight up
    assert world.status("a").track_angle < 0.5
    assert rotated(world.status("a").rotation, (0, 0, 1))[1] > 0.85
    state[3:6] = -state[3:6]
    assert world.status("a").track_angle > 179.5


def test_a_car_too_slow_for_the_loop_is_returned_at_rest_along_the_track() -> None:
    world = World(LOOP, seed=2)
    world.add_car("a")
    world._place(world._cars["a"], 2.0)
    world.command("a", throttle=0.2)
    for _ in range(400):
        world.hear("a")
        if Returned("a") in world.step():
            break
    status = world.status("a")
    assert status.velocity == (0.0, 0.0, 0.0)
    assert status.track_angle < 0.5
    assert world.frame < 400


def test_triggers_are_as_high_as_the_walls() -> None:
    spacing = BRIDGE.length / 31
    crossings = []
    for lift in (0.0, 0.05, 0.4):
        world = World(BRIDGE)
        world.add_car("a")
        car = world._cars["a"]
        world._place(car, 5 * spacing - 0.05)
        state = world.terrain.traffic.states[0]
        state[PLACE : PLACE + 3] += lift * state[6:9]
        state[VELOCITY : VELOCITY + 3] = 2.0 * state[3:6]
        world.terrain.traffic.memories[0, FLYING] = lift > 0.0
        events = [event for _ in range(6) for event in world.step()]
        crossings.append([event.segment for event in events if isinstance(event, SegmentCrossed)])
    assert crossings == [[4], [4], []]


def test_the_same_seed_and_commands_give_the_same_trajectory_whatever_others_do() -> None:
    def trajectory(company: bool) -> list[tuple]:
        world = World(LOOP, seed=9, ghosts=True)
        random, other = np.random.default_rng(1), np.random.default_rng(2)
        world.add_car("a")
        places = []
        for frame in range(600):
            if company and frame % 100 == 20:
                world.add_car(f"other{frame}")
            for name in world.cars[1:]:
                world.hear(name)
                world.command(name, throttle=other.uniform(), turn=other.uniform(-1, 1))
            if frame % 7 == 0:
                world.command("a", throttle=random.uniform(0.0, 0.6), turn=random.uniform(-0.3, 0.3))
            world.hear("a")
            world.step()
            places.append(world.status("a"))
        return places

    assert trajectory(company=False) == trajectory(company=True)


def test_other_cars_are_in_the_picture() -> None:
    world = World(LOOP)
    world.add_car("ahead")
    world.add_car("a")
    with_another = world.render("a", 128)
    world.remove_car("ahead")
    assert (with_another != world.render("a", 128)).any()
