"""Films: what a picture shows, how pictures and moments find together, and that the file can be played."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from processes import orders, preflight
from processes.channels import Picture
from processes.recorder import Film
from processes.table import channels, processes
from robo import config
from robo.config import ROOT, Config
from robo.driving.state import CarState
from robo.errors import UserError
from robo.film import moment
from robo.film.board import HEIGHT, WIDTH
from robo.film.moment import Moment
from robo.film.movie import Movie
from robo.film.text import write
from robo.film.top_view import TopView, palette
from robo.runs import films, next_film
from robo.simulation.tracks import Tracks

PORTS = ("simulator.car_port=0", "simulator.spectator_port=0", "monitor.port=0")
FILMING = ("frame_processor0", "frame_processor1", "explorer0", "evaluator")
CAMERA = np.full((80, 128, 3), (40, 80, 160), np.uint8)


def settings(*sets: str) -> Config:
    return config.load(sets=["track=configs/tracks/meander.json", "film.car=robo-eval1", *PORTS, *sets])


def state(tracks: Tracks, distance: float, speed: float = 1.0, **more: object) -> CarState:
    """On the centre line, as of the time that it takes to get there at 1 m/s."""
    x, y, z, _ = tracks[0].pose(distance)
    return CarState(1, distance, (x, y, z), speed, 0.0, 0, **more)


def shown(view: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have about this colour."""
    return int((np.abs(view.astype(int) - colour).max(axis=2) < 12).sum())


def film(folder: Path, seconds: float = 0.0) -> Film:
    loaded = settings()
    return Film(next_film(folder), loaded, orders.Film("id", "robo-eval1", seconds), Tracks.of(loaded))


def drive(film: Film, numbers: list[int], tracks: Tracks) -> None:
    """Have the film see, and then be told of, these frames."""
    for number in numbers:
        told = moment.pack(Moment(0.05, 0.0, state(tracks, number / 60)))
        film.see(Picture(6, number, 0.0, CAMERA.tobytes()))
        film.film(Picture(6, number, 0.0, told))


