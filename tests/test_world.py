import math

import numpy as np
import pytest

from robo.config import ROOT
from robo.driving.debug_policy import follow_colors
from robo.perception.color_mass import color_mass
from robo.simulation import physics
from robo.simulation.laps import Laps
from robo.simulation.track import Track
from robo.simulation.world import (
    Bumped,
    CarStatus,
    Crashed,
    Event,
    LapCompleted,
    Returned,
    SegmentCrossed,
    World,
)

TRACK = Track.load(ROOT / "configs" / "tracks" / "esses.json")


@pytest.fixture
def world() -> World:
    return World(TRACK, seed=3)


def run(world: World, seconds: float) -> list[tuple[float, Event]]:
    """Step with every car heard in every frame; events with the time at which each was reported."""
    events = []
    for _ in range(round(seconds * 60)):
        for name in world.cars:
            world.hear(name)
        events += [(world.time, event) for event in world.step()]
    return events


def drive_by_colour(world: World, name: str, seconds: float) -> list[tuple[float, Event]]:
    events = []
    for frame in range(round(seconds * 60)):
        if frame % 3 == 0:
            throttle, turn = follow_colors(color_mass(world.render(name, 128)))
            world.command(name, throttle=throttle, turn=turn)
        world.hear(name)
        events += [(world.time, event) for event in world.step()]
    return events


def distance_of(world: World, name: str) -> float:
    return TRACK.distance(world.status(name).position)


def yaw_of(world: World, name: str) -> float:
    _, y, _, w = world.status(name).rotation
    return 2 * math.atan2(y, w)


