"""Checkpoints: agent, optimisers, counters and replay, each complete or not there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from robo.errors import UserError
from robo.learning.folders import REPLACED, TEMPORARY, whole_folder
from robo.learning.replay import Replay

MANIFEST = "manifest.json"
NAME = re.compile(rf"step-(\d+)({re.escape(REPLACED)})?")


class Saved(Protocol):
    """What a checkpoint asks of an agent."""

    @property
    def shapes(self) -> Mapping[str, Any]:
        """Sizes that must agree for weights to fit, by name (JSON values)."""

    def save(self, prefix: Path) -> None:
        """Write everything that training goes on from to files that begin with ``prefix``."""

    def restore(self, prefix: Path) -> None:
        """Take on what ``save`` wrote."""


class Checkpoints:
    """A folder of checkpoints, of which the newest ``keep`` stay."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, step: int, agent: Saved, replay: Replay, counters: Mapping[str, Any]) -> Path:
        """Write a checkpoint and remove those that are too old, and leftovers of saves that were cut short.

        ``counters`` are JSON values. Raises OSError when the disk is full; what was there then stays.
        """
        for leftover in self.folder.glob(f"step-*{TEMPORARY}"):
            shutil.rmtree(leftover)
        final = self.folder / f"step-{step:09d}"
        with whole_folder(final) as folder:
            agent.save(folder / "agent")
            replay.save(folder / "replay.npz")
            manifest = {
                "step": step,
                "counters": dict(counters),
                "shapes": dict(agent.shapes),
                "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
            }
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for old in self._complete()[: -self.keep]:
            shutil.rmtree(old)
        return final

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        complete = self._complete()
        return complete[-1] if complete else None

    def latest_counters(self) -> dict[str, Any] | None:
        """The counters of the newest complete checkpoint; None when there is none."""
        folder = self.latest()
        manifest = _manifest(folder) if folder else None
        return manifest["counters"] if manifest else None

    def restore(self, agent: Saved, replay: Replay) -> dict[str, Any] | None:
        """Put agent and replay where the newest complete checkpoint has them.

        Returns its counters, or None when there is no checkpoint. Raises UserError when it is of another
        network or observation, or can't be read.
        """
        folder = self.latest()
        if folder is None:
            return None
        manifest = _manifest(folder)
        assert manifest is not None
        now, was = agent.shapes, manifest["shapes"]
        names = [name for name in dict.fromkeys([*now, *was]) if was.get(name) != now.get(name)]
        if names:
            differences = ", ".join(
                f"{name} is {was.get(name)} there and {now.get(name)} here" for name in names
            )
            raise UserError(f"{folder}: {differences}; use the run's own config or another run")
        agent.restore(folder / "agent")
        replay.load(folder / "replay.npz")
        return manifest["counters"]

    def _complete(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        found = []
        for folder in self.folder.iterdir():
            match = NAME.fullmatch(folder.name)
            if match and _manifest(folder) is not None:
                # One that was being replaced comes before its replacement.
                found.append((int(match[1]), not match[2], folder))
        return [folder for _, _, folder in sorted(found)]


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a complete checkpoint; None when a file is missing or has another size."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in manifest["files"]}
        if sizes == manifest["files"] and isinstance(manifest["shapes"], dict):
            return manifest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
