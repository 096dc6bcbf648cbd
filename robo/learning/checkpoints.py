"""Checkpoints: agent, optimisers, counters and replay, each complete or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from robo import log
from robo.errors import UserError
from robo.learning.folders import REPLACED, TEMPORARY, whole_folder
from robo.learning.replay import Replay

MANIFEST = "manifest.json"
CHECKSUM = "sha256"
NAME = re.compile(rf"step-(\d+)({re.escape(REPLACED)})?")
LEFTOVER = re.compile(rf"(step-\d+)({re.escape(TEMPORARY)}|{re.escape(REPLACED)})")
PIECE_BYTES = 1 << 20


class Saved(Protocol):
    """What a checkpoint asks of an agent."""

    @property
    def shapes(self) -> Mapping[str, Any]:
        """Sizes that must agree for weights to fit, by name (JSON values)."""

    def save(self, prefix: Path) -> None:
        """Write everything that training goes on from to files that begin with ``prefix``."""

    def restore(self, prefix: Path) -> None:
        """Take on what ``save`` wrote."""


class Torn(NamedTuple):
    """A checkpoint that training can't go on from."""

    folder: Path
    why: str
    """What is wrong with it, in words."""


class _TornError(Exception):
    """What is wrong with a checkpoint, in words."""


class Checkpoints:
    """A folder of checkpoints, of which the newest ``keep`` stay."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        self.passed_over: list[Torn] = []
        """Those newer than what the last ``restore`` took, newest first."""

    def save(self, step: int, agent: Saved, replay: Replay, counters: Mapping[str, Any]) -> Path:
        """Write a checkpoint and remove those that are too old, and leftovers of saves that were cut short.

        ``counters`` are JSON values. Raises OSError when the disk is full; what was there then stays. Torn
        checkpoints go when ``keep`` whole ones came after them.
        """
        self.clear_leftovers()
        final = self.folder / f"step-{step:09d}"
        with whole_folder(final) as folder:
            agent.save(folder / "agent")
            replay.save(folder / "replay.npz")
            manifest = {
                "step": step,
                "counters": dict(counters),
                "shapes": dict(agent.shapes),
                "files": {
                    path.name: {"bytes": path.stat().st_size, CHECKSUM: _checksum(path)}
                    for path in sorted(folder.iterdir())
                },
            }
            sealed = {**manifest, CHECKSUM: _seal(manifest)}
            (folder / MANIFEST).write_text(json.dumps(sealed, indent=1), encoding="utf-8")
        self.passed_over = [torn for torn in self.passed_over if torn.folder != final]
        self._remove_old(step)
        return final

    def clear_leftovers(self) -> None:
        """Remove what a save left that was cut short: half a checkpoint, or one whose replacement is whole.

        Only for the one process that saves here. Nothing is touched that ``save`` did not make. Raises
        OSError.
        """
        for folder in self._matching(LEFTOVER):
            name, end = LEFTOVER.fullmatch(folder.name).groups()
            if end == TEMPORARY or _is_whole(folder.with_name(name), checksums=True):
                shutil.rmtree(folder)

    def latest(self) -> Path | None:
        """The newest checkpoint whose files are there with their sizes.

        Cheap: checksums are left to ``restore``, which may pass this one over.
        """
        for folder in reversed(self._in_order()):
            if _is_whole(folder):
                return folder
        return None

    def latest_counters(self) -> dict[str, Any] | None:
        """The counters of the checkpoint that ``latest`` tells, found as cheaply; None when there is none."""
        known = self.known()
        return known[0][1]["counters"] if known else None

    def known(self) -> list[tuple[Path, dict[str, Any]]]:
        """Every checkpoint whose files are there with their sizes, and its manifest; newest first."""
        found = []
        for folder in reversed(self._in_order()):
            with contextlib.suppress(_TornError):
                found.append((folder, _manifest(folder)))
        return found

    def restore(self, agent: Saved, replay: Replay) -> dict[str, Any] | None:
        """Put agent and replay where the newest checkpoint has them that is whole, by size and checksum.

        Newer ones are logged, noted in ``passed_over`` and left where they are. Returns the counters, or None
        when there is no checkpoint. Raises UserError when there are some and none is whole, or when the one
        taken is of another network or observation, or can't be read.
        """
        self.passed_over = []
        for folder in reversed(self._in_order()):
            try:
                manifest = _manifest(folder, checksums=True)
            except _TornError as error:
                self._pass_over(Torn(folder, str(error)))
                continue
            _check_shapes(folder, manifest["shapes"], agent.shapes)
            agent.restore(folder / "agent")
            replay.load(folder / "replay.npz")
            return manifest["counters"]
        if self.passed_over:
            torn = self.passed_over[0]
            raise UserError(
                f"{self.folder}: no checkpoint is whole ({torn.folder.name}, the newest: {torn.why}); "
                "put a copy of one there, or begin anew with --restart"
            )
        return None

    def _pass_over(self, torn: Torn) -> None:
        self.passed_over.append(torn)
        log.get().error("torn checkpoint passed over", checkpoint=str(torn.folder), why=torn.why)

    def _remove_old(self, step: int) -> None:
        """Remove what is older than the newest ``keep`` that are whole; the newest is of ``step``.

        Those of later steps are torn, or training would have gone on from there; they count as the oldest.
        """
        known = {torn.folder for torn in self.passed_over}
        later = [folder for folder in self._in_order() if _step(folder) > step]
        others = [folder for folder in self._in_order() if _step(folder) <= step]
        whole = [folder for folder in others if folder not in known and _is_whole(folder)]
        if len(whole) >= self.keep:
            for old in [*later, *others[: others.index(whole[-self.keep])]]:
                shutil.rmtree(old)

    def _in_order(self) -> list[Path]:
        """All checkpoints, whole or torn, oldest first; one that was replaced before its replacement."""
        return sorted(self._matching(NAME), key=lambda folder: (_step(folder), folder.suffix != REPLACED))

    def _matching(self, pattern: re.Pattern[str]) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = [folder for folder in self.folder.iterdir() if pattern.fullmatch(folder.name)]
        return [folder for folder in found if folder.is_dir() and not folder.is_symlink()]


def _step(folder: Path) -> int:
    return int(NAME.fullmatch(folder.name)[1])


def _is_whole(folder: Path, *, checksums: bool = False) -> bool:
    try:
        _manifest(folder, checksums=checksums)
    except _TornError:
        return False
    return True


def _manifest(folder: Path, *, checksums: bool = False) -> dict[str, Any]:
    """The manifest of a checkpoint whose files have their sizes and, where asked for, their checksums.

    Raises _TornError.
    """
    manifest = _read_manifest(folder / MANIFEST)
    for name, known in manifest["files"].items():
        _check_file(folder / name, known, checksums=checksums)
    return manifest


def _read_manifest(path: Path) -> dict[str, Any]:
    """What ``save`` put into a manifest, without the checksum that it bears out. Raises _TornError."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _TornError(f"{path.name} is missing") from None
    except (OSError, ValueError):
        raise _TornError(f"{path.name} can't be read") from None
    if not isinstance(manifest, dict) or CHECKSUM not in manifest:
        raise _TornError(f"{path.name} has no checksums; an earlier version wrote it")
    if manifest.pop(CHECKSUM) != _seal(manifest):
        raise _TornError(f"{path.name} has another checksum")
    return manifest


def _check_file(path: Path, known: Mapping[str, Any], *, checksums: bool) -> None:
    """Raise _TornError when a file is not what the manifest knows of it."""
    try:
        size = path.stat().st_size
        if size != known["bytes"]:
            raise _TornError(f"{path.name} has {size} bytes, not {known['bytes']}")
        if checksums and _checksum(path) != known[CHECKSUM]:
            raise _TornError(f"{path.name} has another checksum")
    except FileNotFoundError:
        raise _TornError(f"{path.name} is missing") from None
    except OSError as error:
        raise _TornError(f"{path.name} can't be read: {error.strerror}") from None


def _check_shapes(folder: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise UserError, naming the differences, when weights of one are not of the other's shapes."""
    names = [name for name in dict.fromkeys([*now, *was]) if was.get(name) != now.get(name)]
    if names:
        differences = ", ".join(f"{name} is {was.get(name)} there and {now.get(name)} here" for name in names)
        raise UserError(f"{folder}: {differences}; use the run's own config or another run")


def _checksum(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _seal(manifest: Mapping[str, Any]) -> str:
    """A manifest's own SHA-256, which stays the same when it is written and read back."""
    return hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
