"""Folders that appear whole or not at all, even when the machine stops in the middle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".tmp"
REPLACED = ".old"


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Give an empty folder to write in; on leaving, sync it to disk and rename it to ``final``.

    What stood at ``final`` is moved aside to ``final`` + REPLACED before, and removed after. On an error
    nothing is left and ``final`` stays as it was. Raises OSError (disk full, no permission).
    """
    temporary, replaced = _beside(final)
    recover(final)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _sync_tree(temporary)
        if final.exists():
            _remove(replaced)
            final.rename(replaced)
        temporary.rename(final)
    except BaseException:
        recover(final)
        raise
    _sync(final.parent)
    _remove(replaced)


def recover(final: Path) -> None:
    """Put right what a stop in the middle of ``whole_folder`` left: half a folder, or one moved aside.

    Raises OSError.
    """
    temporary, replaced = _beside(final)
    _remove(temporary)
    if replaced.exists() and not final.exists():
        replaced.rename(final)


def _beside(final: Path) -> tuple[Path, Path]:
    """Where a folder is written before it is whole, and where the one goes that it replaces."""
    return final.with_name(final.name + TEMPORARY), final.with_name(final.name + REPLACED)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
