"""Cars that meet on a track in three dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from robo.config import ROOT
from robo.simulation.track import Track
from robo.simulation.world import Bumped, Event, World

BRIDGE = Track.load(ROOT / "configs" / "tracks" / "bridge.json")


def world(*distances: float, ghosts: bool = False) -> World:
    """Cars named a, b, ... at these places."""
    made = World(BRIDGE, seed=3, ghosts=ghosts)
    for name, distance in zip("abcdef", distances, strict=False):
        made.add_car(name)
        made.place(name, distance)
    return made


def run(made: World, frames: int, **throttles: float) -> list[Event]:
    """Drive straight on; the bumps."""
    events: list[Event] = []
    for _ in range(frames):
        for name in made.cars:
            made.hear(name)
            made.command(name, throttle=throttles.get(name, 0.0))
        events += made.step()
    return [event for event in events if isinstance(event, Bumped)]


def test_a_car_that_runs_into_another_pushes_it_on_and_both_are_told() -> None:
    made = world(1.0, 1.3)
    events = run(made, 40, a=0.08)
    assert events[:2] == [Bumped("a", "b"), Bumped("b", "a")]
    assert np.hypot(*np.subtract(made.status("b").position, made.status("a").position)[[0, 2]]) > 0.19
    assert np.linalg.norm(made.status("b").velocity) > 0.3


def test_ghosts_drive_through_one_another() -> None:
    made, alone = world(1.0, 1.3, ghosts=True), world(1.0)
    assert run(made, 40, a=0.08) == []
    run(alone, 40, a=0.08)
    assert made.status("a") == alone.status("a")
    assert np.array_equal(made.render("a", 64), alone.render("a", 64))


def test_a_car_that_touches_nobody_drives_as_if_alone_to_the_bit() -> None:
    made, alone = world(1.0, 5.0, 8.0), world(1.0)
    throttles = {"a": 0.05, "b": 0.05, "c": 0.07}
    for _ in range(60):
        assert run(made, 1, **throttles) == []
        run(alone, 1, a=0.05)
        assert made.status("a") == alone.status("a")


def test_cars_on_the_bridge_and_below_it_do_not_meet() -> None:
    """One in the other's place but for the height, all round the crossing."""
    gaps = BRIDGE.points[:, None, [0, 2]] - BRIDGE.points[None, :, [0, 2]]
    level = np.hypot(gaps[..., 0], gaps[..., 1])
    apart = np.abs(BRIDGE.points[:, None, 1] - BRIDGE.points[None, :, 1])
    above, below = np.unravel_index(np.argmin(np.where(apart > 0.1, level, np.inf)), level.shape)
    assert level[above, below] < 0.1
    made = world(float(BRIDGE.starts[above]), float(BRIDGE.starts[below]))
    assert run(made, 2) == []


def test_a_car_is_not_put_onto_another() -> None:
    made = world(1.0, 3.0)
    assert not made.terrain.is_free(0, 3.05)
    assert made.terrain.is_free(0, 3.5)
    assert made.terrain.is_free(0, 1.0)


@pytest.mark.parametrize("gone", ["a", "b"])
def test_a_car_that_leaves_is_no_longer_in_the_way(gone: str) -> None:
    made = world(1.0, 1.3)
    made.remove_car(gone)
    stays = made.cars[0]
    before = made.status(stays).position
    assert run(made, 30, **{stays: 0.05}) == []
    assert np.linalg.norm(np.subtract(made.status(stays).position, before)) > 0.1
