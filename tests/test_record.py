"""``scripts.record`` films a car of a run that is under way, or says in one line why it does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from conftest import RedisServer
from msgspec.structs import replace

from robo import config
from robo.cache import Cache, Lost
from robo.cache_values import Answer, CarInfo, FilmStatus, Request, RunInfo
from robo.config import ROOT
from robo.errors import UserError
from robo.runs import RunFolder
from scripts import record

RUN = RunInfo(
    at=1.0,
    started_at=1.0,
    agent="debug",
    clock="realtime",
    simulator="embedded",
    track="esses",
    cars=[CarInfo("robo1", "explorer", "explorer0"), CarInfo("robo-eval1", "evaluator", "evaluator")],
    observation="color_mass",
    observation_shape=[8, 3],
    throttle_max=0.1,
    decisions_per_second=20.0,
    control=False,
)


@pytest.fixture(autouse=True)
def no_redis_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has is nobody's business."""
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture
def folder(tmp_path: Path, redis_server: RedisServer) -> RunFolder:
    """A run that is under way, with a Redis that is not its own, and without processes."""
    folder = RunFolder("mine", tmp_path / "runs")
    folder.lock()
    folder.write_config(config.load(sets=[f"redis.url={redis_server.url}"]))
    return folder


@pytest.fixture
def cache(folder: RunFolder, redis_url: str) -> Cache:
    return Cache(redis_url, folder.name)


def command(folder: RunFolder, *arguments: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "scripts.record", folder.name, *arguments]
    line += ["--runs", str(folder.path.parent)]
    return subprocess.Popen(
        line,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background ignore Ctrl-C, and whoever they start would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 calls nothing else
    )


def refused(folder: RunFolder, *arguments: str) -> str:
    """What a command says that ends with 2: one line."""
    process = command(folder, *arguments)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert error.count("\n") == 1
    return error


def status(request: Request, seconds: float, *, over: bool = False, trouble: str = "") -> FilmStatus:
    """As of a while ahead: a busy machine may take its time to look at it."""
    path = "runs/mine/film.mp4"
    return FilmStatus(time.time() + 60.0, request.id, request.target, path, seconds, over, trouble)


@contextmanager
def supervised(cache: Cache, act: Callable[[Request], None]) -> Iterator[list[Request]]:
    """Have every request answered, and done, as a supervisor and a recorder do."""
    over, taken = threading.Event(), []

    def serve() -> None:
        while not over.wait(0.01):
            for request in cache.requests():
                taken.append(request)
                act(request)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def test_a_run_that_is_there_not_is_named(tmp_path: Path) -> None:
    folder = RunFolder("none", tmp_path)
    assert refused(folder, "robo1").startswith(f"error: {tmp_path}/none: no run is under way there")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_can_be_no_runs_is_named(tmp_path: Path) -> None:
    folder = RunFolder("none", tmp_path)
    folder.name = "../none"
    assert "run name '../none'" in refused(folder)


@pytest.mark.parametrize("seconds", ["-1", "nan"])
def test_a_film_takes_some_time(tmp_path: Path, seconds: str) -> None:
    told = refused(RunFolder("none", tmp_path), "robo1", "--seconds", seconds)
    assert told.startswith(f"error: --seconds {seconds}: ")


def test_a_run_without_its_redis_says_so(folder: RunFolder, redis_server: RedisServer) -> None:
    redis_server.stop()
    told = refused(folder, "robo1")
    assert told.startswith(f"error: {folder.path}: Redis: ")
    assert "make status RUN=mine" in told


def test_a_run_that_has_not_said_which_cars_it_has_is_asked_for_one_by_name(folder: RunFolder) -> None:
    assert "try again in a moment" in refused(folder)


def test_a_run_whose_supervisor_does_not_answer_says_so(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "ANSWER_SECONDS", 0.2)
    with pytest.raises(UserError, match="the run does not answer") as error:
        record.record(cache, "robo1", 1.0)
    assert "\n" not in str(error.value)
    (asked,) = cache.requests()
    assert (asked.what, asked.target, asked.seconds) == ("film", "robo1", 1.0)


def test_what_the_run_refuses_is_said_in_its_words(cache: Cache) -> None:
    def refuse(request: Request) -> None:
        cache.put_answer(request.id, Answer(False, "there is no car 'anna'"))

    with supervised(cache, refuse), pytest.raises(UserError, match="there is no car 'anna'"):
        record.record(cache, "anna", 1.0)


def test_a_film_is_told_when_it_is_over(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    def film(request: Request) -> None:
        cache.put_film(status(replace(request, id="another"), 5.0, over=True))
        cache.put_answer(request.id, Answer(True, "filming robo1"))
        for seconds in (0.0, 0.5):
            cache.put_film(status(request, seconds))
        cache.put_film(status(request, 1.0, over=True))

    with supervised(cache, film):
        assert record.record(cache, "robo1", 1.0) == 0
    assert capsys.readouterr().out == "runs/mine/film.mp4: 1.0 s\n"


def test_a_film_that_could_not_be_made_says_why(cache: Cache) -> None:
    def fail(request: Request) -> None:
        cache.put_answer(request.id, Answer(True, "filming robo1"))
        cache.put_film(status(request, 0.5, over=True, trouble="film broken off: No space left on device"))

    with supervised(cache, fail), pytest.raises(UserError, match=r"runs/mine/film\.mp4: .*No space left"):
        record.record(cache, "robo1", 1.0)


def test_a_film_of_which_nothing_is_heard_is_given_up(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(request: Request) -> None:
        cache.put_answer(request.id, Answer(True, "filming robo1"))
        cache.put_film(replace(status(request, 0.5), at=time.time()))

    monkeypatch.setattr(record, "SILENCE_SECONDS", 0.3)
    with supervised(cache, begin), pytest.raises(UserError, match="nothing is heard of the film any more"):
        record.record(cache, "robo1", 1.0)


def test_a_film_gives_way_to_another_one(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def replaced(request: Request) -> None:
        cache.put_answer(request.id, Answer(True, "filming robo1"))
        cache.put_film(status(replace(request, id="another"), 0.5))

    monkeypatch.setattr(record, "SILENCE_SECONDS", 0.3)
    with supervised(cache, replaced), pytest.raises(UserError, match="films something else"):
        record.record(cache, "robo1", 1.0)


def test_redis_that_goes_meanwhile_is_lost(cache: Cache, redis_server: RedisServer) -> None:
    redis_server.stop()
    with pytest.raises(Lost):
        record.record(cache, "robo1", 1.0)


def looked_at_the_film(redis_url: str) -> bool:
    return "cmdstat_hgetall" in redis.Redis.from_url(redis_url).info("commandstats")


def test_ctrl_c_ends_the_film_and_waits_for_it(folder: RunFolder, cache: Cache, redis_url: str) -> None:
    """Of the first evaluator, where no car is named."""
    cache.put_box(RUN)
    films: list[Request] = []

    def act(request: Request) -> None:
        cache.put_answer(request.id, Answer(True, "filming"))
        if request.what == "film":
            films.append(request)
            cache.put_film(status(request, 0.5))
        else:
            cache.put_film(status(films[0], 2.5, over=True))

    with supervised(cache, act) as asked:
        process = command(folder, "--seconds", "0")
        limit = time.monotonic() + 30
        while not looked_at_the_film(redis_url):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert output.splitlines()[-1] == "runs/mine/film.mp4: 2.5 s"
    (film,) = films
    assert [(request.what, request.target) for request in asked] == [("film", "robo-eval1"), ("cut", film.id)]
