"""Command lines of the product under way in tests, and every process that they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from bench.survival import is_dead
from processes.vitals import Count
from robo.cache import Cache, Lost
from robo.cache_values import ProcessHealth, Progress, Telemetry
from robo.config import ROOT
from robo.runs import RunFolder

PORTS = ("simulator.car_port", "simulator.spectator_port", "monitor.port")
FREE_PORTS = [word for key in PORTS for word in ("--set", f"{key}=0")]
LIMIT_SECONDS = 300
"""Several times what a run takes on two busy cores."""

Answer = TypeVar("Answer")
NO_PROGRESS = Progress(0.0, 0, 0, 0, 0.0, 0.0, {})


class Command:
    """A command line under way, and every process that it has started."""

    def __init__(self, module: str, *arguments: str, runs: Path | None) -> None:
        environment = {**os.environ, "SIMULATOR_HOST": "", "REDIS_URL": ""}
        where = ["--runs", str(runs)] if runs else []
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 a pipe that nobody reads would fill up
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, *where],
            cwd=ROOT,
            env=environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self.seen: set[psutil.Process] = set()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def look(self) -> None:
        """Note who descends from the command at the moment."""
        try:
            self.seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def wait(self, done: Callable[[], object], within: float = LIMIT_SECONDS, *, what: str = "") -> float:
        """Wait until something is so, while the command runs. Seconds that it took."""
        began = time.monotonic()
        while not done():
            assert self.process.poll() is None, self.output
            assert time.monotonic() - began < within, f"not {what or 'so'} in {within} s\n{self.output}"
            self.look()
            time.sleep(0.02)
        return time.monotonic() - began

    def wait_for(self, path: Path) -> None:
        """Wait until a file is there that matches the pattern, while the command runs."""
        self.wait(lambda: list(path.parent.glob(path.name)), what=f"there: {path}")

    def finish(self) -> str:
        """Wait for the command's end; what it printed."""
        while self.process.poll() is None:
            self.look()
            time.sleep(0.02)
        return self.output

    def interrupt(self, number: int = signal.SIGINT) -> float:
        """Press Ctrl-C, or send another signal, and wait for the end. Seconds it took."""
        self.look()
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - began

    def left_behind(self) -> list[psutil.Process]:
        """Processes that outlived the command by 2 s. One whose exit code nobody has read yet did not."""
        return [process for process in psutil.wait_procs(self.seen, timeout=2)[1] if not is_dead(process)]

    def end(self) -> None:
        """Kill whatever is left of it."""
        self.look()
        for process in {*self.left_behind(), self.process}:
            process.kill()
        self.process.wait()
        self._output.close()


class Run(Command):
    """A run under way, seen as whoever watches it sees it: through its cache."""

    def __init__(
        self, module: str, *arguments: str, runs: Path, name: str = "run", redis_url: str = ""
    ) -> None:
        redis = ("--set", f"redis.url={redis_url}") if redis_url else ()
        # Many runs at once on a small machine: those of them have a page that are looked at through one.
        page = ("--set", "monitor.enabled=false")
        super().__init__(module, "--run", name, *FREE_PORTS, *page, *redis, *arguments, runs=runs)
        self.name = name
        self.folder = runs / name
        self.cache = Cache(redis_url or f"unix://{RunFolder(name, runs).redis_socket}", name)

    def health(self) -> dict[str, ProcessHealth]:
        """Every process's."""
        return self._asked(self.cache.processes)

    def telemetry(self) -> dict[str, Telemetry]:
        """Every car's."""
        return self._asked(self.cache.telemetry)

    def progress(self) -> Progress:
        """How far the learner is."""
        return self._asked(self.cache.progress) or NO_PROGRESS

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """What the cache answers, once there is a Redis that does."""
        answers: list[Answer] = []

        def answered() -> bool:
            try:
                answers.append(ask())
            except Lost:
                return False
            return True

        self.wait(answered, 60.0, what="answered by Redis")
        return answers[0]

    def wait_until_learning(self, train_steps: int = 100, within: float = LIMIT_SECONDS) -> float:
        """Wait until the learner has done so many more train steps. Seconds that it took."""
        before = self.progress().train_steps
        return self.wait(lambda: self.progress().train_steps >= before + train_steps, within, what="learning")

    def count(self, what: Count) -> int:
        """How often something has happened, in all processes together."""
        return sum(process.counts.get(what.value, 0) for process in self.health().values())

    def pid(self, name: str) -> int | None:
        """The id of the process that runs under this name at the moment."""
        health = self.health().get(name)
        return health.pid if health and health.state == "running" else None

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a process a signal as soon as it runs. Its id."""
        self.wait(lambda: self.pid(name), what=f"running: {name}")
        pid = self.pid(name)
        assert pid is not None
        os.kill(pid, number)
        return pid

    def wait_for_another(self, name: str, pid: int, within: float = LIMIT_SECONDS) -> float:
        """Wait until another process than ``pid`` runs under this name. Seconds that it took."""
        return self.wait(lambda: self.pid(name) not in (None, pid), within, what=f"back: {name}")

    def wait_until_driving(self, decisions: int = 40, within: float = LIMIT_SECONDS) -> float:
        """Wait until every car has taken so many more decisions. Seconds that it took."""
        before: dict[str, int] = {}
        done: dict[str, int] = {}

        def driven() -> bool:
            now = {name: car.decisions for name, car in self.telemetry().items()}
            for name, count in now.items():
                last = before.get(name, count)
                done[name] = done.get(name, 0) + max(0, count - last)  # a new driver counts from 0
            before.update(now)
            return bool(done) and min(done.values()) >= decisions

        return self.wait(driven, within, what="driving")
