"""What is not as it should be in a run, in words; and whether it is ready to be relied on.

Functions of what the cache holds and of the time, for whoever tells it: the page, ``make status``, a probe.
Times are Unix seconds; those of a run and those of whoever looks must come from clocks that agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from robo.cache_values import Machine, ProcessHealth, Progress, RunInfo

STALE_SECONDS = 5.0
"""A supervisor that has not looked at its processes for so long is stuck, or gone."""
FRAME_SECONDS = 2.0
"""A car whose newest picture is older has lost its camera, or its simulator."""
BLIND_SECONDS = 5.0
"""A run none of whose cars has had a picture for so long is not ready."""
FIRST_SECONDS = 30.0
"""How long after its start a run may take until a car has its first picture."""
LEARNER_SECONDS = 5.0
"""A learner that runs and has told of no progress for so long is behind."""
HELD_SHARE = 0.8
"""Of the rate that a realtime run should have; with less, decisions come late."""
DISK_LOW_BYTES = 10**9
DISK_FULL_BYTES = 10**8
DISK_FULL_SHARE = 0.01
UNREMARKABLE = ("running", "starting", "waiting")
"""States of a process that are nobody's concern."""
LEARNER = "learner"


class Notice(msgspec.Struct, frozen=True):
    """Something that is not as it should be."""

    level: Literal["warning", "error"]
    text: str
    """One line, such as ``robo3: no frame for 2.1 s``."""


class Look(msgspec.Struct, frozen=True):
    """What was seen of a run at one moment; what nobody has told yet is empty or None."""

    at: float
    """When the cache was read last, Unix seconds."""
    redis_why: str = ""
    """Why Redis does not answer; empty: it does."""
    run: RunInfo | None = None
    processes: Mapping[str, ProcessHealth] = {}
    progress: Progress | None = None
    machine: Machine | None = None
    frames: Mapping[str, float | None] = {}
    """Car -> when its newest picture left the simulator; None: there was none yet."""


def notices(look: Look, now: float) -> list[Notice]:
    """All that is not as it should be at Unix time ``now``, the worst kinds first."""
    if look.redis_why:
        # All else that is known is of before, and would only grow older.
        return [Notice("error", f"Redis: {look.redis_why}")]
    found = [
        *_disk(look),
        *process_notices(look.processes, now),
        *_learner(look, now),
        *_frames(look, now),
        *_rate(look, now),
    ]
    return sorted(found, key=lambda notice: notice.level != "error")


def process_notices(processes: Mapping[str, ProcessHealth], now: float) -> list[Notice]:
    """What is wrong with a run's processes, in their order."""
    found = [] if processes else [Notice("warning", "no process of it is known")]
    for name, process in processes.items():
        if process.state not in UNREMARKABLE:
            found.append(
                Notice("error" if process.state == "fatal" else "warning", f"{name} is {process.state}")
            )
        if process.complaint:
            found.append(Notice("warning", f"{name}: {process.complaint}"))
    silent = now - min((process.at for process in processes.values()), default=now)
    if silent > STALE_SECONDS:
        found.append(Notice("error", f"the supervisor has told nothing for {silent:.0f} s"))
    return found


def readiness(look: Look, now: float) -> list[str]:
    """Why the run can't be relied on at Unix time ``now``; empty: it can."""
    if look.redis_why:
        return [f"Redis: {look.redis_why}"]
    told = _told_at(look)
    if told is None:
        return ["nothing is known of this run"]
    if now - told > STALE_SECONDS:
        return [f"the run has told nothing for {now - told:.0f} s"]
    reasons = [f"{name} is fatal" for name, process in look.processes.items() if process.state == "fatal"]
    machine = look.machine
    if machine is not None and (
        machine.disk_free < DISK_FULL_BYTES or machine.disk_free < DISK_FULL_SHARE * machine.disk_total
    ):
        reasons.append(f"disk: {_gigabytes(machine.disk_free)} left")
    newest = max((at for at in look.frames.values() if at is not None), default=None)
    if newest is None:
        reasons.append("no car has had a frame yet")
    elif look.at - newest > BLIND_SECONDS:
        reasons.append(f"no car has had a frame for {look.at - newest:.0f} s")
    return reasons


def _told_at(look: Look) -> float | None:
    """When the run last told anything of itself."""
    times = [process.at for process in look.processes.values()]
    if look.run is not None:
        times.append(look.run.at)
    return max(times, default=None)


def _disk(look: Look) -> Iterator[Notice]:
    machine = look.machine
    if machine is not None and machine.disk_free < DISK_LOW_BYTES:
        level: Literal["warning", "error"] = "error" if machine.disk_free < DISK_FULL_BYTES else "warning"
        yield Notice(level, f"disk: {_gigabytes(machine.disk_free)} left")


def _learner(look: Look, now: float) -> Iterator[Notice]:
    process, progress = look.processes.get(LEARNER), look.progress
    if process is None or process.state != "running" or progress is None:
        return
    behind = now - progress.at
    if behind > LEARNER_SECONDS:
        yield Notice("warning", f"{LEARNER} behind by {behind:.0f} s")


def _frames(look: Look, now: float) -> Iterator[Notice]:
    told = _told_at(look)
    if told is None or now - told > STALE_SECONDS:
        return  # nobody drives any more
    running = 0.0 if look.run is None else now - look.run.started_at
    for car, at in look.frames.items():
        if at is None:
            if running > FIRST_SECONDS:
                yield Notice("warning", f"{car}: no frame yet")
        # As of when the cache was read: who reads it once a second must not take that second for the car's.
        elif look.at - at > FRAME_SECONDS:
            yield Notice("warning", f"{car}: no frame for {look.at - at:.1f} s")


def _rate(look: Look, now: float) -> Iterator[Notice]:
    """In realtime the simulator does not wait, and every car should decide as often as it says."""
    run, progress = look.run, look.progress
    if run is None or progress is None or run.clock != "realtime" or run.paused:
        return
    wanted = run.decisions_per_second * sum(car.role == "explorer" for car in run.cars)
    settled = now - run.started_at > FIRST_SECONDS and now - progress.at <= LEARNER_SECONDS
    if settled and progress.env_steps_per_s < HELD_SHARE * wanted:
        yield Notice(
            "warning", f"explorers decide {progress.env_steps_per_s:.0f} times a second, of {wanted:.0f}"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= DISK_FULL_BYTES else f"{count / 1e6:.0f} MB"
