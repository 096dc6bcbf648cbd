"""What a run tells whoever watches it of itself, its machine and what it has saved."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import psutil

from processes.orders import Orders
from processes.table import Car
from robo.cache_values import CarInfo, Machine, RunInfo, SavedCheckpoint, SavedPolicy, Shelf
from robo.config import ROOT, Config
from robo.learning.checkpoints import Checkpoints
from robo.learning.details import DETAILS, MODEL, read_details
from robo.learning.folders import REPLACED, TEMPORARY
from robo.perception import kinds

POLICIES_KEPT = 1000
"""Whose descriptions are remembered."""
POLICIES = "policies"
"""Where exported policies are: in each run's folder, and in the project's."""
MOST = 2**53
"""Of which a number that is told is below; neither infinity nor NaN is."""


def run_info(config: Config, fleet: list[Car], started_at: float, orders: Orders) -> RunInfo:
    """What the run is, and what holds at the moment."""
    simulator = config.simulator
    return RunInfo(
        at=time.time(),
        started_at=started_at,
        agent=config.agent.type if config.driver == "agent" else config.driver,
        clock="lockstep" if simulator.lockstep else "realtime",
        simulator="embedded" if simulator.embedded else f"{simulator.host}:{simulator.car_port}",
        track=Path(config.track).stem,
        cars=[CarInfo(car.name, car.role, car.driver) for car in fleet],
        observation=config.observation.kind,
        observation_shape=list(kinds.SHAPES[config.observation.kind]),
        throttle_max=config.action.throttle_max,
        decisions_per_second=60.0 / config.action.repeat,
        control=config.monitor.control,
        paused=orders.paused,
        policy=orders.policy.name if orders.policy else "",
    )


def machine(folder: Path) -> Machine:
    """The machine, as it is since this was last asked. Raises OSError when the folder is gone."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(folder)
    return Machine(
        at=time.time(),
        cores=psutil.cpu_count() or 1,
        cpu=psutil.cpu_percent() / 100.0,
        memory_used=memory.total - memory.available,
        memory_total=memory.total,
        disk_free=disk.free,
        disk_total=disk.total,
    )


def policy_folders(runs: Path) -> dict[str, Path]:
    """All exported policies on this machine, by the names that they are asked for by.

    Nothing that a name could say leads anywhere else: it is one of these, or it is none.
    """
    found = {}
    for name, folder in _policy_places(runs):
        whole = folder.suffix not in (TEMPORARY, REPLACED) and (folder / MODEL).is_file()
        if whole and not folder.is_symlink() and name.isprintable():
            found[name] = folder
    return found


def _policy_places(runs: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted((ROOT / POLICIES).glob("*")):
        yield f"{POLICIES}/{folder.name}", folder
    for folder in sorted(runs.glob(f"*/{POLICIES}/*")):
        yield f"runs/{folder.parent.parent.name}/{POLICIES}/{folder.name}", folder


def shelf(run: Path, config: Config) -> Shelf:
    """The run's checkpoints and all policies, newest first. Raises OSError."""
    checkpoints, policies = [], []
    for folder, manifest in Checkpoints(run / "checkpoints", keep=1).known():
        with contextlib.suppress(OSError):  # a newer one has just taken its place, as of a policy
            checkpoints.append(_checkpoint(folder, manifest))
    for name, folder in policy_folders(run.parent).items():
        with contextlib.suppress(OSError):
            policies.append(_policy(name, folder, config))
    policies.sort(key=lambda policy: policy.at, reverse=True)
    return Shelf(checkpoints, policies)


def _checkpoint(folder: Path, manifest: Mapping[str, Any]) -> SavedCheckpoint:
    counters = manifest["counters"]
    size = sum(file["bytes"] for file in manifest["files"].values())
    at = folder.stat().st_mtime
    return SavedCheckpoint(folder.name, at, counters["env_steps"], counters["train_steps"], size)


def _policy(name: str, folder: Path, config: Config) -> SavedPolicy:
    details = _details(folder, (folder / DETAILS).stat().st_mtime_ns if (folder / DETAILS).exists() else 0)
    figures = details.get("evaluation")
    figures = figures if isinstance(figures, dict) else {}
    track = details.get("track")
    return SavedPolicy(
        name=name,
        at=(folder / MODEL).stat().st_mtime,
        train_step=_number(details.get("train_step"), int),
        clean_lap_rate=_number(figures.get("clean_lap_rate"), float),
        lap_time=_number(figures.get("lap_time"), float),
        metres=_number(figures.get("metres"), float),
        track=Path(track).stem if isinstance(track, str) and track.isprintable() else "",
        fits=misfit(details, config),
    )


@lru_cache(POLICIES_KEPT)
def _details(folder: Path, changed_at: int) -> dict[str, Any]:
    """What was exported with a policy, read once for each time that it changed."""
    return read_details(folder)


def misfit(details: Mapping[str, Any], config: Config) -> str:
    """Why an exported policy can't drive the run's cars; empty: it can."""
    observation, action = details.get("observation", {}), details.get("action", {})
    if not (details and isinstance(observation, dict) and isinstance(action, dict)):
        return "what it sees is not known"
    seen = {**msgspec.to_builtins(config.observation), **observation}
    if seen != msgspec.to_builtins(config.observation):
        return "it sees something else"
    if action.get("repeat", config.action.repeat) != config.action.repeat:
        return "its decisions last longer or shorter"
    return ""


def _number(value: Any, kind: type) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST
    return kind(value) if number else None
