"""The soak's arithmetic and verdict on scripted histories, and a short one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import soak, survival
from bench.learning import Lap
from bench.soak import (
    History,
    Kill,
    Look,
    Size,
    came_back,
    judge,
    learned,
    learner_kills,
    left_files,
    longest_standstill,
    outlived,
    recovered,
    summary,
    thirds,
    told,
)
from processes.vitals import Count
from robo.cache_values import ProcessHealth, Progress
from robo.config import ROOT
from robo.runs import RunFolder

ROWS = ("redis", "learner", "explorer0")


def progress(env_steps: int, train_steps: int) -> Progress:
    return Progress(0.0, env_steps, train_steps, env_steps // 2, 0.0, 0.0, {})


def look(
    at: float,
    steps: tuple[int, int] | None = None,
    *,
    explored: int = 0,
    restarts: int = 0,
    **pids: int | None,
) -> Look:
    """One at which every process runs, but those whose id is None; processes' ids are 1, 2, ... otherwise."""
    health = {}
    for number, name in enumerate(ROWS, 1):
        pid = pids.get(name, number)
        counts = {Count.STEPS.value: explored} if name == "explorer0" else {}
        state = "running" if pid else "backing off"
        health[name] = ProcessHealth(at, state, pid, restarts, 0.1, "", counts)
    return Look(at, health, progress(*steps) if steps else None)


def away(at: float) -> Look:
    """One at which Redis does not answer."""
    return Look(at)


