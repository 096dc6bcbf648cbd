from __future__ import annotations

import numpy as np
import pytest

from robo import config
from robo.config import GRID_WIDTH
from robo.perception import kinds
from robo.perception.color_grid import COLUMNS, EDGES, SHAPE, color_grid
from robo.simulation.track import Track
from robo.simulation.world import World

RED, GREEN, BLUE = range(3)
BANDS = len(EDGES) - 1


def cells(frame: np.ndarray) -> np.ndarray:
    """[bands, columns, 3]."""
    return color_grid(frame).reshape(BANDS, COLUMNS, 3)


def reference(frame_bgr: np.ndarray) -> np.ndarray:
    """The same in plain NumPy, cell by cell."""
    height, width, _ = frame_bgr.shape
    image = frame_bgr[:, :, ::-1].astype(int)
    largest, least = image.max(axis=2), image.min(axis=2)
    coloured = (largest >= 40) & (4 * (largest - least) >= largest)
    colour = image.argmax(axis=2)  # of equal ones the first, as there
    found = np.zeros((BANDS, COLUMNS, 3))
    for band in range(BANDS):
        for column in range(COLUMNS):
            rows = slice(int(EDGES[band] * height), int(EDGES[band + 1] * height))
            columns = slice(column * width // COLUMNS, (column + 1) * width // COLUMNS)
            for channel in range(3):
                found[band, column, channel] = (coloured & (colour == channel))[rows, columns].mean()
    return found


@pytest.mark.parametrize(("height", "width"), [(80, 128), (40, 64), (30, GRID_WIDTH), (77, 121)])
def test_equals_the_plain_reference(height: int, width: int) -> None:
    frame = np.random.default_rng(width).choice(np.array([0, 39, 60, 255], np.uint8), (height, width, 3))
    assert color_grid(frame).dtype == np.float32
    np.testing.assert_allclose(cells(frame), reference(frame), atol=1e-6)


@pytest.mark.parametrize("colour", [(10, 6, 5), (110, 105, 92), (80, 85, 95), (48, 48, 48), (255, 255, 255)])
def test_walls_ground_sky_cars_and_the_finish_line_have_no_colour(colour: tuple[int, int, int]) -> None:
    frame = np.full((80, 128, 3), colour[::-1], np.uint8)
    assert not color_grid(frame).any()


@pytest.mark.parametrize("light", [1.0, 0.55])
@pytest.mark.parametrize(
    ("colour", "channel"), [((255, 80, 103), RED), ((50, 200, 140), GREEN), ((64, 110, 165), BLUE)]
)
def test_the_floor_has_its_colour_in_the_shadow_too(
    colour: tuple[int, int, int], channel: int, light: float
) -> None:
    frame = np.full((80, 128, 3), [int(light * value) for value in colour[::-1]], np.uint8)
    expected = np.zeros((BANDS, COLUMNS, 3))
    expected[:, :, channel] = 1.0
    np.testing.assert_array_equal(cells(frame), expected)


def test_each_place_has_its_cell() -> None:
    frame = np.zeros((80, 128, 3), np.uint8)
    frame[:23] = (0, 0, 255)  # above the horizon
    frame[52:, 112:] = (0, 255, 0)  # nearest, rightmost
    frame[24, 16:24] = (255, 0, 0)  # one row of the farthest band's three, half a column
    found = cells(frame)
    assert found[-1, -1].tolist() == [0.0, 1.0, 0.0]
    assert found[0, 1].tolist() == pytest.approx([0.0, 0.0, 1 / 6])
    assert found.sum() == pytest.approx(1 + 1 / 6)


def test_a_bend_shows_in_the_far_bands() -> None:
    """On a straight left and right are balanced; before a bend the floor leaves the middle."""
    esses = Track.load(config.ROOT / config.EMBEDDED_TRACK)
    world = World(esses, 30)
    world.add_car("car")
    middles = []
    for place in np.arange(0.0, esses.length, 0.5):
        world.place("car", float(place))
        seen = cells(world.render("car", 128)).sum(axis=2)[2]
        turn = np.sin(esses.heading(place + 0.8) - esses.heading(place))
        middles.append((turn, np.average(np.arange(COLUMNS) - 3.5, weights=seen + 1e-6)))
    turns, middle = np.array(middles).T
    assert np.corrcoef(turns, middle)[0, 1] > 0.8


def test_sizes_are_known_without_the_code() -> None:
    frame = np.zeros((80, 128, 3), np.uint8)
    for kind, shape in kinds.SHAPES.items():
        assert kinds.see(kind)(frame).shape == shape
    assert kinds.SHAPES["color_grid"] == SHAPE
