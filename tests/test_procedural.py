import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from robo.driving.debug_policy import follow_colors
from robo.errors import UserError
from robo.perception.color_mass import color_mass
from robo.simulation.map_picture import draw_map, plan_of
from robo.simulation.procedural import random_track
from robo.simulation.shape import clearance, tightest_radius
from robo.simulation.track import Track
from robo.simulation.world import Crashed, LapCompleted, World
from scripts import make_track

SEEDS = 60


def load(folder: Path, nodes: object, **others: object) -> Track:
    path = folder / "track.json"
    path.write_text(json.dumps({"trackNodes": nodes, **others}))
    return Track.load(path)


def apart_on_a_grid(points: np.ndarray) -> float:
    """Least distance between places more than 1.5 m apart along the line, place by place."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    starts = np.concatenate([[0.0], np.cumsum(steps)])
    length = starts[-1] + np.linalg.norm(points[0] - points[-1])
    least = math.inf
    for place, start in zip(points, starts, strict=True):
        along = np.abs(starts - start)
        far = np.minimum(along, length - along) > 1.5
        least = min(least, np.linalg.norm(points[far] - place, axis=1).min())
    return least


def bends(points: np.ndarray) -> np.ndarray:
    """Curvature at every place by the turn between chords of five pieces."""
    chords = np.roll(points, -5, axis=0) - points
    yaws = np.unwrap(np.arctan2(chords[:, 0], chords[:, 1]))
    turns = (np.roll(yaws, -5) - yaws + math.pi) % (2 * math.pi) - math.pi
    lengths = (np.linalg.norm(chords, axis=1) + np.linalg.norm(np.roll(chords, -5, axis=0), axis=1)) / 2
    return np.abs(turns) / lengths


def test_every_seed_gives_another_valid_track(tmp_path: Path) -> None:
    files = set()
    for seed in range(SEEDS):
        nodes = random_track(seed)
        files.add(json.dumps(nodes))
        track = load(tmp_path, nodes)
        points = track.points[:, [0, 2]]
        assert track.flat
        assert 11.99 <= track.length <= 25.01
        assert clearance(points[::3], 1.5) >= 0.95
        assert apart_on_a_grid(points[::3]) >= 0.95
        assert tightest_radius(points) >= 0.35
        assert bends(points).max() <= 1 / 0.33
        straight = [track.heading(distance) for distance in np.linspace(-0.55, 0.55, 12)]
        assert np.allclose(straight, straight[0], atol=1e-3)
        assert len(track.points) > 400
    assert len(files) == SEEDS


def test_a_seed_always_gives_the_same_track() -> None:
    assert random_track(7) == random_track(7)
    first, second = random_track(7)[1:3]
    assert first["position"] == {"x": 0.4666, "y": 0.0, "z": 1.8043}
    assert second["position"] == {"x": 0.3448, "y": 0.0, "z": 2.7413}


def test_length_and_tightness_are_as_asked_for(tmp_path: Path) -> None:
    for seed, length, radius in itertools.product(range(4), (14.0, 33.0), (0.3, 0.45)):
        track = load(tmp_path, random_track(seed, length, radius))
        points = track.points[:, [0, 2]]
        assert track.length == pytest.approx(length, abs=0.01)
        assert radius <= tightest_radius(points) <= 2 * radius
        assert clearance(points[::3], 1.5) >= 0.95


@pytest.mark.parametrize(
    ("length", "radius", "words"),
    [(5.0, 0.35, "10.3"), (900.0, 0.35, "80"), (20.0, 0.1, "0.25"), (15.0, 1.4, "41.3")],
)
def test_what_can_t_be_is_refused_with_what_can(length: float, radius: float, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        random_track(1, length, radius)


def test_the_hand_written_policy_drives_them(tmp_path: Path) -> None:
    for seed in range(2):
        world = World(load(tmp_path, random_track(seed)))
        world.add_car("car")
        events = []
        for frame in range(60 * 60):
            if frame % 3 == 0:
                throttle, turn = follow_colors(color_mass(world.render("car", 64)))
                world.command("car", throttle=throttle, turn=turn)
            world.hear("car")
            events += world.step()
            if LapCompleted("car") in events:
                break
        assert LapCompleted("car") in events
        assert Crashed("car") not in events


def test_the_map_shows_floor_walls_and_obstacles(tmp_path: Path) -> None:
    nodes = random_track(5)
    box = {"distance": 3.0, "lateral": 0.0, "size": 0.2}
    tracks = load(tmp_path, nodes), load(tmp_path, nodes, obstacles=[box])
    plain, boxed = (draw_map(track, plan_of(track, 400, 400)) for track in tracks)
    assert max(plain.shape) == 400
    colours = {tuple(colour) for colour in plain.reshape(-1, 3).tolist()}
    assert {(92, 105, 110), (103, 80, 255), (165, 110, 64), (140, 200, 50)} <= colours
    assert 20 < (plain != boxed).any(axis=2).sum() < 2000


def test_the_command_writes_the_same_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "new" / "a.json", tmp_path / "b.json"]
    for path in paths:
        monkeypatch.setattr("sys.argv", ["make_track", "7", "--obstacles", "4", "--out", str(path)])
        assert make_track.main() == 0
        assert path.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert "4 obstacles" in capsys.readouterr().out
    assert len(Track.load(paths[0]).obstacles) == 4


def test_the_command_refuses_a_file_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["make_track", "7", "--out", str(tmp_path / "track.png")])
    with pytest.raises(UserError, match=r"\.json"):
        make_track.main()
