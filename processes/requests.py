"""Does what a run is asked to do, by a page or a command, through the cache."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from processes.box import misfit, policy_folders
from processes.orders import PolicyOrder, film
from processes.supervisor import Supervisor
from robo import log
from robo.cache import Cache
from robo.cache_values import Answer, Request
from robo.config import Config
from robo.learning.details import read_details

HARMLESS = ("film", "cut")
"""What a run does even where it is not controlled from outside: commands on its own machine ask for it."""
EVALUATOR = "evaluator"
FINISH_SECONDS = 5.0
"""In which a recorder has finished a film that was cut."""


class Refused(Exception):
    """Why a request is not done, in words."""


class Requests:
    """Takes requests from the cache and answers each."""

    def __init__(self, cache: Cache, supervisor: Supervisor, config: Config, folder: Path) -> None:
        self._cache = cache
        self._supervisor = supervisor
        self._config = config
        self._folder = folder
        self._evaluator_restarts = 0
        self._cut_film: str | None = None
        self._cut_at = 0.0
        self.stop = ""
        """Why the run is to end, in words; empty: it is not."""

    def look(self) -> None:
        """Do what has been asked for since the last look. Raises Lost."""
        for request in self._cache.requests():
            try:
                answer = Answer(True, self._do(request))
            except Refused as error:
                answer = Answer(False, str(error))
            log.get().info(
                "asked", what=request.what, target=request.target, done=answer.done, came_of_it=answer.text
            )
            self._cache.put_answer(request.id, answer)
        self._see_film()
        self._see_policy()

    def _see_policy(self) -> None:
        """Ask no more for a policy that the evaluator has ended with: its replacement would end so, too."""
        ordered = self._supervisor.orders.now.policy
        if ordered is not None and self._supervisor.restarts(EVALUATOR) != self._evaluator_restarts:
            log.get().warning("the evaluator ended: it drives what is learned again", policy=ordered.name)
            self._order(policy=None)

    def _see_film(self) -> None:
        """Ask no more for a film that is as long as it was to be: a new recorder would begin it again."""
        ordered = self._supervisor.orders.now.film
        if ordered is not None and ordered.seconds:
            film = self._cache.film()
            if film is not None and film.over and film.id == ordered.id:
                self._order(film=None)
        elif self._cut_film is not None and time.monotonic() - self._cut_at > FINISH_SECONDS:
            film = self._cache.film()
            if film is not None and film.id == self._cut_film and not film.over:
                # Its recorder was gone when it was cut, so nobody else would say that it is over.
                self._cache.put_film(replace(film, at=time.time(), over=True))
            self._cut_film = None

    def _do(self, request: Request) -> str:
        """What was done, in words. Raises Refused."""
        if request.what not in HARMLESS and not self._config.monitor.control:
            raise Refused("this run takes no commands; start it with --set monitor.control=true")
        return getattr(self, f"_{request.what}")(request)

    def _pause(self, _: Request) -> str:
        self._order(paused=True)
        return "paused: cars stand still and nothing is learned"

    def _resume(self, _: Request) -> str:
        self._order(paused=False)
        return "going on"

    def _save(self, _: Request) -> str:
        if self._config.driver != "agent":
            raise Refused("nothing is learned in this run, so there is nothing to save")
        self._order(saves=self._supervisor.orders.now.saves + 1)
        return "saving a checkpoint"

    def _stop(self, _: Request) -> str:
        self.stop = "stopped from the page"
        return "stopping, with a checkpoint"

    def _restart(self, request: Request) -> str:
        if trouble := self._supervisor.restart(request.target):
            raise Refused(trouble)
        return f"restarting {request.target}"

    def _policy(self, request: Request) -> str:
        if not self._config.cars.evaluators:
            raise Refused("this run has no evaluator")
        if not request.target:
            self._order(policy=None)
            return "the evaluator drives what is learned"
        # Only a name that is on the shelf leads to a folder: a path from outside never does.
        try:
            folder = policy_folders(self._folder.parent).get(request.target)
        except OSError as error:
            raise Refused(f"policies can't be looked for: {error.strerror}") from None
        if folder is None:
            raise Refused(f"there is no policy {request.target[:100]!r}")
        if why := misfit(read_details(folder), self._config):
            raise Refused(f"{request.target} can't drive here: {why}")
        self._order(policy=PolicyOrder(request.id, request.target, str(folder.absolute())))
        self._evaluator_restarts = self._supervisor.restarts(EVALUATOR)
        return f"the evaluator takes up {request.target}, in a few seconds"

    def _film(self, request: Request) -> str:
        if request.target not in {car.name for car in self._supervisor.cars}:
            raise Refused(f"there is no car {request.target[:100]!r}")
        self._order(film=film(request.id, request.target, request.seconds))
        return f"filming {request.target}"

    def _cut(self, request: Request) -> str:
        ordered = self._supervisor.orders.now.film
        if ordered is None or request.target not in ("", ordered.id):
            raise Refused("nothing is filmed")
        self._order(film=None)
        self._cut_film, self._cut_at = ordered.id, time.monotonic()
        return "the film is ended"

    def _order(self, **changes: object) -> None:
        orders = self._supervisor.orders
        try:
            orders.give(replace(orders.now, **changes))
        except ValueError as error:
            raise Refused(str(error)) from None
