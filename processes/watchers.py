"""What whoever watches a run is told of it as a whole, and what they ask of it."""

from __future__ import annotations

import contextlib
import time

from processes import box
from processes.history import History
from processes.launch import Run
from processes.requests import Requests
from processes.supervisor import Supervisor
from robo import log
from robo.cache import Cache, Lost

BOX_SECONDS = 1.0
SHELF_SECONDS = 5.0


class Watchers:
    """The supervisor's side of it; what its processes tell by themselves is not its matter."""

    def __init__(self, cache: Cache, supervisor: Supervisor, run: Run) -> None:
        self._cache = cache
        self._supervisor = supervisor
        self._run = run
        self._started_at = time.time()
        self._history = History(cache, run.folder)
        self._box_at = self._shelf_at = 0.0
        self.requests = Requests(cache, supervisor, run.config, run.folder)

    def look(self, now: float) -> None:
        """Tell what is new at monotonic time ``now``, and do what was asked for. Raises Lost.

        Whatever else goes wrong is logged: nobody who watches is worth a run.
        """
        try:
            self._look(now)
        except Lost:
            raise
        except Exception:
            log.get().exception("whoever watches could not be told")

    def _look(self, now: float) -> None:
        self.requests.look()
        if now < self._box_at:
            return
        self._box_at = now + BOX_SECONDS
        orders = self._supervisor.orders.now
        info = box.run_info(self._run.config, self._run.cars, self._started_at, orders)
        machine = shelf = None
        with contextlib.suppress(OSError):  # what is not there can't be told of
            machine = box.machine(self._run.folder)
            if now >= self._shelf_at:
                self._shelf_at = now + SHELF_SECONDS
                shelf = box.shelf(self._run.folder, self._run.config)
        self._cache.put_box(info, machine, shelf)
        self._history.refill()
