"""Boxes in a picture, and the cars that a camera sees."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from robo.config import ROOT
from robo.simulation.boxes import draw_box, find_bounds
from robo.simulation.camera import CAR_SHADES
from robo.simulation.ground import Ground
from robo.simulation.physics import X, Z
from robo.simulation.track import Track
from robo.simulation.world import World

TRACK = Track.load(ROOT / "configs" / "tracks" / "esses.json")
HEIGHT, WIDTH = 30, 48
EDGE = np.array([0.7, 0.45])
SHADES = np.array([[1, 1, 1], [2, 2, 2], [3, 3, 3]], np.uint8)
HALVES = np.array([0.3, 0.2, 0.5])


@pytest.fixture(autouse=True, scope="module")
def painted_once() -> Iterator[None]:
    """Painting the ground takes longer than most of these tests."""
    ground = World(TRACK).terrain.ground
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ground, "paint", lambda line, length: ground)
        yield


def rotation(random: np.random.Generator) -> np.ndarray:
    """Rows are three unit vectors at right angles, float64 [3, 3]."""
    rows, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return rows * np.sign(np.linalg.det(rows))


def draw(
    nearness: np.ndarray, eye: np.ndarray, view: np.ndarray, centre: np.ndarray, axes: np.ndarray
) -> np.ndarray:
    out, bounds = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros(4, np.int64)
    if find_bounds(bounds, HEIGHT, WIDTH, 0.01, eye, view, EDGE, centre, axes, HALVES):
        draw_box(out, nearness, bounds, eye, view, EDGE, centre, axes, HALVES, SHADES)
    return out[:, :, 0]


def marched(eye: np.ndarray, view: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Depth at which each pixel's ray is first inside the box, float64 [H, W]; infinite where it never is."""
    right = EDGE[0] * (2 * (np.arange(WIDTH) + 0.5) / WIDTH - 1)
    up = EDGE[1] * (1 - 2 * (np.arange(HEIGHT) + 0.5) / HEIGHT)
    ray = right[None, :, None] * view[0] + up[:, None, None] * view[1] + view[2]
    depth = np.arange(0.01, 5.0, 0.01)
    along = (eye - centre) @ axes.T + depth[:, None, None, None] * (ray @ axes.T)
    inside = (np.abs(along) <= HALVES).all(axis=3)
    return np.where(inside.any(axis=0), depth[inside.argmax(axis=0)], np.inf)


def test_a_box_is_where_marching_along_every_ray_finds_it() -> None:
    random = np.random.default_rng(1)
    seen = partly = 0
    for _ in range(60):
        view, axes, eye = rotation(random), rotation(random), random.normal(size=3)
        centre = eye + view[2] * random.uniform(-0.3, 3.0) + random.normal(0.0, 0.4, 3)
        if (np.abs((eye - centre) @ axes.T) < HALVES + 0.02).all():
            continue
        nearness = np.zeros((HEIGHT, WIDTH), np.float32)
        drawn = draw(nearness, eye, view, centre, axes) > 0
        depth = marched(eye, view, centre, axes)
        found = np.isfinite(depth)
        assert (drawn != found).mean() < 0.01  # marching misses what is thinner than a step
        assert not (found & ~drawn).any()
        both = drawn & found
        np.testing.assert_allclose(1 / nearness[both], depth[both], atol=0.06)
        assert np.median(np.abs(1 / nearness[both] - depth[both]) if both.any() else 0) < 0.011
        assert not nearness[~drawn].any()
        seen += drawn.any()
        partly += drawn.any() and not drawn.all()
    assert seen > 20
    assert partly > 15


def test_faces_have_shades_of_their_own() -> None:
    view = np.eye(3)
    for axis in range(3):
        axes = np.roll(np.eye(3), axis, axis=0)
        drawn = draw(np.zeros((HEIGHT, WIDTH), np.float32), np.zeros(3), view, np.array([0, 0, 2.0]), axes)
        assert set(drawn.ravel()) == {0, (axis + 2) % 3 + 1}


def test_what_is_nearer_hides_a_box_and_the_order_of_drawing_does_not_matter() -> None:
    random, view, eye = np.random.default_rng(2), np.eye(3), np.zeros(3)
    boxes = [(np.array([0.1, 0.0, 2.0]), rotation(random)), (np.array([-0.1, 0.1, 3.0]), rotation(random))]
    buffers = []
    for order in (boxes, boxes[::-1]):
        nearness = np.zeros((HEIGHT, WIDTH), np.float32)
        nearness[:, :20] = 1 / 1.2  # a wall before both
        for box in order:
            assert not draw(nearness, eye, view, *box)[:, :20].any()
        buffers.append(nearness)
    assert np.array_equal(*buffers)
    assert np.isclose(buffers[0][15, 24], 1 / marched(eye, view, *boxes[0])[15, 24], rtol=0.02)


