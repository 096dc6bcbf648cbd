import math

import numpy as np
import pytest

from robo.config import ROOT
from robo.simulation import camera, ground
from robo.simulation.camera import Camera
from robo.simulation.ground import BLACK, BLUE, GREEN, LIT, OUTSIDE, RED, SHADE, SHADOWED, WHITE, Ground
from robo.simulation.track import HALF_WIDTH, Track

TRACK = Track.load(ROOT / "configs" / "tracks" / "esses.json")
BEHIND_THE_LINE = TRACK.length - 0.9


@pytest.fixture(scope="module")
def painted() -> Ground:
    flat = TRACK.points[:, [0, 2]]
    line = np.hstack([flat, np.roll(flat, -1, axis=0) - flat, TRACK.starts[:, None]])
    return Ground.paint(line, TRACK.length)


def pose(distance: float, lateral: float = 0.0, turned: float = 0.0) -> tuple[float, float, float]:
    x, _, z, yaw = TRACK.pose(distance)
    return x + lateral * math.cos(yaw), z - lateral * math.sin(yaw), yaw + turned


def names(row: np.ndarray) -> list[int]:
    """The runs of floor colours in a row of pixels, left to right; walls count as black."""
    colours = np.array([LIT[index][::-1] for index in (BLACK, RED, BLUE, GREEN)], float)
    colours = np.concatenate([colours, colours[1:] * SHADE])
    found = np.abs(row[:, None].astype(float) - colours).sum(axis=2).argmin(axis=1)
    order = np.array([BLACK, RED, BLUE, GREEN, RED, BLUE, GREEN])[found]
    return [int(name) for index, name in enumerate(order) if index == 0 or name != order[index - 1]]


