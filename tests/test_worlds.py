"""Cars on different tracks at once, and taken from one to another."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robo import config
from robo.protocol.car import Restart
from robo.simulation.tracks import Tracks
from robo.simulation.world import Returned, World
from robo.simulation.worlds import Worlds

TRACKS = Tracks.of(config.load(sets=["tracks.training=2", "tracks.evaluation=1", "tracks.length=12"]))


def worlds(*cars: str) -> Worlds:
    found = Worlds(TRACKS, lambda number: World(TRACKS[number]))
    for car in cars:
        found.add_car(car)
    return found


def drive(found: Worlds, frames: int, **throttle: float) -> list[tuple[float, ...]]:
    """Where the cars are after each frame."""
    places = []
    for _ in range(frames):
        for car, value in throttle.items():
            found.hear(car)
            found.command(car, throttle=value)
        found.step()
        places.append(tuple(value for car in throttle for value in found.status(car).position))
    return places


def test_a_restarted_car_is_where_it_asked_to_be() -> None:
    found = worlds("a")
    assert found.restart("a", Restart(2, 0.25, lateral=0.1, heading=-0.2, speed=1.5))
    track = TRACKS[2]
    x, _, z, yaw = track.pose(0.25 * track.length)
    status = found.status("a")
    expected = (x + 0.1 * math.cos(yaw), z - 0.1 * math.sin(yaw))
    np.testing.assert_allclose((status.position[0], status.position[2]), expected, atol=1e-9)
    velocity = (1.5 * math.sin(yaw - 0.2), 1.5 * math.cos(yaw - 0.2))
    np.testing.assert_allclose((status.velocity[0], status.velocity[2]), velocity, atol=1e-9)
    assert status.track_angle == pytest.approx(math.degrees(0.2), abs=1.0)
    assert status.track_segment == -1
    before = found.status("a").position
    found.step()
    moved = math.dist(before, found.status("a").position)
    assert 0.7 * 1.5 / 60 < moved <= 1.5 / 60  # it rolls on


def test_a_track_that_is_not_there_changes_nothing() -> None:
    found = worlds("a")
    before = found.status("a")
    assert not found.restart("a", Restart(len(TRACKS)))
    assert found.status("a") == before


def test_time_goes_on_for_a_car_that_is_taken_elsewhere() -> None:
    found = worlds("a", "b")
    drive(found, 30, a=0.05, b=0.05)
    found.restart("a", Restart(1))
    drive(found, 30, a=0.05, b=0.05)
    assert found.frame == 60
    assert found.time == pytest.approx(1.0)


def test_cars_on_different_tracks_do_not_meet() -> None:
    found = worlds("a", "b")
    for car, track in (("a", 1), ("b", 2)):
        found.restart(car, Restart(track, 0.0))
    alone = worlds("a")
    alone.restart("a", Restart(1, 0.0))
    together = drive(found, 60, a=0.06, b=0.08)
    apart = drive(alone, 60, a=0.06)
    assert [place[:3] for place in together] == apart


def test_the_same_commands_give_the_same_trajectories() -> None:
    runs = []
    for _ in range(2):
        found = worlds("a", "b")
        places = []
        for number in (1, 2, 0, 1):
            found.restart("a", Restart(number, 0.3, heading=0.3, speed=1.0))
            places += drive(found, 90, a=0.1, b=0.1)
        runs.append(places)
    assert runs[0] == runs[1]


def test_a_car_that_is_returned_stays_on_its_track() -> None:
    found = worlds("a")
    found.restart("a", Restart(1, 0.1))
    events = []
    for _ in range(600):
        found.hear("a")
        found.command("a", throttle=0.1, turn=1.0)
        events += found.step()
    assert any(isinstance(event, Returned) for event in events)
    x, y, z = found.status("a").position
    assert TRACKS[1].distance((x, y, z)) >= 0.0
    nearest = np.linalg.norm(TRACKS[1].points[:, [0, 2]] - (x, z), axis=1).min()
    assert nearest < 0.5
