"""Pictures of a track in three dimensions."""

import math

import numpy as np
import pytest

from robo.config import ROOT
from robo.simulation.camera import CAR_SHADES, WALL_COLOUR, Camera
from robo.simulation.ground import BLACK, BLUE, GREEN, LIT, OUTSIDE, RED, WHITE, Ground, palette
from robo.simulation.relief import Relief
from robo.simulation.surface_physics import FORWARD, PLACE, STATE_SIZE, TOP
from robo.simulation.track import Track

TRACKS = ROOT / "configs" / "tracks"
ESSES = Track.load(TRACKS / "esses.json")
SKY, WALL = 98, 99


@pytest.fixture(scope="module")
def esses() -> Relief:
    return Relief(ESSES)


@pytest.fixture(scope="module")
def bridge() -> Relief:
    return Relief(Track.load(TRACKS / "bridge.json"))


@pytest.fixture(scope="module")
def loop() -> Relief:
    return Relief(Track.load(TRACKS / "loop.json"))


@pytest.fixture(scope="module")
def flat_ground() -> Ground:
    flat = ESSES.points[:, [0, 2]]
    line = np.hstack([flat, np.roll(flat, -1, axis=0) - flat, ESSES.starts[:, None]])
    return Ground.paint(line, ESSES.length)


def standing(relief: Relief, distance: float) -> np.ndarray:
    state, memory = relief.new_state()
    relief.place(state, memory, distance)
    return state


def looking(place: tuple[float, ...], at: tuple[float, ...]) -> np.ndarray:
    """A car in the air at ``place`` that faces a point, its roof up."""
    state = np.zeros(STATE_SIZE)
    forward = np.array(at) - np.array(place)
    forward /= np.linalg.norm(forward)
    right = np.cross((0.0, 1.0, 0.0), forward)
    right /= np.linalg.norm(right)
    state[PLACE : PLACE + 3], state[FORWARD : FORWARD + 3] = place, forward
    state[TOP : TOP + 3] = np.cross(forward, right)
    return state


def classes(picture: np.ndarray) -> np.ndarray:
    """What each pixel shows: a palette index of the ground, WALL or SKY; a wall and black floor are one."""
    colours = np.concatenate([palette().astype(int), [WALL_COLOUR]])
    names = np.array([*range(len(colours) - 1), WALL])
    names[[BLACK, BLACK + 8, 14, 15]] = WALL
    found = names[np.abs(picture[:, :, None].astype(int) - colours).sum(axis=3).argmin(axis=2)]
    grey = (picture == picture[:, :, :1]).all(axis=2) & (picture[:, :, 0] >= 70) & (picture[:, :, 0] <= 110)
    found[grey] = SKY
    return found


def share(picture: np.ndarray, colour: tuple[int, ...]) -> float:
    return float((picture == colour).all(axis=2).mean())


@pytest.mark.parametrize(("width", "antialias"), [(128, False), (128, True), (64, False), (33, True)])
def test_a_flat_track_looks_as_the_flat_camera_shows_it(
    esses: Relief, flat_ground: Ground, width: int, antialias: bool
) -> None:
    flat = Camera(width, flat_ground, antialias=antialias)
    random = np.random.default_rng(1)
    agree = []
    for _ in range(30):
        distance, lateral = random.uniform(0.0, ESSES.length), random.uniform(-0.3, 0.3)
        turned = random.uniform(-0.6, 0.6)
        x, y, z, yaw = ESSES.pose(float(distance))
        x, z, yaw = x + lateral * math.cos(yaw), z - lateral * math.sin(yaw), yaw + turned
        state = looking((x, y + 0.0484, z), (x + math.sin(yaw), y + 0.0484, z + math.cos(yaw)))
        ours, theirs = esses.picture(state, width, antialias=antialias), flat.picture(x, z, yaw)
        assert ours.shape == theirs.shape
        agree.append((classes(ours) == classes(theirs)).mean())
    assert min(agree) > 0.95
    assert np.mean(agree) > 0.97


