"""One session of a run, from the command to the exit code: checks, processes, progress, summary."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from processes import preflight
from processes.console import Console
from processes.launch import Run
from processes.progress import Figures, Follower
from processes.supervisor import Outcome, Supervisor
from processes.table import cars, channels, processes
from processes.vitals import Count
from processes.watchers import Watchers
from robo import log
from robo.access import page_url
from robo.cache import Cache, Lost
from robo.cache_values import ProcessHealth
from robo.config import Config
from robo.errors import UserError
from robo.learning import report
from robo.learning.checkpoints import Checkpoints
from robo.log_files import SEVERITY, Merged, text
from robo.runs import RunFolder

LOOK_SECONDS = 0.25
LOST_SECONDS = 0.5
SUMMARY = "summary.json"
TOLD = (
    Count.CONNECTIONS,
    Count.MESSAGES,
    Count.FRAMES,
    Count.ROWS,
    Count.CACHE,
    Count.ROLLBACKS,
    Count.WRITES,
)
"""What the progress line tells of all that is counted; ``make status`` tells all."""


def run(config: Config, folder: RunFolder, *, restart: bool) -> int:
    """Drive (and learn) until a limit, a signal or a fatal end. The exit code.

    Raises UserError before anything is started when the input can't be worked with.
    """
    if not restart and config.driver != "policy":  # which leaves nothing to go on from
        folder.check(config)
    config = preflight.check(config)
    url, managed = preflight.redis_url(config, own=f"unix://{folder.redis_socket}")
    console = Console()
    try:
        _open(folder, config, console, restart=restart)
        if absent := preflight.unanswered(config):
            console.say(absent)
        with _place_for_redis(folder):
            outcome, figures, health, interrupted = _supervise(
                config, folder, url, console, managed_redis=managed
            )
    finally:
        console.close()
    _write_summary(folder.path, config, figures, health, outcome)
    _write_curves(folder.path, draw=not interrupted)
    if outcome.exit_code:
        print(f"error: {outcome.cause}", file=sys.stderr)  # noqa: T201 the last word
    return outcome.exit_code


def _open(folder: RunFolder, config: Config, console: Console, *, restart: bool) -> None:
    if restart:
        moved = folder.set_aside()
        if moved:
            console.say(f"the earlier run is now in {_short(moved)}")
    folder.lock()
    known = folder.exists
    _clear_leftovers(folder)
    folder.write_config(config)
    log.to_file("supervisor", folder.path / "logs" / "supervisor.log", descriptors=False)
    if known:
        console.say(f"resuming {_short(folder.path)}{_where(folder.path)}")
    else:
        console.say(f"new run in {_short(folder.path)}")


def _supervise(
    config: Config, folder: RunFolder, url: str, console: Console, *, managed_redis: bool
) -> tuple[Outcome, Figures, Mapping[str, ProcessHealth], bool]:
    """How the run ended, how it went, how its processes were, and whether it was told to stop."""
    fleet = cars(config)
    cache = Cache(url, folder.name)
    run_ = Run(folder.name, folder.path, config, url, fleet)
    table = processes(config, managed_redis=managed_redis)
    supervisor = Supervisor(run_, table, channels(config), lambda _: cache.answers(), console.say)
    scored = {car.name for car in fleet if car.role == "evaluator"} or {car.name for car in fleet}
    follower = Follower(cache, scored, config.limits, psutil.Process().create_time())
    look = _Look(supervisor, follower, cache, console, run_)
    if config.monitor.enabled:
        console.say(f"page: {page_url(config.monitor.bind, config.monitor.port)}")
    if not managed_redis:
        with contextlib.suppress(Lost):
            cache.clear()
    outcome = supervisor.run(look)
    health = supervisor.health()
    if not managed_redis:
        with contextlib.suppress(Lost):
            cache.put_processes(health)
    console.close()
    console.say((look.ended_by or outcome.cause or "stopped") + _where(folder.path))
    return outcome, follower.figures, health, not (look.ended_by or outcome.cause)


class _Look:
    """Called on every tick: reads the cache now and then, shows the run, and says whether it goes on."""

    def __init__(
        self, supervisor: Supervisor, follower: Follower, cache: Cache, console: Console, run: Run
    ) -> None:
        self._supervisor = supervisor
        self._follower = follower
        self._cache = cache
        self._console = console
        self._logs = Merged(run.folder / "logs", only_new=True)
        self._watchers = Watchers(cache, supervisor, run)
        self._next = 0.0
        self.ended_by = ""

    def _tell(self) -> None:
        """Show what processes warn of; the supervisor says by itself what it does."""
        for entry in self._logs.new():
            if entry.process != "supervisor" and entry.severity >= SEVERITY["warning"]:
                self._console.say(text(entry))

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return True
        self._next = now + LOOK_SECONDS
        self._tell()
        figures = self._follower.figures
        health = self._supervisor.health()
        figures.waiting_for = _waiting_for({name: process.state for name, process in health.items()})
        figures.troubles = _troubles(health)
        if self._supervisor.orders.now.paused:
            figures.troubles.insert(0, "paused")
        try:
            laps = self._follower.read(time.time())
            self._cache.put_processes(health)
            self._watchers.look(now)
        except Lost:
            laps = []
            figures.troubles.insert(0, "no Redis")
            self._next = time.monotonic() + LOST_SECONDS  # each look waits for it, and there is more to do
        for lap in laps:
            if lap.clean:
                row = f", {lap.clean_in_a_row} in a row" if lap.clean_in_a_row > 1 else ""
                at = lap.at - time.time() + figures.wall_seconds
                self._console.say(f"{at:6.1f} s  {lap.car}: clean lap in {lap.seconds:.2f} s{row}")
        self._console.show(figures)
        self.ended_by = self._follower.reached() or self._watchers.requests.stop
        return not self.ended_by


def _waiting_for(states: dict[str, str]) -> str:
    missing = [name for name, state in states.items() if state != "running"]
    return f"starting: {', '.join(missing)}" if missing else ""


def _troubles(health: Mapping[str, ProcessHealth]) -> list[str]:
    """What processes complain of, and what they had to make up for."""
    complaints = [f"{name}: {process.complaint}" for name, process in health.items() if process.complaint]
    restarts, counts = _totals(health)
    told = {"restarts": restarts, **{what.value: counts[what.value] for what in TOLD}}
    return complaints + [f"{number} {what}" for what, number in told.items() if number]


def _totals(health: Mapping[str, ProcessHealth]) -> tuple[int, Counter[str]]:
    """Restarts, and what was counted, of all processes together."""
    counts: Counter[str] = Counter()
    for process in health.values():
        counts.update(process.counts)
    return sum(process.restarts for process in health.values()), counts


def _where(folder: Path) -> str:
    """What the newest checkpoint holds, to add to a sentence."""
    counters = _checkpoint(folder)
    return f", at {counters['env_steps']} steps, {counters['train_steps']} trained" if counters else ""


def _checkpoint(folder: Path) -> dict[str, int]:
    """The counters of the newest checkpoint; empty when there is none."""
    return Checkpoints(folder / "checkpoints", keep=1).latest_counters() or {}


def _write_summary(
    folder: Path, config: Config, figures: Figures, health: Mapping[str, ProcessHealth], outcome: Outcome
) -> None:
    """What this session came to, for programs. The steps are those that the next session goes on from."""
    counters = _checkpoint(folder)
    restarts, counts = _totals(health)
    summary = {
        "exit_code": outcome.exit_code,
        "cause": outcome.cause,
        "wall_seconds": round(figures.wall_seconds, 2),
        "seconds_to_first_clean_lap": figures.first_clean_lap_at,
        "seconds_to_clean_laps": figures.enough_laps_at,
        "clean_laps": figures.clean_laps,
        "laps": figures.laps,
        "clean_lap_rate": figures.clean_laps / figures.laps if figures.laps else None,
        "mean_lap_seconds": figures.clean_seconds / figures.clean_laps if figures.clean_laps else None,
        "best_lap_seconds": figures.best_lap or None,
        **{name: counters.get(name, 0) for name in ("env_steps", "train_steps", "replay")},
        "clock": config.simulator.clock if config.simulator.embedded else "realtime",
        "cars": config.cars.explorers + config.cars.evaluators,
        "restarts": restarts,
        "counts": counts,
    }
    with contextlib.suppress(OSError):  # the disk may be full
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _write_curves(folder: Path, *, draw: bool) -> None:
    """The learning curves so far, where something was learned; a picture takes seconds, so whoever waits for
    the end can do without."""
    with contextlib.suppress(UserError, OSError):
        report.write(folder, picture=draw)


def _clear_leftovers(folder: RunFolder) -> None:
    """Remove what a session that was killed has left: all else of it went with its processes."""
    try:
        Checkpoints(folder.path / "checkpoints", keep=1).clear_leftovers()
        folder.redis_socket.unlink(missing_ok=True)
    except OSError as error:
        where = error.filename or folder.path
        raise UserError(f"{where}: {error.strerror}; remove it, or choose another RUN=name") from None


@contextlib.contextmanager
def _place_for_redis(folder: RunFolder) -> Iterator[None]:
    """Have a private folder for the socket of the run's own Redis, where the run's has too long a name."""
    place = folder.redis_socket.parent
    if place == folder.path.absolute():
        yield
        return
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    if place.is_symlink() or not place.is_dir() or place.stat().st_uid != os.getuid():
        raise UserError(f"{place}: not ours; remove it, or choose a shorter --runs folder")
    try:
        yield
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
