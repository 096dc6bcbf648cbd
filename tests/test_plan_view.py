"""A track from above, as lines: where a car may be, to scale, in some kilobytes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from robo import config
from robo.simulation.plan_view import SPACING, outline
from robo.simulation.track import HALF_WIDTH, Track
from robo.simulation.tracks import Tracks

TRACKS = config.ROOT / "configs" / "tracks"
NAMES = sorted(path.stem for path in TRACKS.glob("*.json"))


def load(name: str) -> Track:
    return Track.load(TRACKS / f"{name}.json")


def gaps(side: list[tuple[float, float]]) -> np.ndarray:
    """Metres from each point to the next, once round."""
    points = np.array(side)
    return np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)


def test_it_says_which_track_it_is() -> None:
    drawn = outline(load("esses"), 4)
    assert (drawn.track, drawn.name, drawn.obstacles) == (4, "esses", [])
    assert drawn.length == pytest.approx(load("esses").length)


@pytest.mark.parametrize("name", NAMES)
def test_its_edges_are_as_far_apart_as_the_floor_is_wide(name: str) -> None:
    track = load(name)
    drawn = outline(track, 0)
    left, right = np.array(drawn.left), np.array(drawn.right)
    assert left.shape == right.shape
    apart = np.linalg.norm(left - right, axis=1)
    if track.flat:
        np.testing.assert_allclose(apart, 2 * HALF_WIDTH, atol=0.003)
    else:  # what is banked is narrower from above
        assert (apart <= 2 * HALF_WIDTH + 0.003).all()
    middle = (left + right) / 2
    away = np.linalg.norm(middle[:, None] - track.points[None, :, [0, 2]], axis=2).min(axis=1)
    assert away.max() < 0.003


@pytest.mark.parametrize("name", [name for name in NAMES if name != "loop"])  # where it is upside down
def test_left_is_left_in_driving_direction(name: str) -> None:
    """x to the right of z: seen from above with z up, a car that drives along +z has -x on its left."""
    drawn = outline(load(name), 0)
    left, right = np.array(drawn.left), np.array(drawn.right)
    ahead = np.roll(left + right, -1, axis=0) - (left + right)
    across = right - left
    assert (ahead[:, 1] * across[:, 0] - ahead[:, 0] * across[:, 1] > 0.0).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_once_round_in_even_steps(name: str) -> None:
    track = load(name)
    drawn = outline(track, 0)
    middle = (np.array(drawn.left) + np.array(drawn.right)) / 2
    steps = gaps(middle.tolist())
    assert drawn.left[0] != drawn.left[-1]
    assert steps.max() < 4 * SPACING  # as far as the points of a track's file are apart
    if track.flat:
        assert steps.sum() == pytest.approx(track.length, rel=0.02)


def test_it_is_small_whatever_the_track() -> None:
    tracks = Tracks.of(config.load(sets=["tracks.training=1", "tracks.length=30"]))
    for track in (load("meander"), tracks[1]):
        assert len(msgspec.json.encode(outline(track, 0))) < 400 * track.length


def test_obstacles_are_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "boxed.json"
    nodes = json.loads((TRACKS / "esses.json").read_text())["trackNodes"]
    box = {"distance": 14.9, "lateral": 0.2, "size": 0.3}
    path.write_text(json.dumps({"trackNodes": nodes, "obstacles": [box]}))
    track = Track.load(path)
    (corners,) = outline(track, 0).obstacles
    x, _, z, yaw = track.pose(14.9)
    right = np.array([np.cos(yaw), -np.sin(yaw)])
    np.testing.assert_allclose(np.mean(corners, axis=0), np.array([x, z]) + 0.2 * right, atol=0.002)
    np.testing.assert_allclose(gaps(corners), 0.3, atol=0.003)
