"""A process's log: whole lines in files of limited size, and never the end of whoever writes them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from robo import log
from robo.config import ROOT
from tests.small_disk import fill, small_disk

LIMIT = 2000
"""Bytes of a file in these tests, about 15 lines."""


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Leave the tests' process without a log."""
    yield
    if log._file is not None:
        log._file.close()
    log._file = None
    structlog.reset_defaults()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's process has its log."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "learner.log"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    with small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def begin(path: Path, **options: Any) -> None:
    log.to_file("learner", path, descriptors=False, **options)


def lines(path: Path) -> list[str]:
    """All lines, of older files too, oldest first."""
    files = [log.older(path, number) for number in reversed(range(log.KEPT + 1))]
    return [line for file in files if file.exists() for line in file.read_text().splitlines()]


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(path)]


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, which has its log, and all that it prints, at ``path``."""
    begin = f"log.to_file('learner', Path(sys.argv[1]), descriptors=True, limit_bytes={LIMIT})\n"
    imports = "import ctypes, os, sys\nfrom pathlib import Path\nfrom robo import log\n"
    command = [sys.executable, "-c", imports + begin + program, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_line_says_when_who_and_what(path: Path) -> None:
    begin(path)
    log.get().warning("frames lost", so_far=3)
    thread = threading.Thread(target=lambda: log.get().info("from a thread"))
    thread.start()
    thread.join()
    log.get().debug("unheard")
    first, second, third = entries(path)
    assert (first["event"], first["pid"]) == ("began", os.getpid())
    assert (second["event"], second["level"], second["so_far"]) == ("frames lost", "warning", 3)
    assert third["event"] == "from a thread"
    assert [entry["process"] for entry in (first, second, third)] == ["learner"] * 3
    assert log.unix_time(first) <= log.unix_time(second) <= log.unix_time(third)
    assert log.lost() == 0


def test_a_process_that_starts_again_goes_on_in_the_file(path: Path) -> None:
    begin(path)
    begin(path)
    assert [entry["event"] for entry in entries(path)] == ["began", "began"]


def test_a_full_file_is_set_aside_and_two_older_ones_are_kept(path: Path) -> None:
    begin(path, limit_bytes=LIMIT)
    for number in range(100):
        log.get().info("step", number=number)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "learner.log",
        "learner.log.1",
        "learner.log.2",
    ]
    sizes = [file.stat().st_size for file in path.parent.iterdir()]
    assert max(sizes) <= LIMIT and sum(sizes) > 2 * LIMIT
    numbers = [entry["number"] for entry in entries(path)]
    assert numbers == list(range(numbers[0], 100)) and numbers[0] > 0
    assert log.lost() == 0


def test_a_line_beyond_the_limit_is_written_nevertheless(path: Path) -> None:
    begin(path, limit_bytes=LIMIT)
    for _ in range(2):
        log.get().info("long", text="x" * 2 * LIMIT)
    assert [entry["event"] for entry in entries(path)] == ["began", "long", "long"]


def test_what_is_printed_goes_to_the_file_and_counts(path: Path) -> None:
    done = run(
        "print('by Python', flush=True)\n"
        "ctypes.CDLL(None).puts(b'by C'); ctypes.CDLL(None).fflush(None)\n"
        f"os.write(2, b'x' * {LIMIT} + b'\\n')\n"
        "log.get().info('logged')\n"
        "print('after', file=sys.stderr, flush=True)\n"
        "os.system('echo by a child')\n",
        path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    older = log.older(path, 1).read_text().splitlines()
    assert older[1:] == ["by Python", "by C", "x" * LIMIT]
    newer = path.read_text().splitlines()
    assert json.loads(newer[0])["event"] == "logged"
    assert newer[1:] == ["after", "by a child"]


def test_the_standard_streams_may_be_closed_before(path: Path) -> None:
    program = (
        "os.close(1); os.close(2)\n"
        "log.to_file('learner', Path(sys.argv[1]), descriptors=True, limit_bytes=500)\n"
        "for number in range(8): log.get().info('step', number=number)\n"
        "os.write(1, b'out\\n'); os.write(2, b'err\\n')\n"
    )
    assert run(program, path).returncode == 0
    assert path.read_text().splitlines()[-2:] == ["out", "err"]


def test_a_line_begins_a_line(path: Path) -> None:
    path.write_text('{"event": "cut sho')
    begin(path)
    assert path.read_text().splitlines()[0] == '{"event": "cut sho'
    assert json.loads(path.read_text().splitlines()[1])["event"] == "began"
    with path.open("a") as printed:
        printed.write("no end")
    log.get().info("next")
    assert lines(path)[2] == "no end"
    assert json.loads(lines(path)[3])["event"] == "next"


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("I won't be shown")


def test_anything_can_be_logged(path: Path) -> None:
    begin(path)
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    strange = {
        "array": object(),
        "unshowable": Unshowable(),
        "keys": {(1, 2): 3},
        "cycle": cycle,
        "deep": deep,
        "surrogate": "\ud800",
        "bytes": b"\xff",
        "large": 10**5000,
    }
    for name, value in strange.items():
        log.get().info("strange", **{name: value, "number": 3})
    written = entries(path)[1:]
    assert [next(iter(entry)) for entry in written] == list(strange)
    assert {entry["number"] for entry in written} == {3}
    assert log.lost() == 0


def test_a_call_that_is_wrong_is_counted_and_told(path: Path) -> None:
    begin(path)
    log.get().info("%d %d", "one")
    log.get().info()
    log.get().info("next")
    assert log.lost() == 2
    notice, following = entries(path)[1:]
    assert (notice["event"], notice["missing"], notice["level"]) == ("log lines missing", 2, "warning")
    assert notice["process"] == "learner" and log.unix_time(notice) > 0
    assert following["event"] == "next"


def test_a_full_disk_costs_lines_and_nothing_else(disk: Path) -> None:
    path = disk / "learner.log"
    begin(path)
    ballast = fill(disk)
    number = 0
    while log.lost() < 5:
        log.get().info("step", number=number, text="x" * 1000)
        number += 1
    assert not path.read_bytes().endswith(b"\n"), "the last line was cut short, or this shows nothing"
    ballast.unlink()
    log.get().info("step", number=number)
    written = path.read_text().splitlines()
    torn = [line for line in written if not line.endswith("}")]
    assert len(torn) == 1
    whole = [json.loads(line) for line in written if line not in torn]
    assert [entry["number"] for entry in whole if entry["event"] == "step"] == [*range(number - 5), number]
    assert [entry["missing"] for entry in whole if entry["event"] == "log lines missing"] == [5]
    assert log.lost() == 5


def test_a_full_disk_does_not_end_a_file_that_is_full_itself(disk: Path) -> None:
    path = disk / "learner.log"
    begin(path, limit_bytes=400_000)
    for number in range(3000):
        log.get().info("step", number=number, text="x" * 400)
    assert 0 < log.lost() < 3000
    log.older(path, 2).unlink()
    log.get().info("step", number=3000)
    notice, step = (json.loads(line) for line in lines(path)[-2:])
    assert (notice["missing"], step["number"]) == (log.lost(), 3000)


def test_a_device_that_is_always_full(path: Path) -> None:
    path.symlink_to("/dev/full")
    begin(path)
    log.get().info("unheard")
    log.crash(RuntimeError("unheard too"))
    assert log.lost() == 3


def test_a_removed_folder_costs_lines_until_it_is_back(path: Path) -> None:
    begin(path)
    path.unlink()
    path.parent.rmdir()
    for _ in range(3):
        log.get().info("unheard")
    assert log.lost() == 3
    path.parent.mkdir()
    log.get().info("heard")
    assert [entry["event"] for entry in entries(path)] == ["log lines missing", "heard"]


def test_a_folder_that_is_not_there_at_the_start(tmp_path: Path) -> None:
    begin(tmp_path / "nowhere" / "learner.log")
    assert log.lost() == 1


def test_a_folder_that_was_moved_keeps_its_log(path: Path) -> None:
    begin(path, limit_bytes=LIMIT)
    moved = path.parent.rename(path.parent.with_name("moved")) / path.name
    for number in range(50):
        log.get().info("step", number=number)
    assert len(entries(moved)) == 51
    assert log.lost() == 0


def test_a_descriptor_that_someone_closed_is_opened_again(path: Path) -> None:
    begin(path)
    os.close(log._file._fd)
    log.get().info("after it was closed")
    receiver, sender = os.pipe()
    os.dup2(sender, log._file._fd)
    os.close(receiver)
    log.get().info("after it became another's")
    assert [entry["event"] for entry in entries(path)[1:]] == [
        "after it was closed",
        "after it became another's",
    ]
    os.fstat(sender)
    os.close(sender)
    assert log.lost() == 0


def test_many_threads_write_whole_lines(path: Path) -> None:
    begin(path, limit_bytes=100_000)

    def work(name: int) -> None:
        for number in range(300):
            log.get().info("step", name=name, number=number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = entries(path)[1:]
    for name in range(4):
        assert [entry["number"] for entry in written if entry["name"] == name] == list(range(300))


def test_a_signals_handler_may_log(path: Path) -> None:
    begin(path, limit_bytes=LIMIT)
    before = signal.signal(signal.SIGALRM, lambda *_: log.get().info("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0002)
    try:
        for number in range(2000):
            log.get().info("step", number=number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    log.get().info("step", number=2000)
    written = entries(path)
    numbers = [entry["number"] for entry in written if entry["event"] == "step"]
    assert numbers == list(range(numbers[0], 2001))
    assert any(entry["event"] == "alarm" for entry in written)
    assert log.lost() == 0


def test_a_crash_is_one_line_with_its_cause_and_traceback(path: Path) -> None:
    begin(path)
    try:
        raise TypeError("two lines\nof\x1b[31m it")
    except TypeError as error:
        log.crash(error)
    entry = entries(path)[-1]
    assert (entry["event"], entry["level"]) == ("crashed", "critical")
    assert entry["cause"] == "TypeError: two lines of\x1b[31m it"
    assert entry["traceback"].startswith("Traceback (most recent call last):\n")
    assert __file__ in entry["traceback"]
    assert "\x1b" not in lines(path)[-1]


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (KeyError("x"), "KeyError: 'x'"),
        (Speechless(), "Speechless: its message can't be shown"),
        (RuntimeError("long " * 1000), r"RuntimeError: (long ){57}…"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_ends_a_process_has_a_short_cause(path: Path, error: BaseException, cause: str) -> None:
    begin(path)
    log.crash(error)
    written = entries(path)[-1]["cause"]
    assert re.fullmatch(cause, written) and len(written) <= 300


def test_a_deep_tracebacks_end_is_kept(path: Path) -> None:
    def deeper(levels: int) -> None:
        if not levels:
            raise ValueError("at the bottom")
        # Calls from the same place in a row would be shown as one.
        if levels % 2:
            deeper(levels - 1)
        deeper(levels - 1)

    begin(path)
    try:
        deeper(200)
    except ValueError as error:
        log.crash(error)
    entry = entries(path)[-1]
    assert len(entry["traceback"]) == log.TRACEBACK_CHARACTERS
    assert entry["traceback"].endswith("ValueError: at the bottom\n")


def test_an_error_that_is_survived_is_told_in_the_same_way(path: Path) -> None:
    begin(path)
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        log.get().exception("checkpoint not written", steps=3)
    entry = entries(path)[-1]
    assert (entry["event"], entry["level"], entry["steps"]) == ("checkpoint not written", "error", 3)
    assert entry["cause"] == "OSError: [Errno 28] No space left on device"
    assert "Traceback" in entry["traceback"]
