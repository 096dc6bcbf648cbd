"""Run folders: ``runs/NAME`` with the resolved config, and one run in it at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TextIO

from robo import config
from robo.config import Config
from robo.errors import UserError

RUNS = config.ROOT / "runs"
CONFIG = "config.yml"
FILM = "film.mp4"
LOCK = "lock"
LONGEST_SOCKET_PATH = 100
"""The kernel's limit for a socket's path is 107 bytes."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def films(folder: Path) -> list[Path]:
    """The films in a run's folder, the first one first: film.mp4, film-2.mp4, and so on."""
    found = []
    while (path := _film(folder, len(found) + 1)).exists():
        found.append(path)
    return found


def next_film(folder: Path) -> Path:
    """Where a run's next film goes; an earlier one is never written over."""
    return _film(folder, len(films(folder)) + 1)


def _film(folder: Path, number: int) -> Path:
    path = folder / FILM
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


class RunFolder:
    """A run's folder, locked against a second run in it for as long as this object lives."""

    def __init__(self, name: str, runs: Path = RUNS) -> None:
        """Raises UserError when the name can't be a folder's."""
        if not _NAME.fullmatch(name):
            raise UserError(f"run name {name!r}: use letters, digits, '.', '_' and '-', at most 64")
        self.name = name
        self.path = runs / name
        self._lock: TextIO | None = None

    @property
    def redis_socket(self) -> Path:
        """Where a Redis of the run's own listens: in the folder, or, if that is too long, a temporary one."""
        socket = self.path.absolute() / "redis.sock"
        if len(bytes(socket)) <= LONGEST_SOCKET_PATH:
            return socket
        mark = hashlib.sha256(bytes(self.path.absolute())).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"robo-{os.getuid()}-{mark}" / "redis.sock"

    @property
    def running(self) -> bool:
        """Whether a run is going on there."""
        try:
            with (self.path / LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def exists(self) -> bool:
        """Whether a run has been here."""
        return (self.path / CONFIG).exists()

    def check(self, now: Config) -> None:
        """Raise UserError, naming the key, when the folder is from a config that ``now`` can't go on from."""
        if not self.exists:
            return
        changed = config.difference(config.read(self.path / CONFIG), now)
        if changed:
            raise UserError(
                f"{self.path}: this run was made with another config: {changed}; "
                "choose another RUN=name, or begin anew with --restart"
            )

    def set_aside(self) -> Path | None:
        """Move an earlier run away, never deleting it. Where it is now; None when there was none.

        Raises UserError when that run is still going on.
        """
        if not self.path.exists():
            return None
        self.lock()
        number = 1
        while (target := self.path.with_name(f"{self.name}.{number}")).exists():
            number += 1
        self.path.rename(target)
        self._lock.close()
        return target

    def lock(self) -> None:
        """Create the folder and take it. Raises UserError when another run has it, or it can't be written."""
        try:
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / LOCK).open("w")
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; choose another RUN=name") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{self.path}: a run is going on there; stop it, or choose another RUN=name"
            ) from None

    def write_config(self, now: Config) -> None:
        """Save the resolved config. Raises UserError when there is no room for it."""
        try:
            (self.path / CONFIG).write_text(config.dump(now), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{self.path}: {error.strerror}; make room there, or choose another RUN=name"
            ) from None
