"""What a process uses of its machine."""

from __future__ import annotations

from typing import TypedDict

import psutil

LOOK_SECONDS = 1.0


class Used(TypedDict):
    """As ``robo.cache_values.ProcessHealth`` has it."""

    cpu: float | None
    memory: int | None


class Usage:
    """Looks now and then at one process after another, whichever runs for a row of the table."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None
        self._used = Used(cpu=None, memory=None)
        self._look_at = 0.0

    def of(self, pid: int | None, now: float) -> Used:
        """What the process of this id used when it was looked at last, at most a second before ``now``."""
        if pid is None or (self._process is not None and self._process.pid != pid):
            self._process, self._used, self._look_at = None, Used(cpu=None, memory=None), now
        if pid is not None and now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            try:
                self._look(pid)
            except psutil.Error:  # it has ended meanwhile
                self._process, self._used = None, Used(cpu=None, memory=None)
        return self._used

    def _look(self, pid: int) -> None:
        new = self._process is None
        self._process = self._process or psutil.Process(pid)
        cpu, memory = self._process.cpu_percent(), self._process.memory_info()
        # What was used until the first look is not known.
        self._used = Used(cpu=None if new else cpu / 100.0, memory=memory.rss - memory.shared)
