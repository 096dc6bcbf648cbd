"""A run's logs read back: merged, followed through all that happens to files, shown, and last words."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from robo import log, log_files
from robo.config import ROOT
from robo.log import LogFile
from robo.log_files import Entry, Merged

BEGAN = 1_700_000_000.0
"""Unix time of the first line, in tests that choose their times."""
CRASHED = {"cause": "TypeError: no", "traceback": "Traceback …\nTypeError: no\n", "level": "critical"}


def line(event: str, second: float = 0.0, level: str = "info", **fields: Any) -> str:
    """A line as it is logged."""
    at = datetime.fromtimestamp(BEGAN + second, timezone.utc).isoformat().replace("+00:00", "Z")
    return json.dumps({**fields, "event": event, "process": "p", "level": level, "timestamp": at}) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's logs, none so far."""
    path = tmp_path / "run" / "logs"
    path.mkdir(parents=True)
    return path


def write(path: Path, *parts: str) -> Path:
    """Add to the end of a file."""
    with path.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write("".join(parts))
    return path


def events(merged: Merged) -> list[tuple[str, str]]:
    """Process and event of all that is new."""
    found = []
    while entries := merged.new():
        found += [(entry.process, entry.event) for entry in entries]
    return found


def entry(event: str, level: str = "info", raw: bool = False, **fields: Any) -> Entry:
    return Entry(BEGAN, "learner", level, event, fields, raw)


def test_lines_of_all_processes_come_in_the_order_of_time(folder: Path) -> None:
    write(log.older(folder / "learner.log", 2), line("a", 0))
    write(log.older(folder / "learner.log", 1), line("c", 2), line("d", 3))
    write(folder / "learner.log", line("f", 5))
    write(folder / "evaluator.log", line("b", 1), line("e", 4, "warning", so_far=3))
    write(folder / "learner.log.new", line("not yet", 0))
    write(folder / "notes.txt", "something else")
    merged = Merged(folder)
    entries = merged.new()
    assert [(entry.process, entry.event) for entry in entries] == [
        ("learner", "a"),
        ("evaluator", "b"),
        ("learner", "c"),
        ("learner", "d"),
        ("evaluator", "e"),
        ("learner", "f"),
    ]
    assert [entry.at for entry in entries] == [BEGAN + second for second in range(6)]
    assert entries[4] == Entry(BEGAN + 4, "evaluator", "warning", "e", {"so_far": 3}, raw=False)
    assert merged.new() == []
    assert log_files.processes(folder) == ["evaluator", "learner"]


def test_only_some_processes_or_only_what_is_new(folder: Path) -> None:
    for name in ("a", "b", "c"):
        write(folder / f"{name}.log", line("old"))
    some, new = Merged(folder, processes=["a", "c"]), Merged(folder, only_new=True)
    assert events(some) == [("a", "old"), ("c", "old")]
    assert new.new() == []
    write(folder / "b.log", line("new"))
    write(folder / "later.log", line("new"))
    assert some.new() == []
    assert events(new) == [("b", "new"), ("later", "new")]


def test_raw_lines_have_the_process_of_their_file_and_the_time_before(folder: Path) -> None:
    raw = ["Traceback (most recent call last):\n", '  File "x"\n', "\n", "TypeError: no\r\n", "3\n", "{}\n"]
    write(folder / "a.log", "first\n", line("logged", 2), *raw, line("logged", 4))
    write(folder / "b.log", line("between", 3))
    entries = Merged(folder).new()
    assert [(entry.event, entry.at - BEGAN) for entry in entries] == [
        ("first", 2),
        ("logged", 2),
        ("Traceback (most recent call last):", 2),
        ('  File "x"', 2),
        ("TypeError: no", 2),
        ("3", 2),
        ("{}", 2),
        ("between", 3),
        ("logged", 4),
    ]
    bad = [entry.event for entry in entries if entry.severity > log_files.SEVERITY["info"]]
    assert bad == ["TypeError: no"]


def test_a_file_of_raw_lines_alone_has_the_time_of_the_file(folder: Path) -> None:
    os.utime(write(folder / "redis.log", "ready\n"), (BEGAN, BEGAN))
    (entry,) = Merged(folder).new()
    assert (entry.at, entry.process, entry.raw) == (BEGAN, "redis", True)


