"""A run's logs read back: those of all processes as one, and what a process's last words were."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import re
from collections import deque
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rich.text import Text

from robo import log

SEVERITY = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
TAIL_BYTES = 65_536
"""How much of a log's end is looked at for last words."""
CHUNK_BYTES = 32_768
LONGEST_LINE_BYTES = 262_144
"""A longer line is taken for several."""
READ_BYTES = 262_144
MOST_ENTRIES = 2000
"""What one call of ``Merged.new`` reads and returns, about, at the most."""
LONGEST_SHOWN = 1000
"""Characters of an event or of a value."""

_NAME = re.compile(r"(.+)\.log(?:\.\d+)?")
_BAD_NEWS = re.compile(
    r"error: |Fatal Python error: |terminate called |[A-Za-z_][\w.]*(?:Error|Exception|Interrupt)(?::|$)"
)
"""How a line begins that is no JSON and no good news."""
_TRACEBACK = "Traceback (most recent call last):"
_ERROR = "error: "
_SAID_WHY = ("cause", "why", "error", "reason")
_BELOW = ("traceback", "exception")
"""Fields that take lines of their own."""
_LATEST = 1e11
"""Unix time, in the year 5138; later ones are none."""
_LINES_AFTER = 5
"""How many lines may be logged after the one that says what ends the process."""
_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red"}


class Entry(NamedTuple):
    """A line of a log."""

    at: float
    """Unix time, seconds; where a line has none, that of the line before."""
    process: str
    level: str
    event: str
    """In words; all of the line where it is raw."""
    fields: dict[str, Any]
    raw: bool
    """Whether it was not logged but printed, by Python or a library, or is torn."""

    @property
    def severity(self) -> int:
        """The level as a number, as in ``SEVERITY``."""
        return SEVERITY.get(self.level, SEVERITY["info"])


class Merged:
    """All logs of a run as one, ordered by time, from its folder ``logs``, which may still be written to.

    Files may appear and be set aside meanwhile. ``processes``: whose logs; of all where it is empty. With
    ``only_new`` what stands in the files by now is passed over.
    """

    def __init__(self, folder: Path, *, processes: Collection[str] = (), only_new: bool = False) -> None:
        self._folder = folder
        self._processes = processes
        self._sources: dict[str, _Source] = {}
        self._look(from_end=only_new)

    def new(self) -> list[Entry]:
        """What was written since the last call; none when there is nothing more at the moment.

        A call's work is bounded: where much was written, further calls return the rest. Never raises.
        """
        self._look()
        entries: list[Entry] = []
        heads: list[tuple[float, str]] = []
        for source in self._sources.values():
            source.fill()
            source.put_head(heads)
        read = 0
        while heads and read < READ_BYTES and len(entries) < MOST_ENTRIES:
            source = self._sources[heapq.heappop(heads)[1]]
            entries.append(source.entries.popleft())
            read += source.fill()
            source.put_head(heads)
        return entries

    def unfinished(self) -> list[Entry]:
        """Last lines that have no end yet, for whoever won't wait for it."""
        entries = (entry for source in self._sources.values() for entry in source.unfinished())
        return sorted(entries, key=lambda entry: entry.at)

    def close(self) -> None:
        """Let go of the files."""
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def _look(self, *, from_end: bool = False) -> None:
        """Find the logs that are new."""
        for name in processes(self._folder):
            if name not in self._sources and (not self._processes or name in self._processes):
                self._sources[name] = _Source(self._folder / f"{name}.log", name, from_end=from_end)


class _Source:
    """One process's log: the files that were set aside, oldest first, then the one that is written to."""

    def __init__(self, path: Path, process: str, *, from_end: bool) -> None:
        self._path = path
        self._process = process
        self._file: BinaryIO | None = None
        self._rest = b""
        self._at = 0.0
        self.entries: deque[Entry] = deque()
        if from_end:
            with contextlib.suppress(OSError):
                self._file = path.open("rb", buffering=0)
                self._file.seek(0, os.SEEK_END)

    def fill(self) -> int:
        """Read on until there is an entry, or nothing more. Bytes that were read."""
        read = 0
        with contextlib.suppress(OSError):
            while not self.entries:
                data = self._file.read(CHUNK_BYTES) if self._file else b""
                read += len(data)
                if data:
                    self._take(data)
                elif not self._go_on():
                    break
        return read

    def put_head(self, heads: list[tuple[float, str]]) -> None:
        """Add the time of the first entry, if there is one, and whose it is, to a heap."""
        if self.entries:
            heapq.heappush(heads, (self.entries[0].at, self._process))

    def unfinished(self) -> list[Entry]:
        """The last line, if it has no end."""
        return self._read([self._rest]) if self._rest else []

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        self.entries += self._read(lines)

    def _read(self, lines: Iterable[bytes]) -> list[Entry]:
        entries = [parsed(self._process, line) for line in lines if line.strip()]
        if not self._at:  # nothing before: then the first time that follows, or the file's
            times = (entry.at for entry in entries if entry.at)
            self._at = next(times, None) or os.fstat(self._file.fileno()).st_mtime
        timed = []
        for entry in entries:
            self._at = entry.at or self._at
            timed.append(entry._replace(at=self._at))
        return timed

    def _go_on(self) -> bool:
        """At the end of a file: whether there is more, here or in the next one. Raises OSError."""
        if self._file is not None and os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # someone emptied it
            self._rest = b""
            return True
        newer = self._newer()
        if newer is None:
            return False
        if self._file is not None:
            data = self._file.read(CHUNK_BYTES)  # written before the newer one was there
            if data:
                self._take(data)
                return True
            self.entries += self.unfinished()
            self._rest = b""
            self._file.close()
        self._file = newer
        return True

    def _newer(self) -> BinaryIO | None:
        """The file after the one that is open, if there is one. Raises OSError."""
        mine = None if self._file is None else os.fstat(self._file.fileno())
        if mine is not None and _same(_status(self._path), mine):
            return None
        # In the order in which files are moved, or one could be missed.
        paths = [log.older(self._path, number) for number in range(log.KEPT + 1)]
        there = [(path, status) for path in paths if (status := _status(path)) is not None]
        place = next((k for k, (_, status) in enumerate(there) if _same(status, mine)), None)
        if mine is None:
            newer = there
        elif place is not None:
            newer = there[:place]
        else:  # mine was removed, which does not make those newer that were older
            newer = [(path, status) for path, status in there if status.st_mtime_ns > mine.st_mtime_ns]
        if not newer:
            return None
        path, status = newer[-1]
        file = path.open("rb", buffering=0)
        if _same(os.fstat(file.fileno()), status):
            return file
        file.close()  # moved meanwhile: the next call will find it
        return None


