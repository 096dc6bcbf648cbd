"""The floor of a track in three dimensions."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest

from robo.config import ROOT
from robo.simulation import footing, surface
from robo.simulation.surface import EDGE, LEFT_EDGE, POSITION, RIGHT, RIGHT_EDGE, START, TANGENT, UP
from robo.simulation.track import Track

TRACKS = ROOT / "configs" / "tracks"
NAMES = ("esses", "bridge", "loop")


def vectors(samples: np.ndarray, at: int) -> np.ndarray:
    return samples[:, at : at + 3]


@pytest.mark.parametrize("name", NAMES)
def test_directions_are_perpendicular_smooth_and_go_round_the_track(name: str) -> None:
    track = Track.load(TRACKS / f"{name}.json")
    samples = surface.samples(track)
    tangent, up, right = (vectors(samples, at) for at in (TANGENT, UP, RIGHT))
    for one, other in ((tangent, up), (up, right), (right, tangent)):
        np.testing.assert_allclose((one * other).sum(axis=1), 0.0, atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1.0)
        assert np.linalg.norm(one - np.roll(one, 1, axis=0), axis=1).max() < 0.1
    np.testing.assert_allclose(np.cross(up, tangent), right, atol=1e-12)
    ahead = np.roll(vectors(samples, POSITION), -1, axis=0) - vectors(samples, POSITION)
    assert np.linalg.norm(ahead, axis=1).max() < 1.02 * surface.SPACING
    assert np.linalg.norm(ahead, axis=1).sum() == pytest.approx(track.length, rel=1e-3)
    assert (np.diff(samples[:, START]) > 0).all()
    assert samples[-1, START] < track.length


def banked(folder: Path, roll: float, up: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> Track:
    nodes = copy.deepcopy(json.loads((TRACKS / "esses.json").read_text())["trackNodes"])
    for node in nodes:
        node["roll"] = roll
        node["up"] = dict(zip("xyz", up, strict=True))
    path = folder / "banked.json"
    path.write_text(json.dumps({"trackNodes": nodes}))
    return Track.load(path)


def test_a_positive_roll_leans_to_the_left_by_so_many_degrees(tmp_path: Path) -> None:
    samples = surface.samples(banked(tmp_path, 20.0))
    level = np.cross((0.0, 1.0, 0.0), vectors(samples, TANGENT))
    leaning = (vectors(samples, UP) * level).sum(axis=1)
    np.testing.assert_allclose(leaning, -math.sin(math.radians(20.0)), atol=1e-3)
    assert (samples[:, RIGHT + 1] > 0.3).all()


def test_an_up_need_not_be_perpendicular_nor_of_length_1(tmp_path: Path) -> None:
    samples = surface.samples(banked(tmp_path, 0.0, (0.0, 5.0, 0.0)))
    np.testing.assert_allclose(vectors(samples, UP), np.tile((0.0, 1.0, 0.0), (len(samples), 1)), atol=1e-12)
    along = surface.samples(banked(tmp_path, 0.0, (1.0, 0.0, 0.0)))  # along the track in places
    assert np.isfinite(along).all()
    np.testing.assert_allclose(np.linalg.norm(vectors(along, UP), axis=1), 1.0)


def test_up_is_interpolated_between_nodes_that_differ(tmp_path: Path) -> None:
    nodes = json.loads((TRACKS / "esses.json").read_text())["trackNodes"]
    nodes[7]["roll"] = 30.0
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"trackNodes": nodes}))
    track = Track.load(path)
    lean = np.degrees(np.arccos(np.clip(track.ups[:, 1], -1.0, 1.0)))
    np.testing.assert_allclose(lean[6 * 30 : 8 * 30 + 1], 30 - np.abs(np.arange(-30, 31)), atol=1e-6)
    assert lean[: 6 * 30].max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_place_is_found_again_from_a_point_above_the_floor(name: str) -> None:
    track = Track.load(TRACKS / f"{name}.json")
    samples = surface.samples(track)
    random = np.random.default_rng(4)
    for _ in range(300):
        index, share = int(random.integers(len(samples))), float(random.uniform())
        _, up, right = footing.directions(samples, index, share)
        lateral, height = float(random.uniform(-0.25, 0.25)), float(random.uniform(0.0, 0.1))
        middle = np.array(footing.centre(samples, index, share))
        point = tuple(middle + lateral * np.array(right) + height * np.array(up))
        hint = (index + int(random.integers(-15, 16))) % len(samples)
        found, where = footing.locate(samples, hint, 0.3, point)
        along = footing.distance(samples, found, where, track.length)
        expected = footing.distance(samples, index, share, track.length)
        assert abs(track.signed_gain(expected, along)) < 0.004
        off = np.array(point) - footing.centre(samples, found, where)
        assert off @ np.array(footing.directions(samples, found, where)[2]) == pytest.approx(
            lateral, abs=0.002
        )


def test_a_hint_keeps_a_point_on_its_own_branch_where_a_track_crosses_over_itself() -> None:
    track = Track.load(TRACKS / "bridge.json")
    samples = surface.samples(track)
    ground = vectors(samples, POSITION)[:, [0, 2]]
    apart = np.linalg.norm(ground[:, None] - ground[None], axis=2)
    apart[np.abs(samples[:, START][:, None] - samples[:, START][None]) < 2.0] = np.inf
    one, other = np.unravel_index(apart.argmin(), apart.shape)
    assert abs(samples[one, POSITION + 1] - samples[other, POSITION + 1]) > 0.25
    point = tuple((samples[one, POSITION : POSITION + 3] + samples[other, POSITION : POSITION + 3]) / 2)
    for branch in (int(one), int(other)):
        found, _ = footing.locate(samples, branch, 0.3, point)
        assert abs(track.signed_gain(samples[branch, START], samples[found, START])) < 0.1


def test_the_floor_ends_where_a_tight_bend_would_fold_it() -> None:
    edges = surface.samples(Track.load(TRACKS / "esses.json"))[:, [LEFT_EDGE, RIGHT_EDGE]]
    assert edges.max() == EDGE
    assert 0.29 < edges.min() < 0.31
    assert 0.02 < (edges < EDGE).mean() < 0.2