def test_spoilt_lines_are_shown_as_they_are(folder: Path) -> None:
    spoilt = [
        '{"event": "cut sho',
        '{"event": 3, "timestamp": "2026-01-01T00:00:00Z"}',
        '{"event": "x", "timestamp": "yesterday", "level": 7}',
        '{"event": "x", "timestamp": "0001-01-01T00:00:00"}',
        '{"event": "x", "timestamp": "9999-12-31T23:59:59Z"}',
        '{"event": "x", "timestamp": null}',
        '{"a":' * 10_000,
        '{"a": ' + "9" * 5000 + "}",
        "\0" * 10,
        "\udcff\udcfe",
        "[1]",
    ]
    write(folder / "a.log", line("good"), *(text + "\n" for text in spoilt))
    entries = Merged(folder).new()
    assert len(entries) == 1 + len(spoilt)
    assert {entry.at for entry in entries} == {BEGAN}
    for entry in entries:
        assert log_files.text(entry).plain.isprintable()


def test_a_line_is_shown_when_it_is_whole(folder: Path) -> None:
    merged = Merged(folder)
    whole = line("whole")
    write(folder / "a.log", line("first"), whole[:20])
    assert events(merged) == [("a", "first")]
    assert [entry.event for entry in merged.unfinished()] == [whole[:20]]
    write(folder / "a.log", whole[20:-1])
    assert events(merged) == []
    write(folder / "a.log", "\n")
    assert events(merged) == [("a", "whole")]
    assert merged.unfinished() == []


def test_a_line_without_end_is_taken_in_pieces(folder: Path) -> None:
    write(folder / "a.log", "x" * 5_000_000, "\n", line("after"))
    found = events(Merged(folder))
    assert found[-1] == ("a", "after")
    assert sum(len(text) for _, text in found[:-1]) == 5_000_000
    assert max(len(text) for _, text in found) <= log_files.LONGEST_LINE_BYTES + log_files.CHUNK_BYTES


def test_a_last_line_without_end_is_shown_when_the_next_file_begins(folder: Path) -> None:
    path = write(folder / "a.log", "cut sho")
    merged = Merged(folder)
    assert events(merged) == []
    path.rename(log.older(path, 1))
    write(path, line("next"))
    assert events(merged) == [("a", "cut sho"), ("a", "next")]