def test_time_moves_by_a_sixtieth_a_frame_and_physics_by_500_steps_a_second(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    drive = physics.drive

    def count(*arguments: object) -> tuple[int, float]:
        taken.append(arguments[3])
        return drive(*arguments)

    monkeypatch.setattr(physics, "drive", count)
    world.add_car("a")
    run(world, 2)
    assert world.frame == 120
    assert world.time == 2.0
    assert sum(taken) == 1000
    assert set(taken) == {8, 9}


def test_cars_join_at_their_free_practice_places_at_rest(world: World) -> None:
    for count in range(1, 18):
        name = f"car{count}"
        world.add_car(name)
        expected = TRACK.length - (count * 2 * TRACK.length / 30) % TRACK.length
        assert abs(TRACK.signed_gain(expected, distance_of(world, name))) < 1e-6
        status = world.status(name)
        assert status.position[1] == pytest.approx(0.0484)
        assert status.velocity == (0.0, 0.0, 0.0)
        assert status.track_segment == -1
        assert status.track_angle < 1e-6
    world.remove_car("car4")
    world.add_car("car4")
    expected = TRACK.length - (18 * 2 * TRACK.length / 30) % TRACK.length
    assert distance_of(world, "car4") == pytest.approx(expected)
    assert world.cars[-1] == "car4"


def test_a_name_can_join_once_and_a_stranger_does_nothing(world: World) -> None:
    world.add_car("a")
    with pytest.raises(ValueError, match="a"):
        world.add_car("a")
    with pytest.raises(KeyError):
        world.command("b", throttle=1.0)
    with pytest.raises(KeyError):
        world.remove_car("b")


def test_a_car_at_rest_stays_for_as_long_as_it_likes(world: World) -> None:
    world.add_car("a")
    before = world.status("a")
    assert run(world, 5) == []
    assert world.status("a") == before


def test_commands_are_clamped_and_nonsense_is_ignored(world: World) -> None:
    world.add_car("a")
    world.add_car("b")
    world.command("a", throttle=7.0, turn=-9.0)
    world.command("a", throttle=math.nan, turn=math.inf, brake=math.nan)
    world.command("b", throttle=1.0, turn=-1.0)
    for _ in range(12):
        world.step()
    speeds = [np.hypot(world.status(name).velocity[0], world.status(name).velocity[2]) for name in "ab"]
    assert speeds[0] == pytest.approx(speeds[1], rel=0.05)
    assert speeds[0] > 0.2


def test_brake_and_throttle_release_one_another(world: World) -> None:
    world.add_car("a")
    world.command("a", throttle=0.1)
    run(world, 0.5)
    assert world.status("a").velocity[0] > 0.5
    world.command("a", brake=1.0)
    run(world, 0.5)
    assert abs(world.status("a").velocity[0]) < 0.05
    world.command("a", throttle=0.1)
    run(world, 0.5)
    assert world.status("a").velocity[0] > 0.5


def test_a_car_not_heard_for_300_ms_loses_its_controls_until_the_next_line(world: World) -> None:
    world.add_car("a")
    world.command("a", throttle=0.1)
    speeds = []
    for _ in range(60):
        world.step()
        speeds.append(world.status("a").velocity[0])
    assert int(np.argmax(speeds)) in (17, 18, 19)
    assert speeds[-1] < 0.5 * max(speeds)
    world.hear("a")
    world.step()
    assert world.status("a").velocity[0] < speeds[-1]
    world.command("a", throttle=0.1)
    run(world, 0.2)
    assert world.status("a").velocity[0] > speeds[-1]


def test_status_says_where_the_car_is_and_where_it_looks(world: World) -> None:
    world.add_car("a")
    world.command("a", throttle=0.03, turn=1.0)
    run(world, 0.5)
    status = world.status("a")
    assert sum(part * part for part in status.rotation) == pytest.approx(1.0)
    turned_left = math.pi / 2 - yaw_of(world, "a")
    assert 0.2 < turned_left < 1.5
    assert status.track_angle == pytest.approx(math.degrees(turned_left), abs=0.1)
    heading = math.atan2(status.velocity[0], status.velocity[2])
    assert heading == pytest.approx(yaw_of(world, "a"), abs=0.4)


def test_a_crash_is_told_once_and_after_a_fifth_of_a_second_the_car_is_returned(world: World) -> None:
    world.add_car("a")
    world.command("a", throttle=0.06, turn=0.5)
    events = run(world, 3)
    told = [(time, event) for time, event in events if not isinstance(event, SegmentCrossed)]
    assert [event for _, event in told[:2]] == [Crashed("a"), Returned("a")]
    assert 0.18 < told[1][0] - told[0][0] < 0.25


def test_a_returned_car_is_at_rest_along_the_track_and_keeps_its_segment(world: World) -> None:
    world.add_car("a")
    world.command("a", throttle=0.06)
    crossed = []
    for _ in range(600):
        world.hear("a")
        events = world.step()
        crossed += [event.segment for event in events if isinstance(event, SegmentCrossed)]
        if Returned("a") in events:
            break
    status = world.status("a")
    assert Returned("a") in events
    assert status.velocity == (0.0, 0.0, 0.0)
    assert status.track_angle < 1e-6
    assert status.track_segment == crossed[-1] >= 0


def test_a_car_that_gets_stuck_after_moving_is_returned_after_two_seconds(world: World) -> None:
    world.add_car("a")
    world.command("a", throttle=0.05)
    run(world, 0.3)
    world.command("a", brake=1.0)
    events = run(world, 3)
    returned = [time for time, event in events if event == Returned("a")]
    assert len(returned) == 1
    assert 0.3 + 2.0 <= returned[0] < 0.3 + 2.3


def test_a_touch_that_ends_at_once_is_a_crash_without_a_return(world: World) -> None:
    world.add_car("a")
    world.command("a", throttle=0.05, turn=0.22)
    for _ in range(600):
        world.hear("a")
        if Crashed("a") in world.step():
            break
    world.command("a", turn=-1.0)
    assert not [event for _, event in run(world, 0.25) if isinstance(event, Returned)]


def test_walls_hold_whatever_a_car_does(world: World) -> None:
    random = np.random.default_rng(11)
    names = [f"car{index}" for index in range(6)]
    for name in names:
        world.add_car(name)
    walls = world.terrain.ground.walls[:, :2]
    start = TRACK.points[:, [0, 2]]
    ahead = np.roll(start, -1, axis=0) - start
    for frame in range(1500):
        for name in names:
            world.hear(name)
            if random.random() < 0.1:
                world.command(name, throttle=random.uniform(0, 0.5), turn=random.uniform(-1, 1))
        world.step()
        if frame % 5:
            continue
        for name in names:
            x, _, z = world.status(name).position
            yaw = yaw_of(world, name)
            axes = np.array([[math.sin(yaw), math.cos(yaw)], [math.cos(yaw), -math.sin(yaw)]])
            corners = np.array([x, z]) + [[f, r] for f in (-0.1, 0.1) for r in (-0.045, 0.045)] @ axes
            offset = corners[:, None] - start
            along = np.clip((offset * ahead).sum(axis=2) / (ahead * ahead).sum(axis=1), 0, 1)
            off = np.linalg.norm(offset - along[..., None] * ahead, axis=2).min(axis=1)
            assert off.max() < 0.45
            inside = np.abs((walls - [x, z]) @ axes.T)
            assert not ((inside[:, 0] < 0.08) & (inside[:, 1] < 0.02)).any()


@pytest.mark.parametrize("ghosts", [False, True])
def test_the_same_seed_and_commands_give_the_same_trajectory_whatever_others_do(ghosts: bool) -> None:
    """As long as none of them touches the car."""

    def trajectory(company: bool) -> list[CarStatus]:
        world = World(TRACK, seed=9, ghosts=ghosts)
        random = np.random.default_rng(1)
        other = np.random.default_rng(2)
        world.add_car("a")
        places = []
        for frame in range(600):
            if company and frame % 50 == 20:
                world.add_car(f"other{frame}")
            for name in world.cars[1:]:
                world.hear(name)
                world.command(name, throttle=other.uniform(), turn=other.uniform(-1, 1))
            if frame % 7 == 0:
                world.command("a", throttle=random.uniform(0.0, 0.2), turn=random.uniform(-1, 1))
            world.hear("a")
            events = world.step()
            if any(isinstance(event, Bumped) and event.car == "a" for event in events):
                break
            returns.append(Returned("a") in events)
            places.append(world.status("a"))
        return places

    returns: list[bool] = []
    alone, together = trajectory(company=False), trajectory(company=True)
    assert together == alone[: len(together)]
    assert len(together) == 600 if ghosts else len(together) > 200
    assert sum(returns[600:]) > 1  # it was put back at the same random places, too


def test_segments_are_crossed_in_order_from_the_spawn_through_the_finish_line(world: World) -> None:
    world.add_car("a")
    events = [event for _, event in drive_by_colour(world, "a", 24)]
    crossed = [event for event in events if isinstance(event, SegmentCrossed)]
    assert [event.segment for event in crossed[:4]] == [28, 29, 0, 1]
    assert [event.in_order for event in crossed[:4]] == [False, True, True, True]
    assert [event.segment for event in crossed[2:33]] == [*range(30), 0]
    assert world.status("a").track_segment == crossed[-1].segment


def test_the_colour_following_policy_drives_two_clean_laps(world: World) -> None:
    world.add_car("a")
    assert world.laps("a").lap_count == -1
    events = drive_by_colour(world, "a", 46)
    assert not [event for _, event in events if isinstance(event, Crashed | Returned)]
    finished = [time for time, event in events if event == LapCompleted("a")]
    assert len(finished) == 2
    laps = world.laps("a")
    assert laps.lap_count == 2
    assert laps.last_lap == pytest.approx(finished[1] - finished[0], abs=2 / 60)
    assert laps.best_lap <= laps.last_lap
    assert laps.total_time == pytest.approx(finished[1], abs=2 / 60)
    assert 15 < laps.last_lap < 25


def test_laps_are_timed_between_frames() -> None:
    laps = Laps(30, 15.0)
    assert laps.move(14.95, 0.1, 1.0, 0.02) == [(0, True, False)]
    assert laps.times.lap_count == 0
    assert laps.times.total_time == pytest.approx(1.01)


def test_a_lap_counts_only_when_the_finish_line_comes_in_order() -> None:
    laps = Laps(3, 4.0)

    def cross(distance: float, gain: float = 0.2) -> list[tuple[int, bool, bool]]:
        return laps.move(distance, gain, 10.0, 0.1)

    assert cross(3.9) == [(0, True, False)]
    assert cross(0.9) == []
    assert cross(1.9) == [(1, True, False)]
    assert cross(3.9) == [(0, False, False)]
    assert cross(1.1, -0.2) == []
    assert cross(1.9) == [(1, True, False)]
    assert cross(2.9) == [(2, True, False)]
    assert cross(3.1, -0.2) == []
    assert cross(2.1, -0.2) == [(1, False, False)]
    assert cross(2.9) == [(2, True, False)]
    assert cross(3.9) == [(0, True, True)]
    assert laps.times.lap_count == 1


def test_a_jump_over_several_triggers_crosses_each() -> None:
    laps = Laps(10, 11.0)
    assert [segment for segment, _, _ in laps.move(0.5, 3.0, 0.0, 0.1)] == [0, 1, 2]
    assert [segment for segment, _, _ in laps.move(3.5, -2.0, 0.0, 0.1)] == [1]
