"""The whole chain as a user runs it: real processes, sockets and Redis, started by the command lines."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import psutil
import pytest

from robo.config import ROOT
from robo.learning import metrics
from tests.running import FREE_PORTS, LIMIT_SECONDS, Command

Start = Callable[..., Command]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start commands whose runs are kept in tmp_path; whatever is left of them at the end is killed."""
    commands: list[Command] = []

    def start(module: str, *arguments: str) -> Command:
        commands.append(Command(module, *arguments, runs=tmp_path))
        return commands[-1]

    yield start
    for command in commands:
        command.end()


@pytest.mark.parametrize("spare", [True, False], ids=["frames spared", "as the real simulator sends them"])
def test_debug_policy_completes_a_lap(start: Start, tmp_path: Path, spare: bool) -> None:
    limits = ("--until-clean-laps", "1", "--max-seconds", "120", "--set", f"simulator.spare_frames={spare}")
    command = start("scripts.debug_policy", *FREE_PORTS, *limits)
    output = command.finish()
    assert command.process.returncode == 0, output
    assert "clean lap in" in output
    assert command.left_behind() == []
    summary = json.loads((tmp_path / "debug_policy" / "summary.json").read_text())
    assert summary["clean_laps"] >= 1
    assert 15 < summary["best_lap_seconds"] < 30  # simulation time, whatever the machine's speed


def test_a_policy_of_the_zoo_is_driven_and_filmed(start: Start, tmp_path: Path) -> None:
    command = start("scripts.run_policy", "policies/full_speed", *FREE_PORTS, "--laps", "1", "--record")
    output = command.finish()
    assert command.process.returncode == 0, output
    assert command.left_behind() == []
    assert "warning" not in output
    assert "connections lost" not in output
    path = tmp_path / "run_policy" / "film.mp4"
    assert f"the film is in {os.path.relpath(path, ROOT)}" in output
    with av.open(str(path)) as film:
        # A lap takes 7 s; a machine with other things to do may leave some of its pictures out.
        assert [frame.time for frame in film.decode(video=0)][-1] > 2.0


def test_ddpg_learns_to_drive_a_clean_lap_stops_on_ctrl_c_and_resumes(start: Start, tmp_path: Path) -> None:
    train = ("scripts.train", "configs/ddpg.yml", "--run", "learned", *FREE_PORTS)
    run = tmp_path / "learned"
    first = start(*train, "--until-clean-laps", "1", "--max-seconds", str(LIMIT_SECONDS))
    output = first.finish()
    assert first.process.returncode == 0, output
    assert first.left_behind() == []

    summary = json.loads((run / "summary.json").read_text())
    assert summary["clean_laps"] >= 1, output
    assert summary["env_steps"] > 1000 and summary["train_steps"] > 100
    assert (run / "config.yml").exists()
    kinds = {line["kind"] for line in metrics.read(run)}
    assert kinds == {"collection", "training", "evaluation"}
    assert list((run / "tensorboard").iterdir())
    assert (run / "policies" / "best" / "saved_model.pb").exists()

    second = start(*train)
    newer = f"step-{summary['env_steps']:09d}"
    log = run / "logs" / "learner.log"
    second.wait(lambda: '"resumed"' in log.read_text())
    resumed = next(json.loads(line) for line in log.read_text().splitlines() if '"resumed"' in line)
    assert {name: resumed[name] for name in ("env_steps", "train_steps", "replay")} == {
        name: summary[name] for name in ("env_steps", "train_steps", "replay")
    }
    assert second.interrupt() < 5.0
    assert second.left_behind() == []
    after = json.loads((run / "summary.json").read_text())
    assert after["env_steps"] >= summary["env_steps"]
    assert (run / "checkpoints" / newer).exists() or after["env_steps"] > summary["env_steps"]

    # What was learned drives on its own, without a learner.
    best = str(run / "policies" / "best")
    lockstep = ("--set", "simulator.clock=lockstep", "--max-seconds", str(LIMIT_SECONDS))
    third = start("scripts.run_policy", best, "--laps", "1", "--json", *FREE_PORTS, *lockstep)
    output = third.finish()
    assert third.process.returncode == 0, output
    # In lockstep another lap may be complete before the run is seen to have had enough.
    assert json.loads(output.splitlines()[-1])["laps"] >= 1, output
    assert third.left_behind() == []
    assert (run / "curves.csv").exists()
    assert (run / "curves.png").exists()


def _refused(start: Start, module: str, *arguments: str) -> str:
    """Run a command that should refuse its input; the one line that it prints about it."""
    command = start(module, *arguments)
    output = command.finish()
    assert command.process.returncode == 2, output
    lines = output.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), output
    assert command.left_behind() == []
    return lines[0]


def test_bad_input_is_one_line_and_exit_code_2(start: Start, tmp_path: Path) -> None:
    train = ("scripts.train", "configs/ddpg.yml", "--run", "refused")
    assert "simulator.clok" in _refused(start, *train, "--set", "simulator.clok=lockstep")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert str(broken) in _refused(start, *train, *FREE_PORTS, "--set", f"track={broken}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = _refused(start, *train, "--set", f"simulator.car_port={port}")
        assert f"127.0.0.1:{port}" in line
    line = _refused(start, *train, "--set", "simulator.host=no.such.host.invalid")
    assert "simulator.host: 'no.such.host.invalid'" in line
    assert not (tmp_path / "refused").exists()


def test_run_of_another_config_is_refused_and_can_be_set_aside(start: Start, tmp_path: Path) -> None:
    debug = ("scripts.debug_policy", *FREE_PORTS, "--max-seconds", "1")
    assert start(*debug).finish()
    assert "action.repeat" in _refused(start, *debug, "--set", "action.repeat=2")
    train = ("scripts.train", "configs/debug_policy.yml", "--run", "debug_policy", *FREE_PORTS)
    output = start(*train, "--max-seconds", "1", "--set", "action.repeat=2", "--restart").finish()
    assert "debug_policy.1" in output
    assert (tmp_path / "debug_policy.1" / "config.yml").exists()


def _children(command: Command) -> dict[str, psutil.Process]:
    """The run's processes by their names in the table."""
    command.look()
    named = {}
    for process in command.seen:
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words[:1] and words[0].startswith("robo "):
            named[words[0].split()[-1]] = process
    return named


def _laps(log: Path) -> int:
    return log.read_text().count('"lap"') if log.exists() else 0


@pytest.mark.parametrize(
    "name", ["explorer0", "car_reader0", "frame_processor0", "spectator_reader", "simulator"]
)
def test_cars_drive_on_after_a_process_was_killed(start: Start, tmp_path: Path, name: str) -> None:
    command = start("scripts.debug_policy", *FREE_PORTS)
    log = tmp_path / "debug_policy" / "logs" / "explorer0.log"
    command.wait(lambda: _laps(log) >= 2)
    victim = _children(command)[name]
    victim.kill()
    laps = _laps(log)
    command.wait(lambda: _children(command).get(name, victim).pid != victim.pid)
    command.wait(lambda: _laps(log) >= laps + 2)
    assert command.interrupt() < 5.0
    assert command.left_behind() == []


def test_no_process_outlives_a_killed_supervisor(start: Start, tmp_path: Path) -> None:
    command = start("scripts.debug_policy", *FREE_PORTS)
    command.wait_for(tmp_path / "debug_policy" / "logs" / "car_reader0.log")
    command.look()
    command.process.kill()
    assert command.left_behind() == []
