"""Exported policies as explorers drive them: from the start, or taken up while the run goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from processes.orders import PolicyOrder
from robo.config import Action
from robo.learning.details import read_details


class Exported:
    """An exported policy drives one car."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError when there is none, or it can't be read."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from robo.learning.saved_policy import SavedPolicy  # noqa: PLC0415 imports TensorFlow

        self._policy = SavedPolicy(folder)

    def begin(self) -> None:
        """The policy forgets what it saw."""
        self._policy.begin()

    def act(self, vector: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """See Policy."""
        return self._policy(vector)


class Loaded(NamedTuple):
    """A policy that is ready to drive."""

    name: str
    policies: dict[int, Exported]
    """By car, as each remembers what its car saw."""
    action: Action
    """What its outputs mean."""


def action_of(folder: Path, action: Action) -> Action:
    """What an exported policy's outputs mean, where ``action`` is what is not said.

    Raises ValueError (a msgspec.ValidationError) when what is said makes no sense.
    """
    said = read_details(folder).get("action", {})
    return msgspec.convert({**msgspec.to_builtins(action), **said}, Action)


class Substitute:
    """The policy that evaluators drive in place of what is learned, when they are asked to.

    It is loaded in a thread, at no urgency, while what drove before goes on, if haltingly: TensorFlow alone
    takes seconds.
    """

    def __init__(self, cars: Iterable[int], size: int, action: Action) -> None:
        """``size``: of what a policy sees, float32 [size]; ``action``: the run's."""
        self._cars = list(cars)
        self._size = size
        self._action = action
        self._wanted: PolicyOrder | None = None
        self._loaded: Loaded | None = None
        self.trouble = ""
        """Why the policy that was asked for does not drive."""

    def want(self, wanted: PolicyOrder | None) -> Loaded | None:
        """Which policy is to drive; None: what is learned. The one that does."""
        if wanted != self._wanted:
            self._wanted, self.trouble = wanted, ""
            if wanted is not None:
                threading.Thread(target=self._load, args=(wanted,), name="policy", daemon=True).start()
        if wanted is None:
            self._loaded = None
        return self._loaded

    def _load(self, wanted: PolicyOrder) -> None:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # of this thread alone
        folder = Path(wanted.folder)
        try:
            policies = {car: Exported(folder) for car in self._cars}
            loaded = Loaded(wanted.name, policies, action_of(folder, self._action))
            for policy in policies.values():  # the first call takes long, and tells whether it fits
                policy.act(np.zeros(self._size, np.float32), np.zeros(0, np.float32))
        except Exception as error:  # whatever a damaged one makes TensorFlow raise
            if self._wanted == wanted:
                why = str(error).partition("\n")[0] or type(error).__name__
                self.trouble = f"{wanted.name} not taken up: {why}"
            return
        if self._wanted == wanted:
            self._loaded = loaded
