"""The supervisor with real processes that die, hang, refuse and obey."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from processes.launch import Run
from processes.orders import LONGEST_FILM, Film, Orders
from processes.supervisor import Outcome, State, Supervisor
from processes.table import Channel, Process, cars, channels
from robo import config
from robo.cache_values import ProcessHealth
from tests.children import notes

LIMIT_SECONDS = 30.0
QUICK = {
    "ready_seconds": 2.0,
    "backoff_seconds": 0.02,
    "backoff_max_seconds": 0.1,
    "stop_seconds": 3.0,
}


def child(name: str, *after: str, vital: bool = True) -> Process:
    return Process(name, "tests.children", heartbeat_seconds=1.0, after=after, vital=vital)


class Supervised:
    """A supervisor over some rows, and what it said."""

    def __init__(
        self, folder: Path, *rows: Process, channels: tuple[Channel, ...] = (), **changes: float
    ) -> None:
        (folder / "logs").mkdir()
        loaded = config.load()
        loaded = msgspec.structs.replace(
            loaded, supervision=msgspec.structs.replace(loaded.supervision, **{**QUICK, **changes})
        )
        self.said: list[str] = []
        run = Run("test", folder, loaded, "unix:///nowhere", [])
        self.supervisor = Supervisor(run, list(rows), list(channels), lambda _: True, self.said.append)

    def run(self, until: Callable[[], bool]) -> Outcome:
        """Run until something is true, for LIMIT_SECONDS at most."""
        give_up = time.monotonic() + LIMIT_SECONDS
        return self.supervisor.run(lambda: not until() and time.monotonic() < give_up)

    def pids(self) -> dict[str, int | None]:
        return {name: health.pid for name, health in self.supervisor.health().items()}

    def kill_and_wait(self, name: str, number: int) -> tuple[dict[str, int | None], dict[str, int | None]]:
        """Kill a process when all run, and run until all do again; the process ids before and after."""
        seen: list[dict[str, int | None]] = []

        def until() -> bool:
            pids = self.pids()
            if self.all_running() and all(pids.values()) and (not seen or pids[name] != seen[0][name]):
                seen.append(pids)
                if len(seen) == 1:
                    os.kill(pids[name], number)
            return len(seen) == 2

        assert self.run(until) == Outcome(0, "")
        return seen[0], seen[1]

    def state(self, name: str) -> str:
        return self.supervisor.health()[name].state

    def pid(self, name: str) -> int | None:
        return self.supervisor.health()[name].pid

    def all_running(self) -> bool:
        healths = self.supervisor.health().values()
        return all(health.state == State.RUNNING.value and health.pid for health in healths)


def test_processes_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    first = child("obedient1")
    other = Process("obedient2", "tests.children.__init__", 1.0, after=("obedient1",))
    last = child("obedient3", "obedient2")
    supervised = Supervised(tmp_path, first, other, last)
    assert supervised.run(supervised.all_running) == Outcome(0, "")
    names = ["obedient1", "obedient2", "obedient3"]
    assert notes(tmp_path) == [f"start {name}" for name in names] + [f"stop {name}" for name in names[::-1]]
    assert [health.state for health in supervised.supervisor.health().values()] == ["stopped"] * 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_killed_process_comes_back_and_its_neighbour_is_left_alone(tmp_path: Path, number: int) -> None:
    supervised = Supervised(tmp_path, child("obedient1"), child("obedient2"))
    before, after = supervised.kill_and_wait("obedient1", number)
    assert after["obedient2"] == before["obedient2"]
    assert supervised.supervisor.health()["obedient1"].restarts == 1
    assert signal.Signals(number).name in supervised.said[0]


def test_crash_loop_is_fatal_and_names_the_cause(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("obedient1"), child("crashing1"))
    outcome = supervised.run(lambda: False)
    assert outcome.exit_code == 1
    assert "crashing1 ended 5 times" in outcome.cause
    assert "the last time it ended (exit code 1: RuntimeError: broken on purpose)" in outcome.cause
    assert notes(tmp_path)[-1] == "stop obedient1"
    assert supervised.state("crashing1") == "fatal"


def test_bad_input_found_by_a_process_is_not_tried_again(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("refusing1"))
    assert supervised.run(lambda: False) == Outcome(2, "track: not to my taste; choose another")
    assert notes(tmp_path) == ["start refusing1"]


def test_an_end_beyond_help_is_not_tried_again_either(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("beyond_help1"))
    assert supervised.run(lambda: False) == Outcome(1, "no use in going on")
    assert notes(tmp_path) == ["start beyond_help1"]


@pytest.mark.parametrize(("kind", "why"), [("silent", "no sign of life"), ("unready", "was not ready")])
def test_process_that_hangs_is_killed_and_started_again(tmp_path: Path, kind: str, why: str) -> None:
    supervised = Supervised(tmp_path, child(f"{kind}1"))
    assert supervised.run(lambda: notes(tmp_path).count(f"start {kind}1") == 2).exit_code == 0
    assert why in supervised.said[0]


def test_process_that_ignores_the_stop_is_killed(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("stubborn1"), child("obedient1"))
    began: list[float] = []

    def until() -> bool:
        if supervised.all_running():
            began.append(time.monotonic())
        return bool(began)

    supervised.run(until)
    assert time.monotonic() - began[0] < QUICK["stop_seconds"] + 1.0
    assert supervised.pid("stubborn1") is None


def test_channels_outlive_the_processes_at_their_ends(tmp_path: Path) -> None:
    queue = Channel("experience", "queue", ("obedient2",), ("obedient1",), 0, 1000, "", 1.0)
    rows = (child("obedient1"), child("obedient2"))
    supervised = Supervised(tmp_path, *rows, channels=(queue,))
    before = supervised.supervisor._channels["experience"]
    pids, pids_after = supervised.kill_and_wait("obedient1", signal.SIGKILL)
    assert pids_after["obedient2"] == pids["obedient2"]
    assert supervised.supervisor._channels["experience"] is before


def test_a_signal_stops_the_run_and_a_second_one_hurries_it(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("stubborn1"))
    sent: list[float] = []

    def until() -> bool:
        if supervised.all_running() and not sent:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        return False

    assert supervised.run(until) == Outcome(0, "")
    assert time.monotonic() - sent[0] < 2.0
    assert supervised.pid("stubborn1") is None
    assert supervised.said == ["stopping; once more to hurry"]


def restarted(supervised: Supervised, name: str) -> tuple[int, int]:
    """Ask for a restart when all run, and run until all do again; the process ids before and after."""
    pids: list[int] = []

    def until() -> bool:
        if supervised.all_running() and supervised.pid(name) not in pids:
            pids.append(supervised.pid(name))
            if len(pids) == 1:
                assert supervised.supervisor.restart(name) == ""
        return len(pids) == 2

    assert supervised.run(until) == Outcome(0, "")
    return pids[0], pids[1]


def test_a_process_that_is_to_be_restarted_ends_by_itself_and_its_neighbour_is_left_alone(
    tmp_path: Path,
) -> None:
    supervised = Supervised(tmp_path, child("obedient1"), child("obedient2", "obedient1"))
    before, after = restarted(supervised, "obedient1")
    assert before != after
    expected = ["start obedient1", "start obedient2", "stop obedient1", "start obedient1"]
    assert notes(tmp_path)[:4] == expected
    health = supervised.supervisor.health()
    assert (health["obedient1"].restarts, health["obedient2"].restarts) == (1, 0)


def test_a_restart_that_was_asked_for_is_no_failure(tmp_path: Path) -> None:
    """However often: no wait before it, and no word of it to whoever reads of failures."""
    supervised = Supervised(tmp_path, child("obedient1"))
    pids: list[int] = []
    times = config.load().supervision.max_restarts + 1

    def until() -> bool:
        if supervised.all_running() and supervised.pid("obedient1") not in pids:
            pids.append(supervised.pid("obedient1"))
            assert supervised.supervisor.restart("obedient1") == ""
        return len(pids) > times

    assert supervised.run(until) == Outcome(0, "")
    assert supervised.supervisor.health()["obedient1"].restarts == times
    assert supervised.said == []


def test_a_process_that_does_not_end_when_it_is_to_be_restarted_is_killed(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("stubborn1"), stop_seconds=0.5)
    began = time.monotonic()
    restarted(supervised, "stubborn1")
    assert time.monotonic() - began > 0.5
    assert supervised.said == ["stubborn1 did not stop in time to be restarted: killed"]
    assert supervised.supervisor.health()["stubborn1"].restarts == 1


def test_what_does_not_run_can_not_be_restarted(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("obedient1"), child("unready1"))
    said: list[str] = []

    def until() -> bool:
        said.append(supervised.supervisor.restart("unready1"))
        return len(said) > 2

    assert supervised.supervisor.restart("anna") == "no process is called anna"
    assert supervised.supervisor.restart("obedient1") == "obedient1 does not run: it is waiting"
    supervised.run(until)
    assert said[-1] == "unready1 does not run: it is starting"


@pytest.mark.parametrize("kind", ["crashing", "refusing", "beyond_help"])
def test_what_only_shows_a_run_never_ends_it(tmp_path: Path, kind: str) -> None:
    more = config.load().supervision.max_restarts + 2
    supervised = Supervised(tmp_path, child("obedient1"), child(f"{kind}1", vital=False))
    outcome = supervised.run(lambda: notes(tmp_path).count(f"start {kind}1") > more)
    assert outcome == Outcome(0, "")
    assert notes(tmp_path).count("start obedient1") == 1
    assert supervised.supervisor.health()[f"{kind}1"].restarts >= more
    assert len(supervised.said) >= more


def test_health_says_what_a_process_uses(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, child("obedient1"))
    seen: list[ProcessHealth] = []

    def until() -> bool:
        seen.append(supervised.supervisor.health()["obedient1"])
        return seen[-1].cpu is not None

    assert supervised.run(until) == Outcome(0, "")
    assert seen[-1].memory > 1 << 20
    assert 0.0 <= seen[-1].cpu < 2.0
    ended = supervised.supervisor.health()["obedient1"]
    assert (ended.cpu, ended.memory) == (None, None)


def test_a_film_from_the_settings_is_asked_for_from_the_start(tmp_path: Path) -> None:
    loaded = config.load(sets=["film.car=robo-eval1", "film.seconds=2.5"])
    endless = config.load(sets=["film.car=robo1", "film.seconds=.inf"])
    films = (Film("", "robo-eval1", 2.5), None, Film("", "robo1", LONGEST_FILM))
    for settings, film in zip((loaded, config.load(), endless), films, strict=True):
        run = Run("test", tmp_path, settings, "unix:///nowhere", cars(settings))
        rows = [child("obedient1")]
        supervisor = Supervisor(run, rows, channels(settings), lambda _: True, lambda _: None)
        assert supervisor.orders.now == Orders(film=film)