@pytest.mark.parametrize("width", [8, 33, 64, 127, 128])
def test_a_picture_has_five_eighths_of_its_width_as_height(painted: Ground, width: int) -> None:
    picture = Camera(width, painted).picture(*pose(1.0))
    assert picture.shape == (width * 80 // 128, width, 3)
    assert picture.dtype == np.uint8


def test_bands_lie_from_left_to_right_as_red_blue_green(painted: Ground) -> None:
    picture = Camera(128, painted).picture(*pose(BEHIND_THE_LINE))
    assert names(picture[40]) == [RED, BLACK, BLUE, BLACK, GREEN]
    assert names(picture[31]) == [BLACK, RED, BLACK, BLUE, BLACK, GREEN, BLACK]


def test_bands_are_where_geometry_puts_them(painted: Ground) -> None:
    """Where the edges of the blue band cross a row, from the pinhole model by hand."""
    for lateral in (-0.1, 0.0, 0.1):
        picture = Camera(128, painted).picture(*pose(BEHIND_THE_LINE, lateral))
        row = 50
        up = (1 - 2 * (row + 0.5) / 80) * math.tan(math.radians(24.4))
        below = math.radians(11) - math.atan(up)
        axis_depth = 0.0684 / math.sin(below) * math.cos(math.atan(up))
        scale = 64 / (math.tan(math.radians(24.4)) * 1.6) / axis_depth
        blue = np.flatnonzero((picture[row] == LIT[BLUE][::-1]).all(axis=1))
        left, right = ((0.9 * fraction - 0.45 - lateral) * scale + 63.5 for fraction in (0.33, 0.59))
        assert blue[0] == pytest.approx(max(left, 0), abs=1.5)
        assert blue[-1] == pytest.approx(min(right, 127), abs=1.5)


def test_a_car_right_of_the_centre_sees_more_green_and_less_red(painted: Ground) -> None:
    eye = Camera(128, painted)
    seen = {}
    for lateral in (-0.2, 0.0, 0.2):
        picture = eye.picture(*pose(BEHIND_THE_LINE, lateral))
        seen[lateral] = [(picture == LIT[colour][::-1]).all(axis=2).sum() for colour in (RED, GREEN)]
    assert seen[-0.2][0] > seen[0.0][0] > seen[0.2][0]
    assert seen[-0.2][1] < seen[0.0][1] < seen[0.2][1]


@pytest.mark.parametrize("turned", [-0.5, 0.5])
def test_a_car_that_looks_aside_sees_the_wall_there(painted: Ground, turned: float) -> None:
    picture = Camera(128, painted).picture(*pose(BEHIND_THE_LINE, 0.0, turned))
    dark = (picture == camera.WALL_COLOUR).all(axis=2)
    left, right = dark[:, :64].sum(), dark[:, 64:].sum()
    assert (left > 1.5 * right) if turned < 0 else (right > 1.5 * left)


def test_above_the_walls_is_a_grey_sky(painted: Ground) -> None:
    for distance in np.linspace(0, TRACK.length, 20):
        sky = Camera(128, painted).picture(*pose(distance))[0]
        grey = sky[(sky != camera.WALL_COLOUR).any(axis=1)]
        assert len(grey) > 30
        assert (grey == grey[:, :1]).all()
        assert grey.min() >= 70
        assert grey.max() <= 110


def test_the_finish_line_is_black_and_white(painted: Ground) -> None:
    eye = Camera(128, painted)
    white = (eye.picture(*pose(TRACK.length - 0.4)) == LIT[WHITE]).all(axis=2)
    assert 20 < white.sum() < 400
    assert not (eye.picture(*pose(1.5)) == LIT[WHITE]).all(axis=2).any()


def test_shadows_darken_a_strip_beside_walls_below_the_threshold_for_blue(painted: Ground) -> None:
    colours = ground.palette()
    shadowed = painted.picture >= SHADOWED
    floor = painted.picture != OUTSIDE
    assert 0.02 < shadowed.sum() / floor.sum() < 0.15
    assert colours[BLUE + SHADOWED].max() < 100 < colours[BLUE].max()
    np.testing.assert_allclose(colours[RED + SHADOWED], colours[RED] * SHADE, atol=0.5)


def test_walls_stand_at_their_distance_and_not_inside_tight_bends(painted: Ground) -> None:
    ends = painted.walls[:, :2]
    distances = np.array([centre_distance(np.array([end]))[0] for end in ends])
    assert np.median(distances) == pytest.approx(0.44, abs=0.002)
    assert distances.min() > 0.39
    assert (distances < 0.43).mean() < 0.02


def centre_distance(places: np.ndarray) -> np.ndarray:
    """Distance of ground positions [N, 2] from the centre line, metres, by brute force."""
    start = TRACK.points[:, [0, 2]]
    ahead = np.roll(start, -1, axis=0) - start
    offset = places[:, None] - start
    along = np.clip((offset * ahead).sum(axis=2) / (ahead * ahead).sum(axis=1), 0, 1)
    return np.linalg.norm(offset - along[..., None] * ahead, axis=2).min(axis=1)


def reference_pixel(x: float, z: float, yaw: float, row: int, column: int) -> str:
    """What a ray through a pixel's centre meets, by marching along it over the 3D scene."""
    half = math.tan(math.radians(48.8) / 2)
    ray = np.array([(2 * (column + 0.5) / 128 - 1) * half * 1.6, (1 - 2 * (row + 0.5) / 80) * half, 1.0])
    pitch = math.radians(11)
    up = ray[1] * math.cos(pitch) - ray[2] * math.sin(pitch)
    forward = ray[2] * math.cos(pitch) + ray[1] * math.sin(pitch)
    step = (
        np.array([math.sin(yaw), math.cos(yaw)]) * forward
        + np.array([math.cos(yaw), -math.sin(yaw)]) * ray[0]
    )
    eye = np.array([x, z]) + 0.095 * np.array([math.sin(yaw), math.cos(yaw)])
    t = np.arange(0.02, 6.0, 0.02)
    outside = centre_distance(eye + t[:, None] * step) > 0.44
    wall = t[outside.argmax()] if outside.any() else math.inf
    floor = -0.0684 / up if up < 0 else math.inf
    if floor < wall:
        return "floor"
    return "wall" if 0.0684 + wall * up <= 0.15 else "sky"


@pytest.mark.parametrize(
    ("distance", "lateral", "turned"), [(1.3, 0.1, 0.3), (5.0, -0.2, -0.2), (9.4, 0.0, 0.5)]
)
def test_walls_hide_what_ray_marching_says_they_hide(
    painted: Ground, distance: float, lateral: float, turned: float
) -> None:
    place = pose(distance, lateral, turned)
    picture = Camera(128, painted).picture(*place)
    random = np.random.default_rng(3)
    agree = 0
    for row, column in zip(random.integers(0, 80, 150), random.integers(0, 128, 150), strict=True):
        pixel = picture[row, column]
        is_sky = pixel[0] == pixel[1] == pixel[2] and 70 <= pixel[0] <= 110
        seen = "sky" if is_sky else "wall" if (pixel == camera.WALL_COLOUR).all() else "floor"
        agree += seen == reference_pixel(*place, int(row), int(column))
    assert agree >= 144


def test_the_picture_from_above_has_the_bands_across_the_track(painted: Ground) -> None:
    for distance in (1.0, 2.6, 4.8, 7.9, 9.4, 11.7, 13.2, 14.8):
        found = []
        for lateral in np.linspace(-HALF_WIDTH + 0.005, HALF_WIDTH - 0.005, 180):
            x, z, _ = pose(distance, lateral)
            row, column = ((z - painted.origin[1]) / painted.texel, (x - painted.origin[0]) / painted.texel)
            index = int(painted.picture[int(row), int(column)]) % SHADOWED
            if not found or found[-1] != index:
                found.append(index)
        assert found == [BLACK, RED, BLACK, BLUE, BLACK, GREEN, BLACK]
