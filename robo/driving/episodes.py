"""When an episode ends, and whether its end is the task's (terminated) or ours (truncated)."""

from __future__ import annotations

import enum

from robo.driving.state import CarState


class End(enum.Enum):
    """Why an episode ended."""

    RETURNED = "returned to track"
    CRASHED = "crashed"
    STUCK = "no progress"
    LAPS = "laps done"
    LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    """The chain lost the car: frames or states are missing, and no step across the gap is known."""

    @property
    def terminated(self) -> bool:
        """Whether nothing can be earned any more from here: the discount is 0."""
        return self in (End.RETURNED, End.CRASHED, End.STUCK)


class EpisodeRules:
    """One car's episode: how long it may last, and how long without progress."""

    def __init__(
        self,
        laps: int,
        max_seconds: float,
        stuck_seconds: float,
        stuck_metres: float,
        *,
        end_on_crash: bool = False,
    ) -> None:
        self._laps = laps
        self._max_seconds = max_seconds
        self._stuck_seconds = stuck_seconds
        self._stuck_metres = stuck_metres
        self._end_on_crash = end_on_crash

    def start(self, state: CarState) -> None:
        """An episode begins at ``state``."""
        self._start = state
        self._metres = self._mark_metres = 0.0
        self._mark_time = state.time

    def update(self, state: CarState, gained: float) -> End | None:
        """Take the next state and the metres gained (or lost) since the last. The end, if it is one."""
        if state.session != self._start.session:
            return End.INTERRUPTED
        if state.returns > self._start.returns:
            return End.RETURNED
        if self._end_on_crash and state.crashes > self._start.crashes:
            return End.CRASHED
        if state.laps - self._start.laps >= self._laps:
            return End.LAPS
        self._metres += gained
        if self._metres >= self._mark_metres + self._stuck_metres:
            self._mark_metres, self._mark_time = self._metres, state.time
        elif state.time - self._mark_time > self._stuck_seconds:
            return End.STUCK
        return End.LIMIT if state.time - self._start.time > self._max_seconds else None
