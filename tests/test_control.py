"""A run that learns does what it is asked to while it goes on: real processes, and all through its cache."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from processes.frame_processor import PICTURE_SECONDS
from processes.vitals import Count
from robo.cache_values import Answer, Hand, Request, Telemetry
from robo.config import ROOT
from tests.running import Run

EXPLORERS = ("robo1", "robo2")
EVALUATOR = "robo-eval1"
POLICY = "policies/ddpg"
SETTINGS = (
    "simulator.clock=lockstep",
    "monitor.enabled=false",
    "monitor.control=true",
    "cars.explorers=2",
    "agent.actor_layers=[16]",
    "agent.critic_layers=[16]",
    "replay.random_transitions=300",
    "replay.max_samples_per_insert=8",
    "evaluation.episodes=1",
    "evaluation.max_seconds=2.0",
    "learner.log_seconds=0.25",
    "learner.checkpoint_seconds=1000000",
)
LIMIT_SECONDS = 60.0


class Controlled(Run):
    """A run, and what it is asked to do."""

    def ask(self, what: str, target: str = "", seconds: float = 0.0) -> Answer:
        """What comes of a request."""
        request = Request(uuid.uuid4().hex, what, target, seconds)
        self.cache.ask(request)
        self.until(lambda: self.cache.answer(request.id), f"answered: {what}")
        return self.cache.answer(request.id)

    def until(self, done: Any, what: str) -> None:
        self.wait(done, LIMIT_SECONDS, what=what)

    def is_told_anew(self) -> None:
        """Wait until all processes have told how they are later than now."""
        now = time.time()
        self.until(
            lambda: (
                min(health.at for health in self.health().values()) > now
                and min(car.at for car in self.telemetry().values()) > now
                and self.progress().at > now
            ),
            "told anew",
        )

    def steer(self, *cars: str, hand: Hand) -> dict[str, Telemetry]:
        """Drive cars by hand, as somebody at a page does who holds a key. What they tell of it."""
        for car in cars:
            self.cache.put_hand(car, hand)
        return self.telemetry()

    def events(self, process: str) -> list[dict[str, Any]]:
        """What a process has logged."""
        lines = (self.folder / "logs" / f"{process}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def checkpoints(self) -> set[str]:
        return {path.name for path in (self.folder / "checkpoints").glob("step-*[0-9]")}

    def evaluations(self) -> int:
        """Points of the learner's that are of the evaluator's episodes."""
        return sum(point.kind == "evaluation" for point in self.cache.points()[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    """Begun once for all tests; each leaves it driving and learning, but the last, which ends it."""
    sets = [word for item in SETTINGS for word in ("--set", item)]
    begun = Controlled("scripts.train", "configs/ddpg.yml", *sets, runs=tmp_path_factory.mktemp("runs"))
    try:
        begun.wait_until_learning(20)
        yield begun
    finally:
        begun.end()


def length(path: Path) -> float:
    """Of a film, seconds."""
    with av.open(str(path)) as film:
        return [frame.time for frame in film.decode(video=0)][-1]


def test_a_run_tells_what_whoever_watches_it_wants_to_know(run: Controlled) -> None:
    run.until(lambda: all(run.cache.box()) and run.cache.outlines().keys() == run.telemetry().keys(), "told")
    info, machine, shelf = run.cache.box()
    assert (info.agent, info.clock, info.track, info.control) == ("ddpg", "lockstep", "esses", True)
    assert [car.name for car in info.cars] == [*EXPLORERS, EVALUATOR]
    assert machine.disk_free > 0
    assert POLICY in {policy.name for policy in shelf.policies if not policy.fits}
    assert list(run.cache.runs()) == [run.name]
    for car in run.telemetry().values():
        assert len(car.observation) == math.prod(info.observation_shape)
        assert sum(car.reward_terms.values()) == pytest.approx(car.episode_reward, abs=1e-6)
    assert {outline.name for outline in run.cache.outlines().values()} == {"esses"}
    run.until(lambda: all(health.memory for health in run.health().values()), "known: what is used")
    assert run.cache.first_point() is not None


def test_a_car_that_somebody_watches_is_shown_more_often(run: Controlled) -> None:
    at: list[float] = []

    def smooth() -> bool:
        run.cache.watch([EVALUATOR])
        at.append(run.cache.frame(EVALUATOR).at)
        return len(at) > 1 and 0.0 < at[-1] - at[-2] < PICTURE_SECONDS / 2

    run.until(smooth, "shown more often")


def test_a_paused_run_stands_still_and_goes_on_when_it_is_told_to(run: Controlled) -> None:
    assert run.ask("pause").done
    run.until(lambda: {car.driven_by for car in run.telemetry().values()} == {"paused"}, "paused")
    run.is_told_anew()
    steps, cars = run.progress().train_steps, run.telemetry()
    run.until(lambda: run.cache.box()[0].paused, "told of as paused")
    run.is_told_anew()
    assert {name: car.decisions for name, car in run.telemetry().items()} == {
        name: car.decisions for name, car in cars.items()
    }
    assert run.progress().train_steps == steps
    assert run.ask("resume").done
    run.wait_until_driving(20)
    run.wait_until_learning(4)
    run.until(lambda: not run.cache.box()[0].paused, "told of as going on")


def test_somebody_drives_by_hand_and_nothing_is_learned_from_it(run: Controlled) -> None:
    hand = Hand(0.04, -0.25, 0.0)

    def driven(decisions: int = 0) -> bool:
        cars = run.steer(*EXPLORERS, hand=hand)
        return all(
            cars[name].driven_by == "hand" and cars[name].decisions >= before.get(name, 0) + decisions
            for name in EXPLORERS
        )

    before: dict[str, int] = {}
    run.until(driven, "driven by hand")
    now = time.time()
    run.until(lambda: driven() and run.health()["explorer0"].at > now, "told")
    sent = run.health()["explorer0"].counts[Count.STEPS.value]
    before = {name: car.decisions for name, car in run.telemetry().items()}
    run.until(lambda: driven(10), "driven on")
    now = time.time()
    run.until(lambda: driven() and run.health()["explorer0"].at > now, "told")
    assert run.health()["explorer0"].counts[Count.STEPS.value] == sent
    cars = run.telemetry()
    for name in EXPLORERS:
        assert (cars[name].throttle, cars[name].turn) == (hand.throttle, hand.turn)
    assert cars[EVALUATOR].driven_by == ""


def test_a_car_drives_by_itself_again_when_nobody_does(run: Controlled) -> None:
    run.until(lambda: run.steer(EVALUATOR, hand=Hand())[EVALUATOR].driven_by == "hand", "driven by hand")
    run.until(lambda: run.telemetry()[EVALUATOR].driven_by == "", "given back")
    run.wait_until_driving(20)


def test_a_checkpoint_is_written_when_it_is_asked_for(run: Controlled) -> None:
    before = run.checkpoints()
    assert run.ask("save") == Answer(True, "saving a checkpoint")
    run.until(lambda: run.checkpoints() - before, "saved")


def test_a_film_of_any_car_is_made_until_it_is_cut(run: Controlled) -> None:
    assert run.ask("film", "robo1").done
    run.until(lambda: (film := run.cache.film()) and film.car == "robo1" and film.seconds > 0.0, "filmed")
    assert run.ask("cut").done
    run.until(lambda: run.cache.film().over, "cut")
    film = run.cache.film()
    assert film.trouble == ""
    assert length(Path(film.path)) == pytest.approx(film.seconds, abs=0.2)
    assert not run.ask("cut").done


def test_the_command_films_the_evaluator_for_as_long_as_is_asked(run: Controlled) -> None:
    films = set(run.folder.glob("*.mp4"))
    command = [sys.executable, "-m", "scripts.record", run.name, "--runs", str(run.folder.parent)]
    done = subprocess.run(
        [*command, "--seconds", "1.5"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    (film,) = set(run.folder.glob("*.mp4")) - films
    told, _, seconds = done.stdout.splitlines()[-1].rpartition(": ")
    assert told == str(film)
    assert float(seconds.removesuffix(" s")) == pytest.approx(1.5, abs=0.3)
    assert length(film) == pytest.approx(1.5, abs=0.5)
    assert run.cache.film().car == EVALUATOR


def test_what_there_is_not_is_refused(run: Controlled) -> None:
    refused = {
        ("film", "anna"): "there is no car 'anna'",
        ("restart", "anna"): "no process is called anna",
        ("policy", "../../etc"): "there is no policy '../../etc'",
        ("policy", "policies/rdpg"): "policies/rdpg can't drive here: it sees something else",
    }
    for (what, target), text in refused.items():
        assert run.ask(what, target) == Answer(False, text)


def test_the_evaluator_drives_another_policy_which_is_no_score_of_what_is_learned(run: Controlled) -> None:
    assert run.ask("policy", POLICY).done
    run.until(lambda: run.telemetry()[EVALUATOR].driven_by == POLICY, "taken up")
    run.until(lambda: run.cache.box()[0].policy == POLICY, "told of")
    episodes = run.telemetry()[EVALUATOR].episodes
    # What was under way when it was taken up has been scored by then.
    run.until(lambda: run.telemetry()[EVALUATOR].episodes > episodes, "an episode")
    run.is_told_anew()
    scored, episodes = run.evaluations(), run.telemetry()[EVALUATOR].episodes
    run.until(lambda: run.telemetry()[EVALUATOR].episodes >= episodes + 3, "three episodes")
    run.is_told_anew()
    assert run.evaluations() == scored
    assert {run.telemetry()[name].driven_by for name in EXPLORERS} == {""}
    assert run.ask("policy", "").done
    run.until(lambda: run.telemetry()[EVALUATOR].driven_by == "", "given up")
    run.until(lambda: run.evaluations() > scored, "scored again")


def test_a_learner_that_is_restarted_goes_on_from_where_it_ended(run: Controlled) -> None:
    saved, steps, pid = run.checkpoints(), run.progress().train_steps, run.pid("learner")
    pids = {name: health.pid for name, health in run.health().items() if name != "learner"}
    assert run.ask("restart", "learner") == Answer(True, "restarting learner")
    run.wait_for_another("learner", pid, LIMIT_SECONDS)
    ends = [entry for entry in run.events("learner") if entry["event"] in ("checkpoint", "resumed")]
    saved_last, resumed = ends[-2:]
    assert (saved_last["event"], resumed["event"]) == ("checkpoint", "resumed")
    assert saved_last["train_steps"] == resumed["train_steps"] >= steps
    assert saved_last["env_steps"] == resumed["env_steps"]
    (written,) = run.checkpoints() - saved
    assert run.health()["learner"].restarts == 1
    assert {name: health.pid for name, health in run.health().items() if name != "learner"} == pids
    run.wait_until_learning(4)
    run.until(lambda: written in {one.name for one in run.cache.box()[2].checkpoints}, "on the shelf")


def test_a_run_that_is_stopped_ends_as_one_that_has_reached_its_limit(run: Controlled) -> None:
    assert run.ask("stop") == Answer(True, "stopping, with a checkpoint")
    output = run.finish()
    assert run.process.returncode == 0, output
    assert "stopped from the page, at " in output.splitlines()[-1]
    assert run.left_behind() == []
    summary = json.loads((run.folder / "summary.json").read_text())
    assert (summary["exit_code"], summary["cause"], summary["restarts"]) == (0, "", 1)
