"""Which cores a process runs on, and how soon: the learner never lacks a core, and no frame waits for it.

A train step keeps a core busy for milliseconds, and a frame that came meanwhile would wait for the scheduler
to take that core away. So the learner gets cores of its own, which the others keep off; and where frames come
by the clock and the system permits it (it takes privileges), whoever a frame waits for runs before anything
else, on whichever core is nearest.
"""

from __future__ import annotations

import os

from processes.table import Process
from robo import log
from robo.config import Config

MOST_THREADS = 4
"""A batch is too small to be worth more."""
PRIORITY = 1
"""The lowest of the realtime ones."""


def usable_cores() -> list[int]:
    """The cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def learner_threads(config: Config, cores: int) -> int:
    """How many threads TensorFlow gets of so many cores: as set, or half of them, but no more than 4."""
    return config.learner.threads or max(1, min(MOST_THREADS, cores // 2))


def share(config: Config, row: Process, cores: list[int]) -> list[int]:
    """The cores for a process: the last ones for the learner, the others for everybody else.

    All for everybody where nothing is learned, where the learner wants all, and where it is set so; for
    Redis, which needs next to nothing, and which others are to find awake when theirs are busy; and for the
    page, for which nobody waits: it takes what is left anywhere.
    """
    count = learner_threads(config, len(cores))
    if not config.learner.own_cores or config.driver != "agent" or count >= len(cores):
        return cores
    if row.name in ("redis", "monitor"):
        return cores
    return cores[-count:] if row.name == "learner" else cores[:-count]


def settle(config: Config, row: Process, cores: list[int]) -> None:
    """Keep this process, and the threads that it starts from now on, to its share of the ``cores``."""
    os.sched_setaffinity(0, share(config, row, cores))


def hurry(config: Config, row: Process, cores: list[int]) -> None:
    """Where frames come by the clock: let a process that they wait for run first, on any of these ``cores``.

    Without the privilege it takes, nothing changes.
    """
    if not row.hurries or config.simulator.lockstep or not config.supervision.realtime_priority:
        return
    if len(cores) < 2:  # one that never rests would leave nothing for whoever could end it
        return
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return
    os.sched_setaffinity(0, cores)
    log.get().info("runs before others", priority=PRIORITY)