def processes(folder: Path) -> list[str]:
    """The processes that have a log in a run's folder ``logs``, in alphabetical order."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted({match[1] for name in names if (match := _NAME.fullmatch(name))})


def parsed(process: str, line: bytes) -> Entry:
    """A line of a process's log; ``at`` is 0 where it has no time."""
    text = line.decode(errors="replace").rstrip()
    try:
        fields = json.loads(text) if text.startswith("{") else {}
    except (ValueError, RecursionError):
        fields = {}
    if not isinstance(fields.get("event"), str):
        return Entry(0.0, process, "error" if _BAD_NEWS.match(text) else "info", text, {}, raw=True)
    try:
        at = log.unix_time(fields)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        at = 0.0
    event, level = fields.pop("event"), fields.pop("level", "info")
    for name in ("timestamp", "process"):
        fields.pop(name, None)
    if not 0.0 < at < _LATEST:
        at = 0.0
    return Entry(at, process, level if isinstance(level, str) else "info", event, fields, raw=False)


def text(entry: Entry, *, width: int = 0, details: bool = False) -> Text:
    """An entry as a line for people, with colours by level; ``width`` is that of the processes' names.

    With ``details`` a traceback follows on lines of its own; otherwise it is left out. Whatever was logged,
    there is nothing in it that a terminal would act on.
    """
    style = _STYLES.get(entry.level, "")
    at = datetime.fromtimestamp(entry.at)
    shown = Text()
    shown.append(f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  {_safe(entry.process):{width}}", "dim")
    shown.append("  ")
    if entry.severity > SEVERITY["info"] and not entry.raw:
        shown.append(f"{_safe(entry.level)}: ", style)
    shown.append(_safe(entry.event), style)
    for name, value in entry.fields.items():
        if name not in _BELOW:
            shown.append("  ")
            shown.append(f"{_safe(name)}=", "dim")
            shown.append(_value(value))
    if details:
        for name in _BELOW:
            for line in str(entry.fields.get(name, "")).splitlines():
                shown.append(f"\n    {_safe(line)}", "dim")
    return shown


def last_words(path: Path) -> str:
    """What ended the process that has its log at ``path``, most likely, on one line; else the last it said.

    ``no word`` when it said nothing since it was started. Never raises.
    """
    entries: list[Entry] = []
    for entry in reversed(_tail(path) or _tail(log.older(path, 1))):
        if not entry.raw and entry.event == log.BEGAN:
            break
        entries.insert(0, entry)
    if not entries:
        return "no word"
    return _safe(_said(entries) or _printed(entries) or _readable(entries[-1]))


def _tail(path: Path) -> list[Entry]:
    """The last lines of a log; none when there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read(TAIL_BYTES).splitlines()
    except OSError:
        return []
    if size > TAIL_BYTES and len(lines) > 1:
        del lines[0]  # the end of one
    return [parsed("", line) for line in lines if line.strip()]


def _said(entries: list[Entry]) -> str:
    """The cause that the process itself named at its end; empty when it named none."""
    after = 0
    for entry in reversed(entries):
        if not entry.raw and entry.event == log.CRASHED:
            return str(entry.fields.get("cause", log.CRASHED))
        if entry.raw and entry.event.startswith(_ERROR):
            return entry.event.removeprefix(_ERROR)
        after += not entry.raw
        if after > _LINES_AFTER:
            break
    return ""


def _printed(entries: list[Entry]) -> str:
    """The cause that Python or a library printed last of all; empty when there is none."""
    lines: list[str] = []
    for entry in reversed(entries):
        if not entry.raw:
            break
        lines.insert(0, entry.event)
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if line.startswith("terminate called "):
            return f"{line}: {after.strip().removeprefix('what():').strip()}" if "what()" in after else line
        if "Check failed: " in line:
            return line
        if line.startswith("Fatal Python error: "):
            return f"{line}, after: {before}" if before and line.endswith("Aborted") else line
    if _TRACEBACK in lines:
        last = len(lines) - lines[::-1].index(_TRACEBACK)
        return next((line for line in lines[last:] if not line.startswith(" ")), "")
    return ""


def _readable(entry: Entry) -> str:
    why = next((entry.fields[name] for name in _SAID_WHY if entry.fields.get(name)), None)
    return entry.event.strip() if why is None else f"{entry.event}: {why}"


def _value(value: Any) -> str:
    if isinstance(value, str) and value and not any(character in ' "=' for character in value):
        return _safe(value)
    try:
        return _safe(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "…"


def _safe(words: str) -> str:
    """Text on one line and not too long, with all that a terminal might act on written out."""
    if len(words) > LONGEST_SHOWN:
        words = words[: LONGEST_SHOWN - 1] + "…"
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Whether it is the same file, whatever its name."""
    return one is not None and other is not None and os.path.samestat(one, other)