def test_a_box_behind_or_around_the_camera_is_not_drawn() -> None:
    for centre in ([0.0, 0.0, -2.0], [0.0, 0.0, 0.1], [9.0, 0.0, 2.0], [0.0, -9.0, 2.0]):
        nearness = np.zeros((HEIGHT, WIDTH), np.float32)
        assert not draw(nearness, np.zeros(3), np.eye(3), np.array(centre), np.eye(3)).any()
        assert not nearness.any()


# In a world


def world_of(*places: tuple[float, float, float]) -> World:
    """Cars at (distance, metres right of the centre line, radians turned)."""
    world = World(TRACK)
    for number, (distance, lateral, turned) in enumerate(places):
        name = f"car{number}"
        world.add_car(name)
        world._place(world._cars[name], distance)
        x, _, z, yaw = TRACK.pose(distance)
        world.terrain.traffic.states[world._cars[name].row][:3] = (
            x + lateral * math.cos(yaw),
            z - lateral * math.sin(yaw),
            yaw + turned,
        )
    return world


def car_pixels(picture: np.ndarray) -> np.ndarray:
    return (picture[:, :, None] == CAR_SHADES).all(axis=3).any(axis=2)


STRAIGHT = TRACK.length - 0.9


@pytest.mark.parametrize("width", [8, 33, 127, 128])
def test_a_car_ahead_is_seen_and_the_rest_of_the_picture_stays(width: int) -> None:
    alone, world = world_of((STRAIGHT, 0, 0)), world_of((STRAIGHT, 0, 0), (STRAIGHT + 0.5, 0, 0))
    before, after = alone.render("car0", width), world.render("car0", width)
    changed = (before != after).any(axis=2)
    assert np.array_equal(car_pixels(after), changed)
    assert changed.sum() > 0.02 * changed.size
    assert np.array_equal(world.render("car1", width), world_of((STRAIGHT + 0.5, 0, 0)).render("car0", width))


def test_a_car_has_its_size_and_is_where_geometry_puts_it() -> None:
    world = world_of((STRAIGHT, 0, 0), (STRAIGHT + 0.5, 0.1, 0))
    seen = car_pixels(world.render("car0", 128))
    end = (world.render("car0", 128) == CAR_SHADES[2]).all(axis=2)
    # The pinhole model by hand: the middle of the rear end, in the horizontal plane and then tilted.
    ahead, below = 0.5 - 0.1 - 0.095, 0.0684 - 0.03
    tilt = math.radians(11)
    depth = ahead * math.cos(tilt) + below * math.sin(tilt)
    scale = 64 / (math.tan(math.radians(24.4)) * 1.6) / depth
    rows, columns = np.nonzero(end)
    assert columns.mean() == pytest.approx(63.5 + 0.1 * scale, abs=1.5)
    assert np.ptp(columns) + 1 == pytest.approx(0.09 * scale, abs=2)
    up = ahead * math.sin(tilt) - below * math.cos(tilt)
    assert rows.mean() == pytest.approx(39.5 - up * scale, abs=1.5)
    assert np.ptp(rows) + 1 == pytest.approx(0.06 * scale * math.cos(tilt), abs=2)
    assert seen.sum() > end.sum()  # its left flank and its top show, too


def test_walls_hide_cars() -> None:
    """A car on the part of the track beyond the wall ahead."""
    for own, other in ((1.3, 5.0), (5.0, 9.4), (9.4, 1.3)):
        x, _, z, yaw = TRACK.pose(own)
        there = TRACK.pose(other)
        turned = math.atan2(there[0] - x, there[2] - z) - yaw
        alone, world = world_of((own, 0, turned)), world_of((own, 0, turned), (other, 0, 0))
        assert np.array_equal(alone.render("car0", 128), world.render("car0", 128))


def test_cars_beside_and_behind_are_not_seen() -> None:
    alone = world_of((STRAIGHT, 0, 0)).render("car0", 128)
    for place in ((STRAIGHT - 0.3, 0, 0), (STRAIGHT, 0.1, 0), (STRAIGHT - 0.05, -0.1, 0)):
        assert np.array_equal(world_of((STRAIGHT, 0, 0), place).render("car0", 128), alone)


def test_a_nearer_car_hides_one_behind_it() -> None:
    near, far = (STRAIGHT + 0.35, 0, math.pi / 2), (STRAIGHT + 0.7, 0, 0)
    one = world_of((STRAIGHT, 0, 0), near).render("car0", 128)
    for order in ((near, far), (far, near)):
        world = world_of((STRAIGHT, 0, 0), *order)
        assert np.array_equal(world.render("car0", 128)[car_pixels(one)], one[car_pixels(one)])


def test_a_car_that_is_far_away_or_comes_close_to_the_camera_does_no_harm() -> None:
    random = np.random.default_rng(4)
    world = world_of(*[(STRAIGHT, 0, 0)] * 6)
    for _ in range(300):
        world.terrain.traffic.states[1:, [X, Z]] = world.terrain.traffic.states[0, [X, Z]] + random.normal(
            0, 0.2, (5, 2)
        )
        world.terrain.traffic.states[:, 2] = random.uniform(-math.pi, math.pi, 6)
        assert world.render("car0", int(random.integers(8, 129))).any()