@pytest.mark.parametrize("seed", range(8))
def test_no_line_is_missed_or_told_twice_whenever_files_are_set_aside(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "c"]
    files = {
        name: LogFile(name, folder / f"{name}.log", descriptors=False, limit_bytes=900) for name in names
    }
    merged = Merged(folder)
    written: list[tuple[str, str]] = []
    told: list[Entry] = []
    for number in range(600):
        name = chance.choice(names[: 1 + number // 200])
        files[name].write(line(str(number), number).rstrip("\n"))
        written.append((name, str(number)))
        # Two files are kept, so of seven lines each at least the last fourteen are there.
        if chance.random() < 0.15 or number % 10 == 9:
            told += merged.new()
    told += merged.new()
    assert sorted((entry.process, entry.event) for entry in told) == sorted(written)
    assert [entry.at for entry in told] == sorted(entry.at for entry in told)
    assert sum(file.lost for file in files.values()) == 0
    for file in files.values():
        file.close()


def test_nothing_is_missed_while_another_process_writes(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from robo import log\n"
        "log.to_file('a', Path(sys.argv[1]), descriptors=True, limit_bytes=400_000)\n"
        "for number in range(10_000):\n"
        "    log.get().info('step', number=number)\n"
        "    if number % 100 == 0: print('printed', number, flush=True)\n"
    )
    merged = Merged(folder)
    told: list[Entry] = []
    with subprocess.Popen([sys.executable, "-c", program, str(folder / "a.log")], cwd=ROOT) as process:
        while process.poll() is None:
            told += merged.new()
    while entries := merged.new():
        told += entries
    assert process.returncode == 0
    assert log.older(folder / "a.log", 2).exists()
    assert [entry.fields["number"] for entry in told if entry.event == "step"] == list(range(10_000))
    assert [entry.event for entry in told if entry.raw] == [f"printed {k}" for k in range(0, 10_000, 100)]


def test_a_reader_that_was_too_slow_goes_on_with_what_is_left(folder: Path) -> None:
    path = folder / "a.log"
    file = LogFile("a", path, descriptors=False, limit_bytes=300)
    merged = Merged(folder)
    told: list[int] = []
    for number in range(40):
        file.write(line(str(number), number).rstrip("\n"))
        if number in (2, 39):
            told += [int(event) for _, event in events(merged)]
    assert told[:3] == [0, 1, 2]
    assert told[-1] == 39 and told == sorted(set(told))
    assert 3 < len(told) < 40
    file.close()


def test_a_removed_file_is_no_reason_to_tell_older_ones_again(folder: Path) -> None:
    path = write(folder / "a.log", line("second", 2))
    older = write(log.older(path, 1), line("first", 1))
    os.utime(older, (BEGAN, BEGAN))
    merged = Merged(folder)
    assert [event for _, event in events(merged)] == ["first", "second"]
    path.unlink()
    assert events(merged) == []
    time.sleep(0.02)
    write(path, line("third", 3))
    assert [event for _, event in events(merged)] == ["third"]


def test_an_emptied_file_and_a_folder_that_is_another_now(folder: Path) -> None:
    path = write(folder / "a.log", line("first"), line("second"))
    merged = Merged(folder)
    assert len(events(merged)) == 2
    path.write_text(line("anew"))
    assert events(merged) == [("a", "anew")]
    folder.rename(folder.with_name("aside"))
    assert events(merged) == []
    time.sleep(0.02)
    folder.mkdir()
    write(path, line("restarted"))
    assert events(merged) == [("a", "restarted")]


def test_a_folder_that_is_not_there_has_no_logs(tmp_path: Path) -> None:
    merged = Merged(tmp_path / "nowhere")
    assert merged.new() == []
    assert log_files.processes(tmp_path / "nowhere") == []


def test_a_call_reads_no_more_than_it_should(folder: Path) -> None:
    for name in ("a", "b", "c"):
        write(folder / f"{name}.log", *(line("step", second, text="x" * 400) for second in range(5000)))
    merged = Merged(folder)
    calls = []
    last = 0.0
    while entries := merged.new():
        calls.append(len(entries))
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
        assert entries[0].at >= last
        last = entries[-1].at
    assert sum(calls) == 15_000
    assert max(calls) <= log_files.MOST_ENTRIES
    assert max(calls) * 400 < 2 * log_files.READ_BYTES


def test_files_are_let_go_of(folder: Path) -> None:
    write(folder / "a.log", line("x"))
    before = len(os.listdir("/proc/self/fd"))
    merged = Merged(folder)
    merged.new()
    merged.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (entry("lap", seconds=8.61, clean=True), "lap  seconds=8.61  clean=true"),
        (entry("ended", "error", cause="a b"), 'error: ended  cause="a b"'),
        (entry("crashed", **CRASHED), "critical: crashed  cause=\"TypeError: no\""),
        (entry("error: no", "error", raw=True), "error: no"),
        (entry("x", a="", b=None, c=[1, "z"], d='"', e="ü"), 'x  a=""  b=null  c=[1, "z"]  d="\\""  e=ü'),
        (entry("x", nan=float("nan")), "x  nan=NaN"),
        (entry("\x1b[2J\a\x9b2J\nnew\u202e\u2028\ud800"), r"\x1b[2J\x07\x9b2J\nnew\u202e\u2028\ud800"),
        (entry("x", **{"k\x1b": "v\x1b]0;t\x07"}), r"x  k\x1b=v\x1b]0;t\x07"),
        (entry("x", "w\x1bn"), "x"),
        (entry("x", "critical", level2="[bold]:smile:"), "critical: x  level2=[bold]:smile:"),
        (entry("y" * 5000), "y" * 999 + "…"),
    ],
)  # fmt: skip
def test_a_line_for_people(shown: Entry, expected: str) -> None:
    at = f"{datetime.fromtimestamp(BEGAN):%H:%M:%S}.000"
    if "level" in shown.fields:
        shown = shown._replace(level=shown.fields.pop("level"))
    assert log_files.text(shown, width=10).plain == f"{at}  learner     {expected}"


def test_a_traceback_follows_on_lines_of_its_own(folder: Path) -> None:
    crashed = entry("crashed", "critical", cause="TypeError: no", traceback="Traceback:\n  in \x1b[2J\nno\n")
    first, *below = log_files.text(crashed, details=True).plain.split("\n")
    assert first.endswith('critical: crashed  cause="TypeError: no"')
    assert below == ["    Traceback:", r"      in \x1b[2J", "    no"]


