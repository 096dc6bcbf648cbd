"""Which runs are watched: those that somebody asks for, for as long as somebody does."""

from __future__ import annotations

import asyncio
import time

from monitor.asking import Asker
from monitor.hub import Hub
from monitor.messages import RunLine
from monitor.refused import Refused
from monitor.settings import Settings
from monitor.watch import Watch
from robo.cache import Cache, Lost

TEND_SECONDS = 1.0
FIRST_LOOK_SECONDS = 2.0
"""How long one who asks for a run that was not watched waits until something is known of it."""
UNDER_WAY_SECONDS = 10.0
"""A run that was heard of since goes on."""
END_SECONDS = 0.6
NO_RUN = ""
"""What is watched while no run is known: nothing, but whether Redis answers."""


class Watches:
    """The hubs of the runs that are watched, each with the thread that fills it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.asker = Asker(settings.cache)
        self._watches: dict[str, tuple[Hub, Watch]] = {}
        self._newest = NO_RUN
        self._tending: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def default(self) -> str:
        """The run that is shown where none is asked for."""
        return self._settings.run or self._newest

    @property
    def hubs(self) -> list[Hub]:
        """Of all runs that are watched."""
        return [hub for hub, _ in self._watches.values()]

    @property
    def viewers(self) -> int:
        """How many watch, all runs together."""
        return sum(hub.viewers for hub in self.hubs)

    async def start(self) -> None:
        """Watch the run that is shown by default."""
        self._open(self.default)
        self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        """End all watching, in a second at most; the asker is left open for whoever still uses it."""
        self._closed = True
        if self._tending is not None:
            self._tending.cancel()
        watches, self._watches = list(self._watches.values()), {}
        for hub, watch in watches:
            hub.close()
            watch.end()
        give_up = time.monotonic() + END_SECONDS
        while any(watch.is_alive() for _, watch in watches) and time.monotonic() < give_up:
            await asyncio.sleep(0.01)

    async def hub(self, run: str | None) -> Hub:
        """The hub of a run, of the default one where none is named.

        Raises Refused when there is no such run, or too many are watched; and Lost when Redis can't say.
        """
        if not run and self._settings.run is None and self._newest == NO_RUN:
            await self._look_for_newest()
        name = run or self.default
        if name != self.default and name not in self._watches:
            if name not in await self.asker.ask(NO_RUN, Cache.runs):
                raise Refused(404, f"there is no run {name[:64]} in this Redis")
            if name not in self._watches and len(self._watches) >= self._settings.most_runs:
                raise Refused(503, f"{len(self._watches)} runs are watched already, and no more may be")
        hub = self._open(name)
        hub.use()
        await hub.filled(FIRST_LOOK_SECONDS)
        return hub

    async def runs(self) -> list[RunLine]:
        """All runs in this Redis, newest first. Raises Lost."""
        now = time.time()
        found = await self.asker.ask(NO_RUN, Cache.runs)
        return [RunLine(name, at, now - at < UNDER_WAY_SECONDS) for name, at in found.items()]

    def _open(self, run: str) -> Hub:
        if self._closed:
            raise Refused(503, "the monitor stops")
        if run not in self._watches:
            hub = Hub(run)
            watch = Watch(hub, asyncio.get_running_loop(), lambda: self._settings.cache(run))
            hub.stir = watch.stir
            self._watches[run] = (hub, watch)
            watch.start()
        return self._watches[run][0]

    def _end(self, run: str) -> None:
        hub, watch = self._watches.pop(run)
        hub.close()
        watch.end()
        self.asker.forget(run)

    async def _tend(self) -> None:
        """Now and then, find out which run is the newest, and end what nobody watches any more."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            if self._settings.run is None:
                await self._look_for_newest()
            now = time.monotonic()
            for hub in self.hubs:
                if hub.run != self.default and hub.unused_for(now) > self._settings.unused_seconds:
                    self._end(hub.run)

    async def _look_for_newest(self) -> None:
        try:
            runs = await self.asker.ask(NO_RUN, Cache.runs)
        except Lost:
            return
        newest = next(iter(runs), NO_RUN)
        if time.time() - runs.get(self._newest, 0.0) < UNDER_WAY_SECONDS:
            return  # of several that go on, none is the newest for long
        if newest not in (NO_RUN, self._newest):
            self._newest = newest
            self._open(newest)
            if NO_RUN in self._watches:
                self._end(NO_RUN)  # its viewers come again, and get what there is now
