"""How every process of a run is started and what it is given; a process's own module holds only its loop."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import multiprocessing
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

from processes import scheduling
from processes.shared import Doorbell
from processes.table import Car, Process
from processes.trace import Trace
from processes.vitals import Count, Vitals
from robo import log
from robo.config import Config
from robo.errors import FatalError, UserError

FORKED = multiprocessing.get_context("forkserver")
BAD_INPUT = 2
"""Exit code of a process, or a command, that was given something it can't work with."""
FATAL = 3
"""Exit code of a process that would fail again."""
BEAT_SECONDS = 0.5
TIDY_SECONDS = 5.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
        self._complaints: dict[str, str] = {}
        self._told: Counter[str] = Counter()
        self._tidy_at = 0.0
        self._lines_lost = 0
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
        now = time.monotonic()
        self._vitals.beat(self._index, now)
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_SECONDS
            log.tidy()
            lost = log.lost() - self._lines_lost
            self._lines_lost += lost
            self.count(Count.LOG_LINES, lost)

    def wait(self, *sources: Any, writable: Sequence[Any] = (), timeout: float = BEAT_SECONDS) -> list[Any]:
        """Beat, then wait until a source (anything with a ``fileno``) is ready, or a stop was requested.

        Returns the sources that are ready: to be read, or, of ``writable`` ones, to be written to. Waits
        ``timeout`` seconds at the most; a loop that comes here again each time beats often enough with the
        default.
        """
        self.beat()
        readable, written, _ = select.select([*sources, self._stop], writable, [], timeout)
        return [source for source in readable if source is not self._stop] + written

    def count(self, what: Count, by: int = 1, event: str = "", **details: Any) -> None:
        """Count something; where there is an ``event`` in words, log it the 1st, 2nd, 4th, 8th time, ...

        So what goes on for hours does not fill the disk, and is never silent.
        """
        so_far = self._vitals.count(self._index, what, by)
        if event and so_far.bit_length() > (so_far - by).bit_length():
            log.get().warning(event, so_far=so_far, **details)

    def complain(self, about: str, text: str) -> None:
        """Say what is not as it should be, for people to see; an empty text: ``about`` is in order again.

        Logged the 1st, 2nd, 4th, 8th time, ...; it can be seen in the run's health all the time.
        """
        before = self._complaints.get(about, "")
        if before == text:
            return
        self._complaints[about] = text
        if not before:
            self._told[about] += 1
            if self._told[about].bit_count() == 1:
                log.get().warning(text, so_far=self._told[about])
        elif not text:
            log.get().info(f"{about}: in order again")
        self._vitals.complain(self._index, "; ".join(filter(None, self._complaints.values())))

    def ready(self) -> None:
        """Report that the process does its work from here on."""
        scheduling.hurry(self.config, self.process, self.cores)
        self.beat()
        self._ready = True
        self._vitals.set_ready(self._index)


def load(modules: Iterable[str]) -> None:
    """Say what the processes to come will need: they are forked from one that has loaded it.

    So they start within a tenth of a second, also on a busy machine, where loading it takes a second each.
    """
    FORKED.set_forkserver_preload(sorted(set(modules)))


def start(context: Context) -> ForkServerProcess:
    """Start a process of its own for the context's row.

    Raises OSError or EOFError when it could not be forked; the next start may find another process to fork
    from.
    """
    # NumPy's matrix library would start a thread a core in every process; their spinning costs more than our
    # small matrices do. It reads this when it is loaded, so it must be there before the first child is.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    child = FORKED.Process(target=_main, args=(context,), name=context.name)
    resource_tracker.ensure_running()  # which unblocks signals, where it has to be started
    # Inherited by the process that ours are forked from, which is to outlive the signal that stops all of us,
    # and by ours, until they know what to do on it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _main(context: Context) -> None:
    _die_with_parent()
    os.setpgid(0, 0)  # a Ctrl-C in the terminal is the supervisor's to act on, not ours
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: context.request_stop())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    log.to_file(context.name, context.run.folder / "logs" / f"{context.name}.log", descriptors=True)
    faulthandler.enable()
    _set_title(f"robo {context.run.name} {context.name}")
    scheduling.settle(context.config, context.process, context.cores)
    try:
        importlib.import_module(context.process.module).main(context)
    except (UserError, FatalError) as error:
        log.get().critical(log.CRASHED, cause=str(error))
        sys.exit(BAD_INPUT if isinstance(error, UserError) else FATAL)
    except Exception as error:
        log.crash(error)
        sys.exit(1)
    finally:
        with contextlib.suppress(OSError):
            context.trace.write(context.run.folder / "trace" / f"{context.name}.npy")


def _die_with_parent() -> None:
    """Have the kernel end this process with the one it was forked from, which ends with the supervisor."""
    # That one ends when nobody holds the other end of its pipe any more, which each of us was given, too.
    os.close(forkserver._forkserver._forkserver_alive_fd)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    supervisor = multiprocessing.parent_process()
    if supervisor is None or not supervisor.is_alive():  # it died before the kernel was asked
        os._exit(1)


def _set_title(title: str) -> None:
    import setproctitle  # noqa: PLC0415 not needed by whoever only starts processes

    setproctitle.setproctitle(title)
