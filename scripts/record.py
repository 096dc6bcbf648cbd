"""Film a car of a run that is under way: python -m scripts.record NAME CAR."""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from pathlib import Path

from rich.console import Console

from robo.cache import Cache, Lost
from robo.cache_values import Answer, FilmStatus, Request
from robo.errors import UserError
from robo.runs import RUNS, RunFolder
from scripts.command import cache_of, guarded

ANSWER_SECONDS = 5.0
"""How long the run's supervisor may take to answer; it looks four times a second."""
SILENCE_SECONDS = 10.0
LOOK_SECONDS = 0.1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Film a car of a run that is under way: its camera, the track from above, "
        "and its figures; an MP4 in the run's folder. Ctrl-C ends the film.",
    )
    parser.add_argument("run", metavar="NAME", help="folder in runs/")
    parser.add_argument("car", metavar="CAR", nargs="?", help="such as robo-eval1 (the first evaluator)")
    parser.add_argument(
        "--seconds", type=float, default=30.0, metavar="S", help="of simulation time (30); 0: until Ctrl-C"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs are (runs/)")
    options = parser.parse_args()
    if not options.seconds >= 0.0:
        raise UserError(f"--seconds {options.seconds:g}: a film is 0 s or longer")
    folder = RunFolder(options.run, options.runs)
    if not folder.running:
        raise UserError(f"{folder.path}: no run is under way there; start it first, or name another RUN=name")
    cache = cache_of(folder)
    try:
        return record(cache, options.car or _first_car(cache), options.seconds)
    except Lost as error:
        raise UserError(f"{folder.path}: {error}; see make status RUN={folder.name}") from None


def record(cache: Cache, car: str, seconds: float) -> int:
    """Have a car filmed, and show how far the film is. The exit code. Raises Lost, and UserError."""
    console = Console(highlight=False)
    request = Request(uuid.uuid4().hex, "film", car, seconds)
    length = f" of {seconds:g} s" if seconds else "; Ctrl-C ends it"
    try:
        answer = ask(cache, request)
        if not answer.done:
            raise UserError(answer.text)
        with console.status(answer.text) as shown:
            while not (film := _status(cache, request.id)).over:
                shown.update(f"{answer.text}: {film.seconds:.1f} s{length}")
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        if not ask(cache, Request(uuid.uuid4().hex, "cut", request.id)).done:
            raise
        film = _ended(cache, request.id)
    if film.trouble:
        raise UserError(f"{film.path}: {film.trouble}")
    console.print(f"{film.path}: {film.seconds:.1f} s", soft_wrap=True)
    return 0


def ask(cache: Cache, request: Request) -> Answer:
    """Ask a run to do something. What came of it. Raises Lost, and UserError when it does not answer."""
    cache.ask(request)
    give_up = time.monotonic() + ANSWER_SECONDS
    while (answer := cache.answer(request.id)) is None:
        if time.monotonic() > give_up:
            raise UserError("the run does not answer; is its supervisor alive? see make status")
        time.sleep(LOOK_SECONDS)
    return answer


def _status(cache: Cache, request: str) -> FilmStatus:
    """How far the film is. Raises UserError when it is another one, or nothing is heard of it any more."""
    give_up = time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < give_up:
        film = cache.film()
        if film is not None and film.id == request:
            if film.over or time.time() - film.at < SILENCE_SECONDS:
                return film
            break
        time.sleep(LOOK_SECONDS)
    raise UserError("nothing is heard of the film any more; the run has ended, or films something else")


def _ended(cache: Cache, request: str) -> FilmStatus:
    give_up = time.monotonic() + SILENCE_SECONDS
    while not (film := _status(cache, request)).over and time.monotonic() < give_up:
        time.sleep(LOOK_SECONDS)
    return film


def _first_car(cache: Cache) -> str:
    """The first evaluator, or where there is none the first car. Raises UserError while none is known."""
    run, _, _ = cache.box()
    if run is None:
        raise UserError("the run has not said yet which cars it has; try again in a moment")
    return sorted(run.cars, key=lambda car: car.role != "evaluator")[0].name


if __name__ == "__main__":
    sys.exit(guarded(main))