def size(at: float, descriptors: int = 300, memory_mb: float = 1000.4) -> Size:
    return Size(at, descriptors // 5, descriptors, memory_mb, 2)


def history(looks: Sequence[Look], kills: Sequence[Kill] = (), sizes: Sequence[Size] = ()) -> History:
    return History(looks, kills, sizes, None, [])


def test_a_standstill_is_the_longest_time_without_a_step_of_either_kind() -> None:
    looks = [look(0, (10, 0)), look(1, (20, 0)), look(2, (20, 5)), look(4, (20, 5)), look(7, (20, 6))]
    assert longest_standstill(looks) == 5.0
    assert longest_standstill([*looks, look(13, (20, 6))]) == 6.0


def test_a_learner_that_falls_back_has_not_grown() -> None:
    looks = [look(0, (90, 50)), look(1, (99, 60)), look(8, (80, 40)), look(9, (80, 40)), look(10, (81, 40))]
    assert longest_standstill(looks) == 9.0


def test_time_before_the_learner_s_first_progress_is_none() -> None:
    assert longest_standstill([look(0), look(50), look(90, (1, 0)), look(91, (2, 0))]) == 1.0
    assert longest_standstill([]) == longest_standstill([look(0), look(50)]) == 0.0


def test_time_without_redis_is_not_known_unless_it_lasts() -> None:
    def absent(seconds: float) -> list[Look]:
        before = [look(0, (1, 0)), look(1, (2, 0))]
        gone = [away(1 + seconds / 2), away(1 + seconds)]
        return [*before, *gone, look(2 + seconds, (3, 0))]

    assert longest_standstill(absent(8.0)) == 1.0
    assert longest_standstill(absent(20.0)) == 21.0
    assert longest_standstill(absent(8.0)[:-1]) == 1.0
    assert longest_standstill(absent(20.0)[:-1]) == 20.0


def test_a_redis_that_does_not_know_the_learner_yet_is_as_good_as_away() -> None:
    assert longest_standstill([look(0, (1, 0)), look(4), look(5, (1, 0)), look(6, (2, 0))]) == 2.0


def test_a_process_is_back_when_another_runs_and_the_explorers_go_on() -> None:
    kill = Kill(1.2, "learner", 2)
    looks = [
        look(1.0, explored=10),
        look(1.5, explored=20),  # what is shown may be from before the kill
        look(2.0, explored=30, learner=None),
        look(2.5, explored=30, learner=7),
        look(3.0, explored=31, learner=7),
    ]
    assert came_back(kill, looks) == pytest.approx(1.8)
    assert came_back(kill, looks[:-1]) is None
    assert recovered(kill, looks[:-1]) == pytest.approx(1.3)


def test_redis_is_back_when_it_tells_of_itself_and_of_steps() -> None:
    kill = Kill(1.0, "redis", 1)
    back = [look(3.0, explored=50, redis=8), look(3.5, explored=60, redis=8)]
    assert came_back(kill, [look(0.9, explored=10), away(1.5), away(2.0), *back]) == 2.5


def test_a_learner_that_was_still_away_at_the_end_lost_nothing_that_is_known() -> None:
    looks = [look(1.5, explored=10), look(2.0, explored=20, learner=7), look(2.5, explored=30, learner=7)]
    kills = [Kill(1.0, "learner", 2), Kill(1.1, "redis", 1), Kill(2.2, "learner", 7)]
    assert learner_kills(history(looks, kills)) == [1.0]


def test_thirds_share_the_laps() -> None:
    driven = [Lap(float(at), 10.0, True) for at in range(8)]
    parts = thirds(driven)
    assert [len(part) for part in parts] == [2, 3, 3]
    assert [lap for part in parts for lap in part] == driven
    assert thirds([]) == [[], [], []]


def test_what_was_learned_is_told_by_thirds() -> None:
    driven = [Lap(1.0, 12.0, True), Lap(2.0, 8.0, False), Lap(3.0, 7.0, False), Lap(4.0, 7.5, False)]
    driven += [Lap(5.0, 10.0, True), Lap(6.0, 9.0, True)]
    assert learned(driven) == {
        "clean_lap_rate": {"first": 0.5, "middle": 0.0, "last": 1.0},
        "best_lap_s": {"first": 12.0, "middle": None, "last": 9.0},
        "mean_lap_s": {"first": 12.0, "middle": None, "last": 9.5},
    }
    assert learned([])["clean_lap_rate"] == {"first": None, "middle": None, "last": None}


def test_figures_are_those_of_the_last_looks_that_tell_them() -> None:
    looks = [look(0.0, (100, 50), explored=100), look(1.0, (200, 80), explored=200, learner=9, restarts=1)]
    looks += [look(2.0, explored=300, learner=9, restarts=2), away(3.0)]
    kills = [Kill(0.5, "learner", 2), Kill(2.5, "redis", 1)]
    figures = summary(history(looks, kills, [size(10.0), size(20.0, 310, 1100.0), size(30.0, 320, 1200.6)]))
    assert figures == {
        "kills": {"learner": 1, "redis": 1},
        "restarts": {"redis": 2, "learner": 2, "explorer0": 2},
        "ended_early": None,
        "longest_standstill_s": 1.0,
        "recovered_s_p50": 1.0,
        "recovered_s_max": 1.5,
        "descriptors": {"supervisor": {"first": 60, "last": 64}, "all": {"first": 300, "last": 320}},
        "memory_mb": {"first": 1000, "last": 1201},
        "shm_entries": {"first": 2, "last": 2},
        "leftovers": [],
        "steps": {"env": 200, "train": 80},
        "replay_rows": 100,
    }


def test_a_run_that_was_never_seen_has_figures_too() -> None:
    figures = summary(History([], [], [], 2, []))
    assert figures["ended_early"] == 2
    assert figures["steps"] == {"env": 0, "train": 0}
    assert figures["recovered_s_max"] is None


def figures(**changes: Any) -> dict[str, Any]:
    """Those of a run with which nothing is wrong."""
    sound = {
        "ended_early": None,
        "longest_standstill_s": 60.0,
        "descriptors": {"supervisor": {"first": 60, "last": 76}, "all": {"first": 300, "last": 340}},
        "memory_mb": {"first": 1000, "last": 1250},
        "leftovers": [],
        "steps": {"env": 9000, "train": 5000},
        "mean_lap_s": {"first": 9.5, "last": 9.4},
    }
    return {**sound, **changes}


def test_nothing_is_wrong_with_a_sound_run() -> None:
    assert judge(figures()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ended_early": 0}, "it ended early, with exit code 0"),
        ({"steps": {"env": 2000, "train": 0}}, "it did not begin to train"),
        ({"longest_standstill_s": 60.5}, "it stood still for 60.5 s"),
        ({"leftovers": ["robo run learner", "redis.sock"]}, "it left behind robo run learner, redis.sock"),
        ({"memory_mb": {"first": 1000, "last": 1251}}, "memory in MB grew from 1000 to 1251"),
        (
            {"memory_mb": {"first": None, "last": None}},
            "its processes never all ran once it should have settled",
        ),
    ],
)
def test_what_is_wrong_is_told(changes: dict[str, Any], words: str) -> None:
    assert judge(figures(**changes)) == [words]