@pytest.mark.parametrize(
    ("level", "style"), [("info", ""), ("warning", "yellow"), ("error", "red"), ("critical", "bold red")]
)
def test_colours_tell_the_level(level: str, style: str) -> None:
    text = log_files.text(entry("happened", level))
    assert [span.style for span in text.spans if "happened" in text.plain[span.start : span.end]] == (
        [style] if style else []
    )


NOISE = "Exception ignored in: <function f>\nTraceback (most recent call last):\n  File\nOSError: closed\n"
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 3, in main\n    f()\n    ^^^\n'
FAULT = "Fatal Python error: {}\n\nCurrent thread 0x1 (most recent call first):\n" + '  File "x"\n' * 200
FAULT += "\nExtension modules: numpy (total: 1)\n"
THROWN = "terminate called after throwing an instance of 'std::runtime_error'\n  what():  boom\n"
CHECK = "F0000 00:00:1 123 file.cc:7] Check failed: a == b (1 vs. 2)\n    @     0x7f\n    @     0x7e\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no word"),
        (line("began", pid=3), "no word"),
        (line("crashed", **CRASHED) + line("began", pid=3), "no word"),
        (line("crashed", **CRASHED) + line("began", pid=3) + line("resumed"), "resumed"),
        (line("crashed", **CRASHED), "TypeError: no"),
        (line("crashed", **CRASHED) + NOISE, "TypeError: no"),
        (line("crashed", **CRASHED) + line("stopped") * 3, "TypeError: no"),
        (line("crashed", **CRASHED) + line("stopped") * 20, "stopped"),
        (line("crashed", **CRASHED) + FAULT.format("Segmentation fault"), "TypeError: no"),
        (line("x") + "error: track: not to my taste\n", "track: not to my taste"),
        (TRACEBACK + "RuntimeError: broken\n", "RuntimeError: broken"),
        (TRACEBACK + "a.b.Error: first\nsecond\n", "a.b.Error: first"),
        (TRACEBACK + "KeyError: 1\n\nDuring handling:\n\n" + TRACEBACK + "OSError: 2\n", "OSError: 2"),
        (TRACEBACK + "RuntimeError: survived\n" + line("step"), "step"),
        (line("x") + FAULT.format("Segmentation fault"), "Fatal Python error: Segmentation fault"),
        (line("x") + FAULT.format("Aborted"), "Fatal Python error: Aborted"),
        ("free()\n" + FAULT.format("Aborted"), "Fatal Python error: Aborted, after: free()"),
        (line("x") + THROWN, THROWN.replace("\n  what():  ", ": ").strip()),
        (line("x") + THROWN + FAULT.format("Aborted"), THROWN.replace("\n  what():  ", ": ").strip()),
        (CHECK, CHECK.splitlines()[0]),
        (line("not written", level="error", error="disk full", steps=3), "not written: disk full"),
        (line("ended", cause="a", why="b"), "ended: a"),
        (line("x") + "  only this\x1b[2J\n\n", r"only this\x1b[2J"),
        (line("x") + '{"event": "cut sho', '{"event": "cut sho'),
        ("x" * 200_000, "x" * 999 + "…"),
        (line("old") * 2000 + line("newest"), "newest"),
    ],
)  # fmt: skip
def test_last_words(tmp_path: Path, text: str, words: str) -> None:
    assert log_files.last_words(write(tmp_path / "a.log", text)) == words


def test_last_words_before_the_file_was_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert log_files.last_words(path) == "no word"
    write(log.older(path, 1), line("crashed", **CRASHED))
    assert log_files.last_words(path) == "TypeError: no"
    path.touch()
    assert log_files.last_words(path) == "TypeError: no"


DEATHS = {
    "log.crash(ValueError('on purpose'))": "ValueError: on purpose",
    "raise RuntimeError('on purpose')": "RuntimeError: on purpose",
    "print('error: no track'); sys.exit(2)": "no track",
    "faulthandler.enable(); faulthandler._sigsegv()": "Fatal Python error: Segmentation fault",
    "faulthandler.enable(); os.abort()": "Fatal Python error: Aborted",
    "os.kill(os.getpid(), 9)": "no word",
}


