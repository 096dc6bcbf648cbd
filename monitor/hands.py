"""Driving by hand: what one page wants of cars, on its way to the run. Only the newest of it is kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from monitor.asking import Asker
from monitor.hub import Hub
from monitor.messages import HandMessage, HandWish
from robo.cache import HAND_SECONDS, Cache, Lost
from robo.cache_values import Hand

MOST_ANSWERS = 200
"""That wait for a page; one that asks and does not read gets no more."""


class Hands:
    """What one page wants of the cars of one run.

    ``refusal`` says why it may want nothing at all; empty: it may. ``tell`` is called when there is
    an answer.
    """

    def __init__(self, hub: Hub, asker: Asker, refusal: Callable[[], str], tell: Callable[[], None]) -> None:
        self._hub = hub
        self._asker = asker
        self._refusal = refusal
        self._tell = tell
        self._wanted: dict[str, Hand | None] = {}
        """What the run has not yet been told."""
        self._driven: set[str] = set()
        """Cars that it may have been told of."""
        self._confirmed: set[str] = set()
        self._answers: dict[str, HandMessage] = {}
        self._telling: asyncio.Task[None] | None = None

    def take(self, wish: HandWish) -> None:
        """Drive a car like that from now on, or give it back."""
        car, now = wish.car, time.monotonic()
        if why := self._why_not(car, now):
            self._confirmed.discard(car)
            self._answer(car, False, why)
            return
        if wish.release:
            if car in self._driven:
                self._want(car, None)
            return
        self._hub.drivers[car] = (self, now + HAND_SECONDS)
        self._driven.add(car)
        self._want(car, Hand(wish.throttle, wish.turn, wish.brake))

    def answers(self) -> list[HandMessage]:
        """Take what the page is to be told."""
        answers, self._answers = list(self._answers.values()), {}
        return answers

    async def close(self) -> None:
        """Give all cars back, but those that somebody else has taken meanwhile."""
        self._wanted = dict.fromkeys(self._driven)
        if self._wanted and self._telling is None:
            self._telling = asyncio.create_task(self._tell_run())
        if self._telling is not None:
            await self._telling

    def _why_not(self, car: str, now: float) -> str:
        if why := self._refusal():
            return why
        if car not in self._hub.known.names():
            return f"{self._hub.run} has no car {car}"
        driver, until = self._hub.drivers.get(car, (self, now))
        return f"{car} is driven by somebody else" if driver is not self and now < until else ""

    def _drives(self, car: str) -> bool:
        """Whether nobody has taken the car after this page had it."""
        return self._hub.drivers.get(car, (None, 0.0))[0] is self

    def _want(self, car: str, hand: Hand | None) -> None:
        self._wanted[car] = hand
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_run())

    async def _tell_run(self) -> None:
        """Tell the run what is wanted, one car after the other, until nothing is left to tell."""
        try:
            while self._wanted:
                car = next(iter(self._wanted))
                await self._put(car, self._wanted.pop(car))
        finally:
            self._telling = None

    async def _put(self, car: str, hand: Hand | None) -> None:
        def put(cache: Cache) -> None:
            cache.put_hand(car, hand)

        if hand is None or not self._drives(car):
            self._driven.discard(car)
            self._confirmed.discard(car)
        if not self._drives(car):
            return  # somebody else has taken it meanwhile
        if hand is None:
            with contextlib.suppress(Lost):  # then it goes by itself, too
                await self._asker.ask(self._hub.run, put)
            if car not in self._driven and self._drives(car):
                del self._hub.drivers[car]  # only now: the next one's wish must not come before this
            return
        try:
            await self._asker.ask(self._hub.run, put)
        except Lost as error:
            self._confirmed.discard(car)
            self._answer(car, False, str(error))
        else:
            if car not in self._confirmed:
                self._confirmed.add(car)
                self._answer(car, True, f"{car} is driven by hand")

    def _answer(self, car: str, ok: bool, text: str) -> None:
        if car in self._answers or len(self._answers) < MOST_ANSWERS:
            self._answers[car] = HandMessage(car, ok, text)
        self._tell()
