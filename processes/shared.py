"""Memory and doorbells that processes share, and that nothing of outlives them.

Shared memory is anonymous (``memfd_create``) and doorbells are event counters (``eventfd``); both are file
descriptors that go to our processes when they are started. So nothing has a name that could outlive a run:
when its last process is gone, the kernel has freed everything, however that process died.
"""

from __future__ import annotations

import mmap
import os
import select
from multiprocessing import reduction
from typing import Any

WORD = 8
"""Bytes of a word; one that is aligned is read and written whole."""


class _Inherited:
    """A file descriptor that goes with this object to a process started with it (and to nobody else)."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def __getstate__(self) -> dict[str, Any]:
        return {"fd": reduction.DupFd(self._fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._fd = state["fd"].detach()

    def __del__(self) -> None:
        try:
            os.close(self._fd)
        except (AttributeError, OSError, TypeError):  # never opened, or the interpreter is going down
            return


class Doorbell(_Inherited):
    """Wakes a waiting process. Rings add up until they are heard; hearing clears them."""

    def __init__(self) -> None:
        super().__init__(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))

    def ring(self) -> None:
        """Wake whoever waits, now or the next time it waits."""
        os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Forget the rings so far."""
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for a ring, and clear it. Whether there was one."""
        heard = bool(select.select([self._fd], [], [], timeout)[0])
        if heard:
            self.clear()
        return heard


class SharedBlock(_Inherited):
    """``size`` bytes of zeroed memory, shared with the processes that are given this object."""

    def __init__(self, size: int) -> None:
        super().__init__(os.memfd_create("robo", os.MFD_CLOEXEC))
        os.ftruncate(self._fd, size)
        self._map(size)

    def _map(self, size: int) -> None:
        self._size = size
        self.bytes = memoryview(mmap.mmap(self._fd, size))

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"size": self._size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._map(state["size"])

    def words(self, offset: int, count: int) -> memoryview:
        """``count`` unsigned 64-bit words from byte ``offset``."""
        return self.bytes[offset : offset + count * WORD].cast("Q")

    def doubles(self, offset: int, count: int) -> memoryview:
        """``count`` 64-bit floats from byte ``offset``."""
        return self.bytes[offset : offset + count * WORD].cast("d")
