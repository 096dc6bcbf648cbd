"""Run folders: one run at a time, and nothing is ever deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from robo import config
from robo.errors import UserError
from robo.runs import RunFolder


def folder(runs: Path, name: str = "mine") -> RunFolder:
    return RunFolder(name, runs)


def begun(runs: Path, name: str = "mine", *sets: str) -> RunFolder:
    """A run that is going on."""
    started = folder(runs, name)
    started.lock()
    started.write_config(config.load(sets=sets))
    return started


def ended(runs: Path, content: str) -> None:
    """A run that was here before."""
    begun(runs)
    (runs / "mine" / "logs" / "learner.log").write_text(content)


@pytest.mark.parametrize("name", ["a", "Run-1", "2024.05_x", "x" * 64])
def test_names(tmp_path: Path, name: str) -> None:
    assert folder(tmp_path, name).path == tmp_path / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/x", "a b", "-x", ".x", "x" * 65, "é", "a\n", "a\0"]
)
def test_names_that_could_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="run name"):
        folder(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_made_only_when_it_is_taken(tmp_path: Path) -> None:
    mine = folder(tmp_path)
    mine.check(config.load())
    assert mine.set_aside() is None
    assert not mine.exists
    assert list(tmp_path.iterdir()) == []
    mine.lock()
    assert (mine.path / "logs").is_dir()


def test_a_second_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    mine = begun(tmp_path)
    with pytest.raises(UserError, match="RUN=") as error:
        folder(tmp_path).lock()
    assert str(mine.path) in str(error.value)
    folder(tmp_path, "another").lock()


def test_a_run_of_another_process_is_seen_and_ends_with_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from robo.runs import RunFolder\n"
        "mine = RunFolder('mine', Path(sys.argv[1])); mine.lock(); print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=config.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError):
            folder(tmp_path).lock()
        other.kill()
    folder(tmp_path).lock()


def test_a_run_that_ended_leaves_the_folder_free(tmp_path: Path) -> None:
    begun(tmp_path)
    again = folder(tmp_path)
    assert again.exists
    again.lock()


def test_setting_aside_deletes_nothing(tmp_path: Path) -> None:
    for content in ("first", "second", "third"):
        ended(tmp_path, content)
        moved = folder(tmp_path).set_aside()
        assert (moved / "logs" / "learner.log").read_text() == content
    assert not folder(tmp_path).exists
    kept = {path.name: (path / "logs" / "learner.log").read_text() for path in tmp_path.iterdir()}
    assert kept == {"mine.1": "first", "mine.2": "second", "mine.3": "third"}


def test_a_folder_set_aside_leaves_its_name_free(tmp_path: Path) -> None:
    ended(tmp_path, "first")
    mine = folder(tmp_path)
    mine.set_aside()
    folder(tmp_path, "mine.1").lock()
    mine.lock()
    assert not mine.exists
    with pytest.raises(UserError):
        folder(tmp_path).lock()


def test_a_run_that_is_going_on_is_not_set_aside(tmp_path: Path) -> None:
    mine = begun(tmp_path)
    with pytest.raises(UserError, match="going on"):
        folder(tmp_path).set_aside()
    assert mine.exists
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_run_is_resumed_only_with_what_it_was_learned_under(tmp_path: Path) -> None:
    begun(tmp_path, "mine", "reward.crash=-1")
    folder(tmp_path).check(config.load(sets=["reward.crash=-1", "seed=8"]))
    with pytest.raises(UserError, match=r"reward\.crash") as error:
        folder(tmp_path).check(config.load())
    for part in (str(tmp_path / "mine"), "--restart", "RUN="):
        assert part in str(error.value)


def test_a_spoilt_saved_config_is_named(tmp_path: Path) -> None:
    mine = begun(tmp_path)
    (mine.path / "config.yml").write_text("seed: [")
    with pytest.raises(UserError, match=r"config\.yml"):
        mine.check(config.load())


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    for attempt in (RunFolder.lock, RunFolder.set_aside):
        with pytest.raises(UserError, match="mine"):
            attempt(folder(tmp_path))
    assert (tmp_path / "mine").read_text() == "precious"
