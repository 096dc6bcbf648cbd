"""How every process of a run is started and what it is given; a process's own module holds only its loop."""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import select
import signal
import sys
import time
import traceback
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple

from processes import scheduling
from processes.channels import Doorbell, Vitals
from processes.table import Car, Process
from processes.trace import Trace
from robo import log
from robo.config import Config
from robo.errors import FatalError, UserError

SPAWN = multiprocessing.get_context("spawn")
BAD_INPUT = 2
"""Exit code of a process, or a command, that was given something it can't work with."""
FATAL = 3
"""Exit code of a process that would fail again."""
BEAT_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


class Run(NamedTuple):
    """What all processes of a run know."""

    name: str
    folder: Path
    config: Config
    redis_url: str
    cars: list[Car]


class Context:
    """One process's view of its run: settings, channels, and how it reports and is told to stop."""

    def __init__(
        self, run: Run, process: Process, index: int, vitals: Vitals, channels: dict[str, Any]
    ) -> None:
        self.run = run
        self.config = run.config
        self.process = process
        self.channels = channels
        self._index = index
        self._vitals = vitals
        self._stop = Doorbell()
        self._stopping = False
        self._ready = False
        self.cores = scheduling.usable_cores()
        """Those that the run may use."""
        self.trace = Trace(on=run.config.supervision.trace)

    @property
    def name(self) -> str:
        """The process's name in the table."""
        return self.process.name

    @property
    def group(self) -> int:
        """The group number at the end of the process's name."""
        return int(self.name.lstrip("abcdefghijklmnopqrstuvwxyz_"))

    @property
    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        return self._stopping

    def request_stop(self) -> None:
        """Ask the process to stop: its loop sees it in ``stopping``, and is woken for it."""
        if not self._ready:
            os._exit(0)  # still loading: there is nothing to finish, and imports can take seconds
        self._stopping = True
        self._stop.ring()

    def beat(self) -> None:
        """Report a sign of life."""
        self._vitals.beat(self._index, time.monotonic())

    def wait(self, *sources: Any, timeout: float = BEAT_SECONDS) -> list[Any]:
        """Beat, then wait until a source (anything with a ``fileno``) is ready, or a stop was requested.

        Returns the sources that are ready. Waits ``timeout`` seconds at the most; a loop that comes here
        again each time beats often enough with the default.
        """
        self.beat()
        ready, _, _ = select.select([*sources, self._stop], [], [], timeout)
        return [source for source in ready if source is not self._stop]

    def ready(self) -> None:
        """Report that the process does its work from here on."""
        scheduling.hurry(self.config, self.process, self.cores)
        self.beat()
        self._ready = True
        self._vitals.set_ready(self._index)


def start(context: Context) -> SpawnProcess:
    """Start a process of its own for the context's row."""
    # NumPy's matrix library would start a thread a core in every process; their spinning costs more than our
    # small matrices do. It reads this when it is loaded, so it must be there before the child is.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    child = SPAWN.Process(target=_main, args=(context, os.getpid()), name=context.name)
    child.start()
    return child


def _main(context: Context, parent: int) -> None:
    _die_with(parent)
    os.setpgid(0, 0)  # a Ctrl-C in the terminal is the supervisor's to act on, not ours
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: context.request_stop())
    _write_to(context.run.folder / "logs" / f"{context.name}.log")
    log.configure(context.name, sys.stderr)
    _set_title(f"robo {context.run.name} {context.name}")
    scheduling.settle(context.config, context.process, context.cores)
    try:
        importlib.import_module(context.process.module).main(context)
    except (UserError, FatalError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201 the log's last line is the cause
        sys.exit(BAD_INPUT if isinstance(error, UserError) else FATAL)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        context.trace.write(context.run.folder / "trace" / f"{context.name}.npy")


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent dies, however the parent dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)


def _write_to(path: Path) -> None:
    """Send standard output and error, also those of C++ libraries, to the end of a file."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def _set_title(title: str) -> None:
    import setproctitle  # noqa: PLC0415 not needed by whoever only starts processes

    setproctitle.setproctitle(title)
