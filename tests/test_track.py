import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest

from robo.config import ROOT
from robo.errors import UserError
from robo.simulation.track import Track

ESSES = ROOT / "configs" / "tracks" / "esses.json"
NODES = json.loads(ESSES.read_text())["trackNodes"]


@pytest.fixture(scope="module")
def esses() -> Track:
    return Track.load(ESSES)


def write(folder: Path, nodes: object) -> Path:
    path = folder / "mine.json"
    path.write_text(json.dumps({"trackNodes": nodes}))
    return path


def sampled(track: Track, spacing: float = 0.02) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances [N], ground positions [N, 2] and yaws [N] along a track."""
    distances = np.arange(0.0, track.length, spacing)
    poses = np.array([track.pose(distance) for distance in distances])
    return distances, poses[:, [0, 2]], poses[:, 3]


def turned(yaws: np.ndarray) -> np.ndarray:
    return (np.diff(yaws, append=yaws[:1]) + math.pi) % (2 * math.pi) - math.pi


def test_our_track_is_flat_and_of_the_promised_length(esses: Track) -> None:
    assert esses.flat
    assert 15.0 <= esses.length <= 20.0
    assert esses.length == pytest.approx(np.linalg.norm(np.diff(esses.points, axis=0), axis=1).sum(), abs=0.1)


def test_our_track_turns_both_ways_and_its_tightest_radius_is_about_0_3(esses: Track) -> None:
    _, _, yaws = sampled(esses, 0.05)
    turns = turned(yaws)[:-1]
    assert turns.max() > 0.1
    assert turns.min() < -0.1
    assert 0.28 <= 0.05 / np.abs(turns).max() <= 0.34


def test_our_track_is_smooth_also_over_the_finish_line(esses: Track) -> None:
    _, _, yaws = sampled(esses, 0.01)
    assert np.abs(turned(yaws)).max() < 0.05


def test_our_track_keeps_its_parts_apart(esses: Track) -> None:
    distances, places, _ = sampled(esses)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    along = np.abs(distances[:, None] - distances[None])
    along = np.minimum(along, esses.length - along)
    assert apart[along > 1.3].min() >= 0.95


def test_our_track_is_straight_around_the_finish_line(esses: Track) -> None:
    yaw = esses.heading(0.0)
    assert all(
        esses.heading(distance) == pytest.approx(yaw, abs=1e-3) for distance in np.linspace(-0.95, 1.1, 30)
    )


def test_distance_is_the_inverse_of_pose_also_beside_the_centre_line(esses: Track) -> None:
    for distance in np.linspace(0.0, esses.length, 97, endpoint=False):
        x, y, z, yaw = esses.pose(distance)
        beside = (x + 0.1 * math.cos(yaw), y + 0.05, z - 0.1 * math.sin(yaw))
        assert abs(esses.signed_gain(distance, esses.distance((x, y, z)))) < 1e-6
        assert abs(esses.signed_gain(distance, esses.distance(beside))) < 0.02
        assert abs(esses.signed_gain(distance, esses.distance(beside, near=distance - 0.5))) < 0.02


def test_the_same_file_gives_the_same_bits_wherever_it_lies_in_memory() -> None:
    first, taken = Track.load(ESSES), []
    for size in range(1, 80):
        taken.append(np.empty(size))  # so that the next arrays lie elsewhere
        track = Track.load(ESSES)
        for kind in ("points", "starts", "headings", "tangents", "ups", "rights"):
            np.testing.assert_array_equal(getattr(track, kind), getattr(first, kind))


def test_signed_gain_takes_the_short_way_round(esses: Track) -> None:
    assert esses.signed_gain(esses.length - 0.2, 0.3) == pytest.approx(0.5)
    assert esses.signed_gain(0.3, esses.length - 0.2) == pytest.approx(-0.5)
    assert esses.signed_gain(2.0, 1.0) == pytest.approx(-1.0)


def test_near_tells_the_levels_of_a_track_that_crosses_itself_apart() -> None:
    t = np.linspace(0.0, 2 * math.pi, 400, endpoint=False)
    track = Track(np.stack([2 * np.sin(2 * t), 0.1 * (1 - np.cos(t)), 3 * np.sin(t)], axis=1))
    assert not track.flat
    over = track.length / 2
    x, y, z, _ = track.pose(over)
    assert track.distance((x, y, z)) == pytest.approx(over, abs=0.02)
    assert abs(track.signed_gain(0.0, track.distance((x, y, z), near=0.1))) < 0.05


def test_keys_that_the_simulator_adds_are_passed_over(tmp_path: Path, esses: Track) -> None:
    nodes = [{**node, "Changed": {"m_PersistentCalls": {"m_Calls": []}}} for node in NODES]
    assert Track.load(write(tmp_path, nodes)).length == esses.length


def test_the_last_node_takes_the_values_of_the_first(tmp_path: Path, esses: Track) -> None:
    nodes = copy.deepcopy(NODES)
    nodes[-1]["position"]["x"] += 0.005
    nodes[-1]["direction"]["z"] += 0.2
    assert Track.load(write(tmp_path, nodes)).length == esses.length


@pytest.mark.parametrize(("field", "value"), [("roll", 5.0), ("up", {"x": 0.3, "y": 0.95, "z": 0.0})])
def test_a_banked_track_is_not_flat(tmp_path: Path, field: str, value: object) -> None:
    nodes = copy.deepcopy(NODES)
    nodes[3][field] = value
    assert not Track.load(write(tmp_path, nodes)).flat


def test_a_climbing_track_keeps_its_height(tmp_path: Path) -> None:
    nodes = copy.deepcopy(NODES)
    nodes[3]["position"]["y"] = nodes[3]["direction"]["y"] = 0.2
    track = Track.load(write(tmp_path, nodes))
    assert not track.flat
    assert track.points[:, 1].max() == pytest.approx(0.2, abs=0.01)


def broken(**changes: object) -> list[dict]:
    nodes = copy.deepcopy(NODES)
    for path, value in changes.items():
        *parents, last = path.split("_")
        place = nodes[4]
        for parent in parents:
            place = place[parent]
        if value is KeyError:
            del place[last]
        else:
            place[last] = value
    return nodes


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        (broken(direction_z=KeyError), "node 4: direction.z"),
        (broken(position=KeyError), "node 4: position"),
        (broken(position_x=math.nan), "node 4: position.x"),
        (broken(scale_y="wide"), "node 4: scale.y"),
        (broken(roll=math.inf), "node 4: roll"),
        (broken(up=[0, 1, 0]), "node 4: up"),
        (NODES[:-1], "not closed"),
        ([*NODES[:4], 7, *NODES[5:]], "node 4"),
        (NODES[:2], "2 nodes"),
        ([NODES[0]] * 3, "shorter"),
        ("none", "trackNodes"),
    ],
)
def test_a_bad_file_is_named_with_its_node_and_field(tmp_path: Path, nodes: object, named: str) -> None:
    path = write(tmp_path, nodes)
    with pytest.raises(UserError) as error:
        Track.load(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert named in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]"])
def test_a_file_that_is_not_a_track_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.json"):
        Track.load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.json"):
        Track.load(tmp_path / "nowhere.json")