def times(path: Path) -> list[float]:
    """When the pictures of a film are shown, seconds."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_a_moment_goes_through_shared_memory() -> None:
    told = Moment(0.25, -0.5, CarState(3, 1.5, (1.0, 0.0, 2.0), 0.5, 3.0, 4, crashes=2, laps=1))
    assert moment.unpack(moment.pack(told)) == told
    assert len(moment.pack(told)) == moment.MOMENT_BYTES


def test_the_line_is_coloured_by_speed() -> None:
    tracks = Tracks.of(settings())
    view = TopView(tracks, 452, 680)
    for step in range(60):
        view.follow(state(tracks, step / 10, speed=2.0 if step >= 30 else 0.5))
    picture = view.draw()
    slow, fast = palette(np.array([0.25, 1.0])).tolist()
    assert picture.shape == (680, 452, 3)
    assert shown(picture[:600], slow) > 50  # above the legend
    assert shown(picture[:600], fast) > 50


def test_the_line_is_not_drawn_to_where_the_car_was_put() -> None:
    tracks = Tracks.of(settings())
    view, jumped = TopView(tracks, 452, 680), TopView(tracks, 452, 680)
    for step in range(20):
        view.follow(state(tracks, step / 10))
        jumped.follow(state(tracks, step / 10 if step < 10 else 7.0 + step / 10))
    fast = tuple(palette(np.array([1.0]))[0].tolist())
    assert shown(jumped.draw()[:600], fast) < 1.2 * shown(view.draw()[:600], fast)


def test_crashes_are_marked_and_an_unknown_track_is_drawn_as_driven() -> None:
    tracks = Tracks.of(settings())
    view = TopView(Tracks(None), 452, 680)
    for step in range(40):
        view.follow(state(tracks, step / 10, crashes=int(step > 20)))
    assert shown(view.draw(), (60, 60, 255)) > 5


def test_text_is_cut_off_at_the_edges() -> None:
    picture = np.zeros((20, 40, 3), np.uint8)
    for place in ((-30, -5), (30, 10), (100, 100), (-500, 0)):
        write(picture, "speed", place, 18, (255, 255, 255))
    assert picture.max() > 200


def test_a_film_lasts_as_long_as_was_driven(tmp_path: Path) -> None:
    made = film(tmp_path)
    tracks = Tracks.of(settings())
    drive(made, list(range(3, 303, 3)), tracks)
    drive(made, list(range(3, 63, 3)), tracks)  # connected anew
    made.close()
    shown_at = times(tmp_path / "film.mp4")
    assert len(shown_at) == 120
    np.testing.assert_allclose(np.diff(shown_at), 0.05, atol=1e-3)
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (WIDTH, HEIGHT, "h264")


def test_a_picture_is_filmed_with_the_moment_of_its_number_alone(tmp_path: Path) -> None:
    made = film(tmp_path)
    tracks = Tracks.of(settings())
    drive(made, [3, 6], tracks)
    made.see(Picture(6, 9, 0.0, CAMERA.tobytes()))  # nobody tells of this one
    made.film(Picture(6, 12, 0.0, moment.pack(Moment(0.0, 0.0, state(tracks, 0.2)))))  # nor was this one seen
    made.see(Picture(6, 15, 0.0, b"no picture"))
    made.film(Picture(6, 15, 0.0, moment.pack(Moment(0.0, 0.0, state(tracks, 0.25)))))
    drive(made, [18], tracks)
    made.close()
    assert len(times(tmp_path / "film.mp4")) == 3


def test_a_film_ends_after_the_seconds_asked_for(tmp_path: Path) -> None:
    made = film(tmp_path, seconds=1.0)
    drive(made, list(range(3, 300, 3)), Tracks.of(settings()))
    assert made.over
    assert len(times(tmp_path / "film.mp4")) == pytest.approx(20, abs=1)


def test_a_film_says_how_far_it_is(tmp_path: Path) -> None:
    made, tracks = film(tmp_path), Tracks.of(settings())
    drive(made, list(range(3, 63, 3)), tracks)
    status = made.status()
    assert (status.id, status.car, status.path) == ("id", "robo-eval1", str(tmp_path / "film.mp4"))
    assert status.seconds == pytest.approx(1.0, abs=0.06)
    assert (status.over, status.trouble) == (False, "")
    made.close()
    assert made.status().over


def test_a_film_in_the_project_is_called_by_its_place_there() -> None:
    made = film(ROOT / "nowhere")  # where none is made
    assert made.status().path == "nowhere/film.mp4"


def test_an_earlier_film_is_not_written_over(tmp_path: Path) -> None:
    assert films(tmp_path) == []
    for name in ("film.mp4", "film-2.mp4", "film-3.mp4"):
        assert next_film(tmp_path) == tmp_path / name
        next_film(tmp_path).touch()
    assert [path.name for path in films(tmp_path)] == ["film.mp4", "film-2.mp4", "film-3.mp4"]


WRITE_FOR_EVER = """
import itertools, sys
import numpy as np
from pathlib import Path
from robo.film.movie import Movie
movie = Movie(Path(sys.argv[1]), 320, 180)
for number in itertools.count():
    movie.add(np.full((180, 320, 3), number % 256, np.uint8), number)
    if number == 600:
        print("on", flush=True)
"""


def test_the_film_of_a_killed_recorder_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"on\n"
        process.send_signal(signal.SIGKILL)
    shown_at = []
    piece_under_way = contextlib.suppress(av.error.InvalidDataError)
    with av.open(str(path)) as container, piece_under_way:
        for frame in container.decode(video=0):
            shown_at.append(frame.time)
    assert shown_at[-1] > 5.0


def test_a_film_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Movie(tmp_path / "nowhere" / "film.mp4", 128, 80)
    status = film(tmp_path / "nowhere").status()  # and the car drives on without it
    assert status.over
    assert status.trouble == "nothing is filmed: No such file or directory"


def test_who_is_filmed_is_in_the_tables() -> None:
    rows = {row.name: row for row in processes(settings(), managed_redis=False)}
    assert "recorder" in rows["car_reader0"].after  # so that nothing of it is missed


def test_any_car_can_be_filmed_later() -> None:
    unfilmed = settings("film.car=''", "cars.groups=2")
    rows = {row.name: row for row in processes(unfilmed, managed_redis=False)}
    assert not rows["recorder"].vital
    assert not any("recorder" in row.after for row in rows.values())
    joins = {row.name: row for row in channels(unfilmed) if row.name.startswith("film:")}
    assert set(joins) == {f"film:{name}" for name in FILMING}
    for name in FILMING:
        assert joins[f"film:{name}"].writers == (name,)
        assert joins[f"film:{name}"].readers == ("recorder",)


def test_a_car_that_is_none_can_not_be_filmed() -> None:
    with pytest.raises(UserError, match=r"film\.car: no car is called 'anna'; choose one of: robo1, robo2"):
        preflight.check(settings("film.car=anna"))
