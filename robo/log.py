"""Structured logs: one JSON object a line, in a file that is set aside when it is full.

A log call never raises and never ends a process. What can't be written is counted (``lost``), and once there
is room again a line says how many lines are missing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import structlog

LIMIT_BYTES = 10_000_000
"""A log file is set aside before it grows beyond this."""
KEPT = 2
"""How many older files are kept: NAME.log.1, the newest of them, and NAME.log.2."""
BEGAN, CRASHED, MISSING = "began", "crashed", "log lines missing"
"""Events of the log itself: a process's first, one's last, and what stands for lines that were lost."""
CAUSE_CHARACTERS = 300
TRACEBACK_CHARACTERS = 8000
"""Of a traceback's end, which tells more than its beginning."""

_METHODS = ("debug", "info", "warning", "error", "critical", "exception")


def to_file(process: str, path: Path, *, descriptors: bool, limit_bytes: int = LIMIT_BYTES) -> None:
    """Send this process's log to the end of a file as JSON lines with the time (UTC), level and process name.

    With ``descriptors`` standard output and error, also those of C++ libraries, go there too and count
    towards the limit. The file is this process's alone to write. Never raises.
    """
    global _file
    previous, _file = _file, LogFile(process, path, descriptors=descriptors, limit_bytes=limit_bytes)
    _configure(process)
    if previous is not None:
        previous.close()
    get().info(BEGAN, pid=os.getpid())


def get() -> structlog.stdlib.BoundLogger:
    """The process's log: ``log.info("event in words", key=value)``."""
    return structlog.get_logger()


def crash(error: BaseException) -> None:
    """Log what ends this process: its cause on one line, and the traceback."""
    get().critical(CRASHED, exc_info=error)


def tidy() -> None:
    """Set the log aside if it is full, also of what was only printed. Never raises."""
    if _file is not None:
        _file.tidy()


def lost() -> int:
    """How many lines of this process could not be written so far."""
    return 0 if _file is None else _file.lost


def older(path: Path, number: int) -> Path:
    """Where the log that was at ``path`` is after so many times of being set aside; 0: there."""
    return path.with_name(f"{path.name}.{number}") if number else path


def unix_time(entry: Mapping[str, Any]) -> float:
    """When a logged line, read back, was written, in seconds since 1970."""
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(entry["timestamp"].replace("Z", "+00:00")).timestamp()


