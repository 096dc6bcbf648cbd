"""What a run does of what it is asked to, and what it never does, whoever asks."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import redis

from processes import requests
from processes.channels import Latest
from processes.orders import Film, OrderBook, Orders, PolicyOrder
from processes.requests import Requests
from processes.table import ORDERS_BYTES, cars
from robo import config
from robo.cache import Cache, Lost
from robo.cache_values import Answer, FilmStatus, Request
from robo.config import ROOT
from robo.learning.details import DETAILS, MODEL

SETTINGS = config.load()
ALL = ("pause", "resume", "stop", "save", "restart", "policy", "film", "cut")
HARMLESS = ("film", "cut")


class Supervisor:
    """Takes orders and gives them to nobody."""

    def __init__(self, *sets: str) -> None:
        self.orders = OrderBook(Latest(1, ORDERS_BYTES))
        self.cars = cars(config.load(sets=sets))
        self.restarted: list[str] = []
        self.ends = 0
        """Of the evaluator."""

    def restarts(self, _: str) -> int:
        return self.ends

    def restart(self, name: str) -> str:
        if name != "learner":
            return f"no process is called {name}"
        self.restarted.append(name)
        return ""


class Asked:
    """A run that somebody asks something."""

    def __init__(self, url: str, folder: Path, *sets: str) -> None:
        self.folder = folder
        self.supervisor = Supervisor(*sets)
        self.cache = Cache(url, "mine")
        self.requests = Requests(self.cache, self.supervisor, config.load(sets=sets), folder)

    def ask(self, what: str, target: str = "", seconds: float = 0.0) -> Answer:
        self.cache.ask(Request("id", what, target, seconds))
        self.requests.look()
        answer = self.cache.answer("id")
        assert answer is not None
        assert "\n" not in answer.text
        return answer

    @property
    def now(self) -> Orders:
        return self.supervisor.orders.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def run(redis_url: str, folder: Path) -> Asked:
    """A run that may be controlled."""
    return Asked(redis_url, folder, "monitor.control=true")


@pytest.fixture
def closed(redis_url: str, folder: Path) -> Asked:
    """A run that takes no commands."""
    return Asked(redis_url, folder)


def policy(run: Path, name: str, **observation: object) -> Path:
    """An exported policy of a run."""
    folder = run / "policies" / name
    folder.mkdir(parents=True)
    (folder / MODEL).touch()
    details = {"observation": msgspec.to_builtins(SETTINGS.observation) | observation}
    (folder / DETAILS).write_text(json.dumps(details))
    return folder


@pytest.mark.parametrize("what", [what for what in ALL if what not in HARMLESS])
def test_a_run_that_is_not_to_be_controlled_does_nothing_that_would(closed: Asked, what: str) -> None:
    target = {"restart": "learner", "policy": "policies/ddpg"}.get(what, "")
    answer = closed.ask(what, target)
    assert answer == Answer(False, "this run takes no commands; start it with --set monitor.control=true")
    assert closed.now == Orders()
    assert (closed.supervisor.restarted, closed.requests.stop) == ([], "")


def test_a_film_is_made_by_every_run(closed: Asked) -> None:
    assert closed.ask("film", "robo1", 2.5) == Answer(True, "filming robo1")
    assert closed.now.film == Film("id", "robo1", 2.5)
    assert closed.ask("cut").done
    assert closed.now.film is None


def test_a_run_is_paused_and_goes_on(run: Asked) -> None:
    assert run.ask("pause").done
    assert run.now == Orders(paused=True)
    assert run.ask("pause").done
    assert run.ask("resume").done
    assert run.now == Orders()


def test_every_save_is_another_one(run: Asked) -> None:
    for number in (1, 2, 3):
        assert run.ask("save").done
        assert run.now.saves == number


def test_where_nothing_is_learned_there_is_nothing_to_save(redis_url: str, folder: Path) -> None:
    run = Asked(redis_url, folder, "monitor.control=true", "driver=debug", "observation.kind=color_mass")
    assert run.ask("save") == Answer(False, "nothing is learned in this run, so there is nothing to save")
    assert run.now == Orders()


def test_a_stop_is_for_the_session_to_make(run: Asked) -> None:
    assert run.requests.stop == ""
    assert run.ask("stop").done
    assert run.requests.stop == "stopped from the page"


def test_a_process_is_restarted_by_its_name(run: Asked) -> None:
    assert run.ask("restart", "learner") == Answer(True, "restarting learner")
    assert run.supervisor.restarted == ["learner"]
    assert run.ask("restart", "anna") == Answer(False, "no process is called anna")
    assert run.supervisor.restarted == ["learner"]


def test_another_car_is_filmed_when_that_is_asked_for(run: Asked) -> None:
    for car in ("robo1", "robo-eval1"):
        assert run.ask("film", car).done
        assert run.now.film == Film("id", car, 0.0)


@pytest.mark.parametrize("car", ["", "anna", "robo99", "../robo1", "robo1 "])
def test_a_car_that_is_none_is_not_filmed(run: Asked, car: str) -> None:
    assert run.ask("film", car) == Answer(False, f"there is no car {car!r}")
    assert run.now.film is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e308])
def test_a_film_of_any_length_can_be_asked_for(run: Asked, seconds: float) -> None:
    assert run.ask("film", "robo1", seconds).done
    assert 0.0 <= run.now.film.seconds < 1e9


def test_where_nothing_is_filmed_there_is_nothing_to_end(run: Asked) -> None:
    assert run.ask("cut") == Answer(False, "nothing is filmed")


def test_the_evaluator_takes_up_a_policy_and_gives_it_up(run: Asked) -> None:
    assert run.ask("policy", "policies/ddpg").done
    assert run.now == Orders(policy=PolicyOrder("id", "policies/ddpg", str(ROOT / "policies" / "ddpg")))
    own = policy(run.folder, "best")
    assert run.ask("policy", "runs/mine/policies/best").done
    assert run.now.policy.folder == str(own)
    assert run.ask("policy", "").done
    assert run.now == Orders()


def test_a_run_without_an_evaluator_drives_no_other_policy(redis_url: str, folder: Path) -> None:
    run = Asked(redis_url, folder, "monitor.control=true", "cars.evaluators=0")
    for name in ("policies/ddpg", ""):
        assert run.ask("policy", name) == Answer(False, "this run has no evaluator")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc",
        "/etc",
        "/",
        ".",
        "..",
        "policies",
        "policies/",
        "policies/.",
        "policies/..",
        "policies/ddpg/",
        "policies/ddpg/.",
        "policies//ddpg",
        "./policies/ddpg",
        "policies/../policies/ddpg",
        "policies/ddpg\0",
        "POLICIES/ddpg",
        "policies/*",
        "runs/mine",
        "runs/mine/policies",
        "runs/mine/policies/none",
        "runs/mine/policies/../policies/best",
        "runs/../runs/mine/policies/best",
        "runs/mine/policies/link",
        "runs/mine/policies/empty",
        "HERE/runs/mine/policies/best",
        "HERE/secret",
        "HERE/../../secret",
        "x" * 100_000,
    ],
)
def test_a_name_leads_to_a_policy_on_the_shelf_or_nowhere(run: Asked, name: str) -> None:
    policy(run.folder, "best")
    base = run.folder.parents[1]
    secret = policy(base, "secret")
    (run.folder / "policies" / "link").symlink_to(secret)
    (run.folder / "policies" / "empty").mkdir()
    answer = run.ask("policy", name.replace("HERE", str(base)))
    assert not answer.done
    assert answer.text.startswith("there is no policy '")
    assert len(answer.text) < 500
    assert run.now == Orders()
    assert run.ask("policy", "runs/mine/policies/best").done


def test_a_policy_that_sees_something_else_does_not_drive(run: Asked) -> None:
    policy(run.folder, "other", history=2)
    answer = run.ask("policy", "runs/mine/policies/other")
    assert answer == Answer(False, "runs/mine/policies/other can't drive here: it sees something else")
    assert run.now == Orders()


def test_damage_in_one_policy_is_no_matter_of_another(run: Asked) -> None:
    policy(run.folder, "best")
    (policy(run.folder, "damaged") / DETAILS).write_text('{"observation": 5, "train_step": NaN}')
    assert not run.ask("policy", "runs/mine/policies/damaged").done
    assert run.ask("policy", "runs/mine/policies/best").done


def test_orders_that_do_not_fit_are_refused_and_the_others_hold(run: Asked) -> None:
    assert run.ask("pause").done
    run.cache.ask(Request("i" * ORDERS_BYTES, "film", "robo1"))
    run.requests.look()
    answer = run.cache.answer("i" * ORDERS_BYTES)
    assert not answer.done
    assert f"{ORDERS_BYTES} at most" in answer.text
    assert run.now == Orders(paused=True)


def test_requests_are_done_in_their_order_and_each_is_answered(run: Asked) -> None:
    asked = ("pause", "save", "resume", "save")
    for number, what in enumerate(asked):
        run.cache.ask(Request(f"id{number}", what))
    run.requests.look()
    assert run.now == Orders(saves=2)
    assert all(run.cache.answer(f"id{number}").done for number in range(len(asked)))
    run.requests.look()
    assert run.now == Orders(saves=2)


def test_what_is_no_request_is_passed_over(run: Asked, redis_url: str) -> None:
    server = redis.Redis.from_url(redis_url)
    for garbage in (b"", b"{", b'{"id": "x", "what": "__init__"}', b'{"id": "x", "what": "look"}'):
        server.lpush("robo:mine:requests", garbage)
    assert run.ask("pause").done
    assert run.cache.answer("x") is None


def test_without_redis_it_is_lost(run: Asked, redis_server: object) -> None:
    redis_server.stop()
    with pytest.raises(Lost):
        run.requests.look()
    redis_server.start()
    assert run.ask("pause").done


def test_a_policy_that_the_evaluator_ended_with_is_given_up(run: Asked) -> None:
    assert run.ask("policy", "policies/ddpg").done
    run.requests.look()
    assert run.now.policy is not None
    run.supervisor.ends += 1
    run.requests.look()
    assert run.now.policy is None


def test_a_film_that_is_over_is_no_longer_asked_for(run: Asked) -> None:
    assert run.ask("film", "robo1", 3.0).done
    for over in (False, True):
        run.cache.put_film(FilmStatus(1.0, "id", "robo1", "film.mp4", 2.0, over))
        run.requests.look()
        assert (run.now.film is None) == over


def test_a_film_whose_recorder_is_gone_is_over_a_while_after_it_is_cut(
    run: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.ask("film", "robo1").done
    run.cache.put_film(FilmStatus(1.0, "id", "robo1", "film.mp4", 2.0, False))
    assert not run.ask("cut", "another").done
    assert run.ask("cut", "id").done
    assert not run.cache.film().over  # its recorder may still be at it
    monkeypatch.setattr(requests, "FINISH_SECONDS", 0.0)
    run.requests.look()
    assert run.cache.film().over