@pytest.mark.parametrize("death", list(DEATHS))
def test_last_words_of_the_dead(tmp_path: Path, death: str) -> None:
    program = "import faulthandler, os, sys; from pathlib import Path; from robo import log\n"
    program += f"log.to_file('a', Path(sys.argv[1]), descriptors=True)\n{death}\n"
    path = tmp_path / "a.log"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, timeout=60, check=False)
    assert log_files.last_words(path) == DEATHS[death]


def command(folder: Path, *arguments: str) -> list[str]:
    runs = folder.parent.parent
    return [sys.executable, "-m", "scripts.logs", "run", *arguments, "--runs", str(runs)]


def show(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(folder, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def shown(folder: Path, *arguments: str) -> list[str]:
    """The events that the command shows."""
    done = show(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [text.split("  ")[2] for text in done.stdout.splitlines()]


@pytest.fixture
def logs(folder: Path) -> Path:
    """A run's logs of the last two minutes or so."""
    now = time.time() - BEGAN
    numbers = [line(f"a{number}", now - 150 + number) for number in range(149)]
    write(folder / "a.log", *numbers, "no end")
    write(folder / "b.log", line("b0", now - 75.5, "warning"), line("b1", now - 20.5, "error"))
    return folder


def test_the_command_shows_the_last_lines_and_those_that_are_asked_for(logs: Path) -> None:
    last = shown(logs)
    assert len(last) == 100
    assert [event for event in last if "b" in event] == ["warning: b0", "error: b1"]
    assert (last[0], last[-2:]) == ("a52", ["a148", "no end"])
    assert last[last.index("error: b1") - 1] == "a129"
    assert shown(logs, "--lines", "2") == ["a148", "no end"]
    assert shown(logs, "--lines", "0") == []
    assert shown(logs, "--level", "warning") == ["warning: b0", "error: b1"]
    assert shown(logs, "--level", "error", "--process", "b,a") == ["error: b1"]
    assert shown(logs, "--process", "b", "--since", "60s") == ["error: b1"]
    assert len(shown(logs, "--process", "a", "--since", "1h")) == 150
    assert len(shown(logs, "--process", "a", "--since", "1h", "--lines", "3")) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--process", "c"], "error: --process c: not known; choose from a, b"),
        (["--since", "soon"], "error: --since soon: give a number and a unit, as in 90s, 10m, 2h or 1d"),
        (["--lines", "-1"], "error: --lines -1: at least 0"),
    ],
)
def test_bad_input_is_one_line(logs: Path, arguments: list[str], message: str) -> None:
    done = show(logs, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message + "\n")


def test_a_run_without_logs_is_refused(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for name, message in {"other": "no logs there; runs that have some: run", "../x": "run name"}.items():
        words = [sys.executable, "-m", "scripts.logs", name, "--runs", str(tmp_path)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ") and message in done.stderr
        assert done.stderr.count("\n") == 1


def test_whoever_reads_may_stop(folder: Path) -> None:
    write(folder / "a.log", *(line("step", second) for second in range(20_000)))
    with subprocess.Popen(
        command(folder, "--lines", "20000"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert b"step" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.fixture
def following(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command with --follow, which has shown a line."""
    write(folder / "a.log", line("before"))
    with subprocess.Popen(
        command(folder, "--follow"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have them, and so all that they start, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 no threads here
    ) as process:
        assert "before" in process.stdout.readline()
        yield process
        process.kill()


def test_following_shows_what_is_written_until_it_is_interrupted(
    folder: Path, following: subprocess.Popen[str]
) -> None:
    write(folder / "a.log", line("after"))
    assert "after" in following.stdout.readline()
    write(folder / "later.log", line("later"))
    assert "later" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    assert following.communicate(timeout=20) == ("", "")
    assert following.returncode == 0


def test_colours_are_for_terminals(folder: Path) -> None:
    write(folder / "a.log", line("bad", level="error", text="\x1b[2J"))
    assert "\x1b" not in show(folder).stdout
    leader, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    subprocess.run(command(folder), cwd=ROOT, stdout=terminal, env=environment, timeout=60, check=True)
    output = os.read(leader, 10_000)
    os.close(leader)
    os.close(terminal)
    assert b"\x1b[31m" in output and b"\x1b[2J" not in output
