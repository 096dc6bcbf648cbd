"""The event loop's way to Redis: calls of the cache that wait in threads, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from robo.cache import Cache, Lost
from robo.errors import UserError

THREADS = 8

T = TypeVar("T")


class Asker:
    """Asks the caches of any runs. ``open_cache`` is what opens a run's, and may raise UserError."""

    def __init__(self, open_cache: Callable[[str], Cache]) -> None:
        self._open_cache = open_cache
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ask")
        self._caches: dict[str, Cache] = {}

    async def ask(self, run: str, question: Callable[[Cache], T]) -> T:
        """What the question, called in a thread with the run's cache, returns. Raises Lost."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, run, question)

    def forget(self, run: str) -> None:
        """Let go of a run's cache, until it is asked again."""
        self._caches.pop(run, None)

    def close(self) -> None:
        """Take no more questions; those under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, run: str, question: Callable[[Cache], T]) -> T:
        try:
            cache = self._caches.get(run)
            if cache is None:
                cache = self._caches[run] = self._open_cache(run)
            return question(cache)
        except UserError as error:
            raise Lost(str(error)) from None
        except Lost:
            self.forget(run)  # its Redis may be another one by now
            raise
