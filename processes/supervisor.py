"""Runs the processes of a table: starts them in order, watches them, restarts them, stops them in reverse."""

from __future__ import annotations

import contextlib
import enum
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

from processes import launch
from processes.channels import Latest, Queue, Ring
from processes.orders import OrderBook, Orders, film
from processes.restarts import RestartPolicy
from processes.table import ORDERS_BYTES, Channel, Process, endpoints
from processes.usage import Usage
from processes.vitals import Vitals
from robo import log
from robo.cache_values import ProcessHealth
from robo.log_files import last_words

TICK_SECONDS = 0.1
PROBE_SECONDS = 1.0
ORPHANED = 255
"""What multiprocessing gives as the exit code of a process whose own can't be known."""
STAGE_SECONDS = 1.0
"""How long a stage of the stop may take; the learner, who saves, may take all that is left."""
RESERVE_SECONDS = 0.25
"""Kept back for each stage that is still to be stopped."""
HURRY_SECONDS = 0.7


class State(enum.Enum):
    """Where a process is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing off"
    STOPPED = "stopped"
    FATAL = "fatal"


class Outcome(NamedTuple):
    """How a run ended."""

    exit_code: int
    cause: str
    """Empty when nothing was wrong."""


class Child:
    """One row of the table, and the process that runs for it at the moment."""

    def __init__(self, row: Process, index: int, policy: RestartPolicy) -> None:
        self.row = row
        self.index = index
        self.policy = policy
        self.state = State.WAITING
        self.process: ForkServerProcess | None = None
        self.not_before = 0.0
        self.started_at = 0.0
        self.was_ready = False
        """Whether a process of this row ever did its work."""
        self.killed_for = ""
        """Why we have killed the process; empty: we have not."""
        self.probe_at = 0.0
        """When next to ask one that does not beat whether it answers."""
        self.asked_by = 0.0
        """When a process that was asked to end, so that another takes its place, is killed; 0: it was not."""
        self.usage = Usage()

    @property
    def alive(self) -> bool:
        """Whether a process runs for this row."""
        return self.process is not None and self.process.is_alive()


class Supervisor:
    """The processes of one run. ``run`` returns when they are all gone, whatever happens.

    ``probe(name)`` says whether a process that has no heartbeat answers. ``say(text)`` tells the user.
    """

    def __init__(
        self,
        run: launch.Run,
        table: list[Process],
        channels: list[Channel],
        probe: Callable[[str], bool],
        say: Callable[[str], None],
    ) -> None:
        self._run = run
        self._settings = run.config.supervision
        self._rows = channels
        self._channels = {row.name: _build(row) for row in channels}
        self._vitals = Vitals(len(table))
        self._probe = probe
        self._say = say
        self._children = {
            row.name: Child(row, index, RestartPolicy(self._settings, gives_up=row.vital))
            for index, row in enumerate(table)
        }
        launch.load(row.module for row in table)
        self.cars = run.cars
        # Where no process takes orders, they are given to nobody.
        self.orders = OrderBook(self._channels.get("orders") or Latest(1, ORDERS_BYTES))
        """What the processes are told to do while they run."""
        if car := run.config.film.car:
            self.orders.give(Orders(film=film("", car, run.config.film.seconds)))
        self._outcome: Outcome | None = None
        self._stop_by: float | None = None

    def run(self, each_tick: Callable[[], bool]) -> Outcome:
        """Run until ``each_tick`` (called ten times a second) returns False, a signal, or a fatal end."""
        with self._signals():
            try:
                while self._outcome is None and self._stop_by is None:
                    for child in self._children.values():
                        self._advance(child)
                    self._wait(TICK_SECONDS)
                    if not each_tick():
                        break
            finally:
                self._stop()
        return self._outcome or Outcome(0, "")

    def health(self) -> dict[str, ProcessHealth]:
        """How every process is."""
        now, at = time.monotonic(), time.time()
        return {
            name: ProcessHealth(
                at=at,
                state=child.state.value,
                pid=child.process.pid if child.alive else None,
                restarts=child.policy.count,
                # One that beat since ``now`` is no younger than that.
                beat_age_s=max(0.0, now - self._vitals.last_beat(child.index)) if child.alive else None,
                complaint=self._vitals.complaint(child.index),
                counts={what.value: number for what, number in self._vitals.counts(child.index).items()},
                **child.usage.of(child.process.pid if child.alive else None, now),
            )
            for name, child in self._children.items()
        }

    def restarts(self, name: str) -> int:
        """How often a process was restarted; 0 when there is none of this name."""
        child = self._children.get(name)
        return child.policy.count if child else 0

    def restart(self, name: str) -> str:
        """Have a process end as it does at a run's end, and another take its place.

        What keeps it from that, in words; empty: nothing.
        """
        child = self._children.get(name)
        if child is None:
            return f"no process is called {name}"
        if child.state is not State.RUNNING or not child.alive:
            return f"{name} does not run: it is {child.state.value}"
        if child.asked_by:
            return f"{name} is being restarted already"
        log.get().info("to be restarted, as was asked for", child=name)
        child.asked_by = time.monotonic() + self._settings.stop_seconds
        child.process.terminate()
        return ""

    def _advance(self, child: Child) -> None:
        """Do for one process what its state and the time ask for."""
        now = time.monotonic()
        if child.state in (State.WAITING, State.BACKING_OFF):
            if now >= child.not_before and all(self._is_ready(name) for name in child.row.after):
                self._start(child, now)
        elif not child.alive:
            self._ended(child, now)
        elif child.state is State.STARTING:
            if self._says_ready(child):
                child.state, child.was_ready = State.RUNNING, True
                seconds = round(now - child.started_at, 2)
                log.get().info("ready", child=child.row.name, after_s=seconds)
            elif now - child.started_at > self._settings.ready_seconds:
                self._end(child, f"was not ready after {self._settings.ready_seconds:g} s")
        elif child.asked_by:
            if now > child.asked_by:
                self._end(child, "did not stop in time to be restarted")
        else:
            self._watch(child, now)

    def _watch(self, child: Child, now: float) -> None:
        """End a process that gives no sign of life any more."""
        if not child.row.beats and now >= child.probe_at:
            child.probe_at = now + PROBE_SECONDS
            if self._probe(child.row.name):
                self._vitals.beat(child.index, time.monotonic())
        age = time.monotonic() - self._vitals.last_beat(child.index)
        if age > child.row.heartbeat_seconds:
            self._end(child, f"gave no sign of life for {age:.1f} s")

    def _is_ready(self, name: str) -> bool:
        return self._children[name].state is State.RUNNING

    def _says_ready(self, child: Child) -> bool:
        return self._vitals.ready(child.index) if child.row.beats else self._probe(child.row.name)

    def _start(self, child: Child, now: float) -> None:
        self._vitals.reset(child.index, now)
        mine = endpoints(self._rows, child.row.name, self._channels)
        context = launch.Context(self._run, child.row, child.index, self._vitals, mine)
        child.started_at, child.killed_for, child.asked_by = now, "", 0.0
        try:
            child.process = launch.start(context)
        except (OSError, EOFError) as error:
            child.process = None
            self._failed(child, now, f"could not be started: {error or type(error).__name__}")
            return
        child.state = State.STARTING
        log.get().info("started", child=child.row.name, pid=child.process.pid)

    def _end(self, child: Child, why: str) -> None:
        """Kill a process that no longer does its work; its end, once it comes, is handled as any other."""
        if not child.killed_for:
            self._say(f"{child.row.name} {why}: killed")
            log.get().warning("killed", child=child.row.name, why=why)
            child.killed_for = why
        child.process.kill()

    def _ended(self, child: Child, now: float) -> None:
        """A process ended that nobody asked to: start it again, or give up."""
        if child.asked_by:
            child.policy.count += 1
            child.state, child.not_before = State.WAITING, now
            return
        code, cause = child.process.exitcode, self._cause(child)
        if code == ORPHANED:
            # Nobody was left to say what became of it, and it must not live on beside its replacement.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.process.pid, signal.SIGKILL)
        # What is bad input at the start, such as a port in use, may pass once the run is under way.
        if child.row.vital and (code == launch.FATAL or (code == launch.BAD_INPUT and not child.was_ready)):
            log.get().error("ended", child=child.row.name, exit_code=code, cause=cause)
            self._give_up(child, Outcome(code if code == launch.BAD_INPUT else 1, cause))
            return
        self._failed(child, now, f"ended ({_exit(code)}: {cause})")

    def _failed(self, child: Child, now: float, how: str) -> None:
        """Start a process again after a while, or give up when that has happened too often."""
        wait = child.policy.failed(now)
        log.get().error("ended", child=child.row.name, how=how, again_in_s=wait)
        if wait is None:
            times = self._settings.max_restarts
            why = f"{child.row.name} ended {times} times in {self._settings.max_restarts_seconds:g} s"
            self._give_up(child, Outcome(1, f"{why}; the last time it {how} (see {self._log(child)})"))
            return
        self._say(f"{child.row.name} {how}; again in {wait:.1f} s")
        child.state, child.not_before = State.BACKING_OFF, now + wait

    def _give_up(self, child: Child, outcome: Outcome) -> None:
        child.state = State.FATAL
        self._outcome = self._outcome or outcome

    def _cause(self, child: Child) -> str:
        """What ended the process, most likely: whoever is killed outright has no last words."""
        if child.process.exitcode == ORPHANED:
            return "so did the process that it was forked from"
        if child.process.exitcode == -signal.SIGKILL:
            return child.killed_for or "killed from outside, by the system for lack of memory perhaps"
        return last_words(self._log(child))

    def _log(self, child: Child) -> Path:
        return self._run.folder / "logs" / f"{child.row.name}.log"

    def _wait(self, timeout: float) -> None:
        """Wait until a process ends, or the time is up."""
        connection.wait([child.process.sentinel for child in self._children.values() if child.alive], timeout)

    def _stop(self) -> None:
        """Ask everyone to stop, last started first; kill who does not within the time."""
        if self._stop_by is not None:
            self._say("stopping; once more to hurry")
        self._stop_by = self._stop_by or time.monotonic() + self._settings.stop_seconds
        # Nobody needs them, so nobody waits for them before the others are gone.
        others = [child for child in self._children.values() if not child.row.vital]
        for child in others:
            if child.alive:
                child.process.terminate()
        needed = [child for child in reversed(self._children.values()) if child.row.vital]
        stages = [list(rows) for _, rows in itertools.groupby(needed, key=lambda child: child.row.module)]
        stages += [others]
        for left, stage in zip(reversed(range(len(stages))), stages, strict=True):
            alive = [child for child in stage if child.alive]
            for child in alive:
                child.process.terminate()
            began = time.monotonic()
            while alive := [child for child in alive if child.alive]:
                limit = self._stop_by - left * RESERVE_SECONDS
                if alive[0].row.module != "processes.learner":
                    limit = min(limit, began + STAGE_SECONDS)
                if time.monotonic() >= limit:
                    break
                connection.wait([child.process.sentinel for child in alive], 0.05)
            for child in alive:
                log.get().warning("did not stop in time, killed", child=child.row.name)
                child.process.kill()
                child.process.join()
            for child in stage:
                if child.state is not State.FATAL:
                    child.state = State.STOPPED

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP stop the run; a second one hurries it."""

        def stop(*_: Any) -> None:
            now = time.monotonic()
            if self._stop_by is None:
                self._stop_by = now + self._settings.stop_seconds
            else:
                self._stop_by = min(self._stop_by, now + HURRY_SECONDS)

        watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in watched}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _build(row: Channel) -> Any:
    if row.kind == "ring":
        return Ring(row.slots, row.payload_bytes)
    if row.kind == "latest":
        return Latest(row.slots, row.payload_bytes)
    return Queue(row.payload_bytes)


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
