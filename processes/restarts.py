"""When a process that ended is started again, and when that has happened too often."""

from __future__ import annotations

from collections import deque

from robo.config import Supervision


class RestartPolicy:
    """One process's restarts: the wait doubles with each, and too many in a short time are fatal.

    As an Erlang supervisor's restart intensity. Times are in seconds of whatever clock the caller uses.
    """

    def __init__(self, settings: Supervision, *, gives_up: bool = True) -> None:
        """``gives_up``: whether there is a too often; without, the wait just grows no longer."""
        self._settings = settings
        self._gives_up = gives_up
        self._failures: deque[float] = deque()
        self.count = 0
        """Restarts so far."""

    def failed(self, now: float) -> float | None:
        """The process ended at ``now``. Seconds to wait before starting it again; None: give up."""
        self._failures.append(now)
        while now - self._failures[0] > self._settings.max_restarts_seconds:
            self._failures.popleft()
        if self._gives_up and len(self._failures) >= self._settings.max_restarts:
            return None
        self.count += 1
        wait = self._settings.backoff_seconds * 2.0 ** (len(self._failures) - 1)
        return min(wait, self._settings.backoff_max_seconds)