@pytest.mark.parametrize(
    ("supervisor", "every", "words"),
    [
        (77, 340, "the supervisor's descriptors grew from 60 to 77"),
        (76, 341, "all descriptors grew from 300 to 341"),
    ],
)
def test_descriptors_may_grow_a_little(supervisor: int, every: int, words: str) -> None:
    ends = {"supervisor": {"first": 60, "last": supervisor}, "all": {"first": 300, "last": every}}
    assert judge(figures(descriptors=ends)) == [words]


@pytest.mark.parametrize(
    ("first", "last", "sound"),
    [(9.5, 9.4, True), (9.5, 9.5, False), (None, 9.5, True), (9.5, None, False), (None, None, False)],
)
def test_laps_must_become_faster(first: float | None, last: float | None, sound: bool) -> None:
    assert (judge(figures(mean_lap_s={"first": first, "last": last})) == []) is sound


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(judge(figures(ended_early=1, longest_standstill_s=99.0, leftovers=["redis.sock"]))) == 3


def test_a_minute_is_told_in_a_line() -> None:
    kills = [Kill(100.0, "learner", 2)]
    now = look(220.0, (5000, 300), restarts=1)
    assert told(now, 100.0, kills, [size(160.0)]) == (
        "2 min: 1 kills, 5000 steps, 300 trained, 3 restarts, 1000 MB, 300 descriptors"
    )
    assert told(away(160.0), 100.0, kills, []) == "1 min: 1 kills, no Redis"


def test_who_outlives_the_end_is_named_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival, "GONE_SECONDS", 0.2)
    with subprocess.Popen(["sleep", "60"]) as lives, subprocess.Popen(["sleep", "0"]) as ends:
        processes = [psutil.Process(each.pid) for each in (lives, ends)]
        assert outlived(processes) == ["sleep 60"]
        assert lives.wait(2) == -9


def test_files_that_should_be_gone_are_named(tmp_path: Path) -> None:
    folder = RunFolder("run", tmp_path)
    (folder.path / "checkpoints" / "step-000000100").mkdir(parents=True)
    assert left_files(folder) == []
    (folder.path / "checkpoints" / "step-000000200.tmp").mkdir()
    folder.redis_socket.parent.mkdir(exist_ok=True)
    folder.redis_socket.touch()
    assert left_files(folder) == ["step-000000200.tmp", "redis.sock"]


@pytest.mark.parametrize(
    ("wrong", "code"), [([], 0), ([("ended_early", 1), ("leftovers", ["redis.sock"])], 1)]
)
def test_the_exit_code_says_whether_something_was_wrong(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: list[tuple[str, Any]],
    code: int,
) -> None:
    monkeypatch.setattr(soak, "measure", lambda *_, **__: figures(**dict(wrong)))
    monkeypatch.setattr(sys, "argv", ["soak"])
    assert soak.main() == code
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1
    assert len(told.err.splitlines()) == code


@pytest.mark.parametrize("option", ["--minutes", "--every"])
def test_a_soak_needs_time(option: str) -> None:
    command = [sys.executable, "-m", "bench.soak", option, "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {option} 0: more than 0\n"


@pytest.mark.slow
def test_a_short_one_goes_on_and_leaves_nothing() -> None:
    command = [sys.executable, "-m", "bench.soak", "--minutes", "0.5", "--every", "5", "--seed", "1000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert sum(found["kills"].values()) >= 4, done.stderr
    assert found["ended_early"] is None
    assert found["leftovers"] == []
    assert found["steps"]["train"] > 0
    assert found["longest_standstill_s"] < soak.MOST_STILL_SECONDS
    assert found["descriptors"]["all"]["last"] is not None
    assert not RunFolder("bench-soak-1000").exists