@pytest.mark.parametrize("width", [8, 33, 100, 128])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_picture_has_five_eighths_of_its_width_as_height(
    bridge: Relief, width: int, antialias: bool
) -> None:
    picture = bridge.picture(standing(bridge, 1.0), width, antialias=antialias)
    assert picture.shape == (width * 80 // 128, width, 3)
    assert picture.dtype == np.uint8


def test_antialiasing_softens_edges_and_keeps_the_rest(bridge: Relief) -> None:
    state = standing(bridge, 4.0)
    rough, smooth = (bridge.picture(state, 128, antialias=on) for on in (False, True))
    known = {tuple(colour) for colour in rough.reshape(-1, 3)}
    mixed = [tuple(colour) not in known for colour in smooth.reshape(-1, 3)]
    assert 0.01 < np.mean(mixed) < 0.2
    assert (rough == smooth).all(axis=2).mean() > 0.8


@pytest.mark.parametrize("distance", np.linspace(0.0, 15.0, 7))
def test_the_bands_lie_from_left_to_right_on_slopes_and_in_banked_bends(
    bridge: Relief, distance: float
) -> None:
    picture = bridge.picture(standing(bridge, float(distance)), 128)
    places = {}
    for colour in (RED, BLUE, GREEN):
        seen = np.argwhere((picture[40:] == LIT[colour][::-1]).all(axis=2))
        places[colour] = seen[:, 1].mean() if len(seen) else None
    assert places[BLUE] is not None
    if places[RED] is not None:
        assert places[RED] < places[BLUE]
    if places[GREEN] is not None:
        assert places[BLUE] < places[GREEN]


def crossing(relief: Relief) -> tuple[int, int]:
    """Samples of the upper and of the lower branch where a track crosses over itself."""
    ground, heights = relief.samples[:, [0, 2]], relief.samples[:, 1]
    apart = np.linalg.norm(ground[:, None] - ground[None], axis=2)
    apart[np.abs(heights[:, None] - heights[None]) < 0.25] = np.inf
    one, other = np.unravel_index(apart.argmin(), apart.shape)
    return (int(one), int(other)) if heights[one] > heights[other] else (int(other), int(one))


def test_a_bridge_is_dark_from_below_and_hides_the_sky(bridge: Relief) -> None:
    under = bridge.samples[crossing(bridge)[1], 12]
    picture = bridge.picture(standing(bridge, float(under - 0.9)), 128)
    before = bridge.picture(standing(bridge, float(under + 0.6)), 128)
    above = picture[:20].reshape(-1, 3)
    assert (above == WALL_COLOUR).all(axis=1).mean() > 0.5
    assert (classes(before)[:12] == SKY).mean() > 0.7


def test_the_floor_below_a_bridge_is_seen_from_above_and_hidden_by_the_bridge(bridge: Relief) -> None:
    over, _ = crossing(bridge)
    x, y, z = bridge.samples[over, :3]
    from_above = bridge.picture(looking((x, y + 1.5, z - 1.5), (x, y, z)), 128)
    assert share(from_above, LIT[OUTSIDE][::-1]) > 0.1
    assert share(from_above, LIT[BLUE][::-1]) > 0.05
    from_below = bridge.picture(looking((x, y - 0.2, z), (x + 0.1, y + 1.0, z)), 128)
    assert share(from_below, WALL_COLOUR) > 0.5


def test_both_faces_of_walls_are_dark(loop: Relief) -> None:
    x, y, z, _ = Track.load(TRACKS / "loop.json").pose(11.0)
    outside = loop.picture(looking((x + 1.5, y + 0.03, z), (x, y + 0.03, z)), 128)
    assert share(outside, WALL_COLOUR) > 0.1
    assert share(outside, LIT[GREEN][::-1]) == share(outside, LIT[RED][::-1]) == 0.0


def test_inside_a_loop_the_floor_fills_the_picture(loop: Relief) -> None:
    inside = classes(loop.picture(standing(loop, 3.7), 128))
    assert np.isin(inside, [RED, BLUE, GREEN, WALL, RED + 8, BLUE + 8, GREEN + 8]).mean() > 0.99
    ahead = classes(loop.picture(standing(loop, 1.5), 128))
    assert (ahead[:15, 55:70] == BLUE).any()  # the floor rises over the horizon


def test_a_floor_that_faces_away_from_the_light_is_dark(loop: Relief) -> None:
    top = loop.picture(standing(loop, 4.3), 128)
    assert share(top, palette()[BLUE + 8]) > 0.5
    assert share(top, LIT[BLUE][::-1]) == 0.0


def test_the_finish_line_is_black_and_white(bridge: Relief) -> None:
    picture = bridge.picture(standing(bridge, bridge.length - 0.4), 128)
    assert 0.001 < share(picture, LIT[WHITE][::-1]) < 0.05
    assert share(bridge.picture(standing(bridge, 5.0), 128), LIT[WHITE][::-1]) == 0.0


def bodies(picture: np.ndarray) -> float:
    """The share of the picture that cars take."""
    return sum(share(picture, tuple(shade)) for shade in CAR_SHADES)


def test_another_car_is_seen_where_it_is_and_hidden_behind_a_wall(bridge: Relief) -> None:
    state = standing(bridge, 14.0)
    near, far = (standing(bridge, 14.0 + ahead) for ahead in (0.4, 1.2))
    shares = [bodies(bridge.picture(state, 128, [other])) for other in (near, far)]
    assert shares[0] > 2 * shares[1] > 0.0
    assert bodies(bridge.picture(state, 128, [standing(bridge, 6.0)])) == 0.0
    assert bodies(bridge.picture(state, 128, [standing(bridge, 13.5)])) == 0.0
    assert bodies(bridge.picture(state, 128)) == 0.0


def test_the_horizon_leans_with_the_car(loop: Relief) -> None:
    state = looking((0.0, 5.0, 0.0), (0.0, 5.0, 10.0))
    state[TOP : TOP + 3] = (-math.sin(0.5), math.cos(0.5), 0.0)
    above = np.array([(column != OUTSIDE).sum() for column in classes(loop.picture(state, 128)).T])
    slope = np.polyfit(np.arange(20, 108), above[20:108], 1)[0]
    assert slope == pytest.approx(math.tan(0.5), abs=0.03)  # leaning to the left, more sky on the right


def test_pictures_never_fail_wherever_a_car_is(loop: Relief) -> None:
    random = np.random.default_rng(5)
    known = {tuple(colour) for colour in [*palette().tolist(), list(WALL_COLOUR)]}
    for _ in range(300):
        place = random.uniform((-1.0, -0.1, -5.0), (4.0, 1.2, 3.0))
        state = looking(tuple(place), tuple(place + random.normal(size=3)))
        seen = {tuple(colour) for colour in loop.picture(state, 32).reshape(-1, 3).tolist()}
        assert all(colour in known or len(set(colour)) == 1 for colour in seen)
