"""The survival benchmark's arithmetic, and that it counts whoever outlives a kill."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from bench import survival
from bench.learning import WINDOW, Lap, events
from bench.survival import clean_window, drives, kill, most_steps_between, random_moments, steps_lost
from robo.config import ROOT


def laps(*clean: bool, first: float = 10.0) -> list[Lap]:
    """A lap every 10 s."""
    return [Lap(first + 10.0 * k, 10.0, each) for k, each in enumerate(clean)]


def line(at: float, train_steps: int) -> dict[str, Any]:
    return {"time": at, "kind": "training", "train_steps": train_steps}


def resumed(at: float, train_steps: int) -> dict[str, Any]:
    return {"event": "resumed", "at": at, "train_steps": train_steps}


def checkpoint(at: float, train_steps: int) -> dict[str, Any]:
    return {"event": "checkpoint", "at": at, "train_steps": train_steps}


def test_a_window_is_the_first_that_is_clean_enough() -> None:
    driven = laps(*[False] * 5, *[True] * WINDOW)
    assert clean_window(driven, 0.9) == driven[3 : 3 + WINDOW]
    assert clean_window(driven, 1.0) == driven[5:]
    assert clean_window(driven[:-1], 1.0) is None


def test_laps_from_before_the_last_start_do_not_count() -> None:
    driven = laps(*[True] * (WINDOW + 3), first=-20.0)
    assert clean_window(driven, 0.9) == driven[3:]
    assert clean_window(driven[:-1], 0.9) is None


def test_a_kill_costs_what_was_trained_after_the_state_that_was_resumed() -> None:
    lines = [line(1, 100), line(2, 200), line(11, 180), line(12, 300), line(21, 290), line(22, 400)]
    saved = [checkpoint(1.5, 150), resumed(10, 150), checkpoint(11.5, 280), resumed(20, 280)]
    assert steps_lost(lines, saved, [3.0, 13.0]) == [50, 20]
    assert steps_lost(lines, saved, []) == []


def test_a_run_that_begins_anew_has_lost_everything() -> None:
    lines = [line(1, 100), line(11, 20), line(12, 90)]
    assert steps_lost(lines, [resumed(15, 80)], [3.0, 13.0]) == [100, 10]


def test_a_checkpoint_newer_than_the_last_point_has_lost_nothing() -> None:
    assert steps_lost([line(1, 100)], [checkpoint(2, 150), resumed(10, 150)], [3.0]) == [0]


def test_steps_between_checkpoints_count_from_what_was_resumed() -> None:
    saved = [checkpoint(1, 100), checkpoint(2, 300), resumed(10, 300), checkpoint(11, 450)]
    assert most_steps_between(saved) == 200
    assert most_steps_between([]) == 0


def test_a_run_drives_again_when_a_point_since_its_start_says_so() -> None:
    def point(at: float, rate: float, kind: str = "collection") -> dict[str, Any]:
        return {"time": at, "kind": kind, "values": {"env_steps_per_s": rate}}

    assert not drives([], 10.0)
    assert not drives([point(9, 500.0), point(11, 0.0)], 10.0)
    assert drives([point(9, 500.0), point(11, 0.0), point(12, 400.0)], 10.0)


def test_moments_are_random_and_the_seed_s() -> None:
    moments = random_moments(3, 50)
    assert moments == random_moments(3, 50) != random_moments(4, 50)
    assert all(survival.SOONEST <= moment <= survival.LATEST for moment in moments)
    assert max(moments) - min(moments) > 10.0


@pytest.mark.parametrize("outlives", [True, False])
def test_whoever_outlives_the_command_is_counted_and_ended(outlives: bool) -> None:
    sleeper = "sleep 60 & wait" if outlives else "read line"
    with subprocess.Popen(["sh", "-c", sleeper], stdin=subprocess.PIPE) as process:
        parent = psutil.Process(process.pid)
        while outlives and not parent.children():
            time.sleep(0.01)
        children = parent.children()
        assert kill(process) == len(children) == outlives
    assert psutil.wait_procs(children, timeout=2)[1] == []


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path: Any) -> None:
    (tmp_path / "logs").mkdir()
    whole = '{"event": "resumed", "train_steps": 8, "timestamp": "2026-01-01T00:00:01Z"}'
    text = f'E0000 not of ours\n{{"event": "resumed", "trai{whole}\n{whole}\n{{"event": "resumed", "tr'
    (tmp_path / "logs" / "learner.log").write_text(text)
    (entry,) = events(tmp_path, "learner", "resumed", "checkpoint")
    assert entry["train_steps"] == 8
    assert events(tmp_path, "evaluator", "lap") == []


@pytest.mark.parametrize(
    ("seconds", "runs", "code"),
    [([70.0, 150.0], 2, 0), ([70.0, None], 2, 1), ([None], 1, 1)],
    ids=["as good", "worse", "nothing to compare with"],
)
def test_the_exit_code_says_whether_the_killed_run_came_to_the_others_rate(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seconds: list[float | None],
    runs: int,
    code: int,
) -> None:
    rates: list[float] = []

    def measure(run: str, case: Any, seed: int, moments: Any, rate: float, *, keep: bool) -> dict[str, Any]:
        rates.append(rate)
        return {"run": run, "seconds": seconds[len(rates) - 1], "clean_lap_rate": 0.95}

    monkeypatch.setattr(survival, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["survival"])
    assert survival.main() == code
    assert rates == [survival.RATE, 0.95][:runs]
    assert len(capsys.readouterr().out.splitlines()) == runs


def test_without_a_kill_there_is_nothing_to_measure() -> None:
    command = [sys.executable, "-m", "bench.survival", "--kills", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --kills 0: at least 1\n"