class LogFile:
    """A file that lines are added to, set aside when it is full. Nothing here raises but what says so."""

    def __init__(
        self, process: str, path: Path, *, descriptors: bool, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self._process = process
        self._path = path
        self._descriptors = descriptors
        self._limit = limit_bytes
        self._fd = -1
        self._identity = (-1, -1)
        self._untold = 0
        self._lock = threading.RLock()
        self._waiting: deque[str] = deque()
        self._writing = False
        self.lost = 0

    def write(self, line: str) -> None:
        """Add a line, or count it as lost."""
        with self._lock:
            self._waiting.append(line)
            # Where a signal's handler logs in the middle of a write, that one goes on with the line.
            while self._waiting and not self._writing:
                self._writing = True
                try:
                    while self._waiting:
                        self._write(self._waiting.popleft())
                finally:
                    self._writing = False

    def tidy(self) -> None:
        """Set the file aside if it is full by now."""
        with self._lock, contextlib.suppress(OSError):
            if not self._writing:
                self._ready_for(0)

    # What structlog calls.
    debug = info = warning = error = critical = write

    def lose(self) -> None:
        """Count a line that can't be written."""
        self.lost += 1
        self._untold += 1

    def close(self) -> None:
        """Let go of the file; standard output and error stay there."""
        with self._lock:
            if self._status() is not None:
                os.close(self._fd)
            self._fd = -1

    def _write(self, line: str) -> None:
        try:
            if self._untold:
                self._add(self._notice())
                self._untold = 0
            self._add(line)
        except OSError:
            self.lose()

    def _add(self, line: str) -> None:
        """Raises OSError when not all of it could be written."""
        data = line.encode(errors="backslashreplace") + b"\n"
        size = self._ready_for(len(data))
        # Others write here too, and not all that was written before may have found room.
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            data = b"\n" + data
        while data:
            written = os.write(self._fd, data)
            if not written:
                raise OSError(errno.ENOSPC, "nothing was written")
            data = data[written:]

    def _ready_for(self, length: int) -> int:
        """See that the file is open and has room for so many bytes. Its size; raises OSError."""
        size = self._size()
        if size and size + length > self._limit:
            with contextlib.suppress(OSError):  # rather too long a file than none
                self._set_aside()
                size = 0
        return size

    def _size(self) -> int:
        """The file's size, once it is open; again if it was closed or removed. Raises OSError."""
        status = self._status()
        if status is None:
            self._fd = -1  # before a file is opened that may get the same number
        if status is None or not status.st_nlink:
            self._use(_open(self._path, os.O_CREAT))
            status = os.fstat(self._fd)
        return status.st_size

    def _set_aside(self) -> None:
        """Go on in a new file. Raises OSError, and goes on in the old one, when there can't be one."""
        fresh = self._path.with_name(self._path.name + ".new")
        fd = _open(fresh, os.O_CREAT | os.O_TRUNC)
        try:
            for number in reversed(range(KEPT)):
                with contextlib.suppress(FileNotFoundError):
                    older(self._path, number).replace(older(self._path, number + 1))
        except OSError:
            os.close(fd)
            raise
        # Before the new file has its name: whoever finds it has all that the old one will ever hold.
        self._use(fd)
        with contextlib.suppress(OSError):
            fresh.replace(self._path)

    def _use(self, fd: int) -> None:
        self.close()
        self._fd = fd
        status = os.fstat(fd)
        self._identity = (status.st_dev, status.st_ino)
        if self._descriptors:
            for standard in (1, 2):
                os.dup2(fd, standard)

    def _status(self) -> os.stat_result | None:
        """Of the open file; None when someone closed it, even if the descriptor is now of another one."""
        try:
            status = os.fstat(self._fd)
        except OSError:
            return None
        return status if (status.st_dev, status.st_ino) == self._identity else None

    def _notice(self) -> str:
        entry = {"missing": self._untold, "event": MISSING, "process": self._process, "level": "warning"}
        now = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        return json.dumps({**entry, "timestamp": now})


_file: LogFile | None = None


def _open(path: Path, flags: int) -> int:
    """A descriptor, none of the standard ones, to add to a file and look at its end. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o644)
    try:
        # Where 1 was closed this one is 1, which must stay open when we let go of the file.
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def _configure(process: str) -> None:
    def named(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("process", process)
        return event

    structlog.configure(
        processors=[
            _explained,
            named,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _rendered,
        ],
        wrapper_class=_LOGGER,
        logger_factory=lambda *_: _file,
    )


def _never_raises(method: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **fields: Any) -> None:
        try:
            method(self, *args, **fields)
        except Exception:
            if _file is not None:
                _file.lose()

    return call


_FILTERING = structlog.make_filtering_bound_logger(logging.INFO)
_LOGGER = type("Logger", (_FILTERING,), {name: _never_raises(getattr(_FILTERING, name)) for name in _METHODS})
"""Structlog's, but that its calls don't raise, whatever they are given."""


def _explained(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Put an exception's cause and traceback, as text, in its place."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        text = "".join(traceback.format_exception(error))
        event |= {"cause": _cause(error), "traceback": text[-TRACEBACK_CHARACTERS:]}
    return event


def _cause(error: BaseException) -> str:
    """``TypeError: message`` on one line."""
    try:
        message = str(error)
    except Exception:
        message = "its message can't be shown"
    name = type(error).__name__
    text = " ".join(f"{name}: {message}".split()) if message else name
    return text if len(text) <= CAUSE_CHARACTERS else text[: CAUSE_CHARACTERS - 1] + "…"


def _rendered(_logger: Any, _method: str, event: dict[str, Any]) -> str:
    try:
        return json.dumps(event, default=_shown)
    except Exception:  # a key that JSON does not have, a cycle, too deep
        return json.dumps({key: _plain(value) for key, value in event.items()}, default=_shown)


def _plain(value: Any) -> Any:
    try:
        json.dumps(value, default=_shown)
    except Exception:
        return _shown(value)
    return value


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
