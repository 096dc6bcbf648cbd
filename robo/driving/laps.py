"""Which laps were clean: complete, and without a crash or a return to the track."""

from __future__ import annotations

from typing import NamedTuple

from robo.driving.state import CarState


class Lap(NamedTuple):
    """One completed lap."""

    seconds: float
    """Simulation time from finish line to finish line; the first one from where the lap clock started."""
    clean: bool


class LapCounter:
    """Follows one car's states and tells of each lap that it completes.

    A lap is clean when the car crossed the finish line (or stood still behind it, not yet started) at its
    beginning, and neither touched a wall nor was returned to the track until its end.
    """

    def __init__(self) -> None:
        self._state: CarState | None = None
        self._clean = False
        self._aside = False
        self.clean_in_a_row = 0

    def put_aside(self) -> None:
        """Somebody else drives from here on: the lap that is under way is nobody's, and will not be told."""
        self._aside = True
        self.clean_in_a_row = 0

    def update(self, state: CarState) -> Lap | None:
        """Take the car's next state. The lap that it completed since the last one, if any."""
        before, self._state = self._state, state
        if before is None or before.session != state.session:
            self._clean = state.segment == -1
            self._aside = False
            self.clean_in_a_row = 0
            return None
        if (state.crashes, state.returns) != (before.crashes, before.returns):
            self._clean = False
            self.clean_in_a_row = 0
        if state.laps == before.laps:
            return None
        lap = None if self._aside else Lap(state.last_lap, self._clean)
        self._aside = False
        if lap is not None and lap.clean:
            self.clean_in_a_row += 1
        # A crash seen together with the finish line may have come after it: this lap is then not clean, and
        # neither is the next.
        self._clean = (state.crashes, state.returns) == (before.crashes, before.returns)
        return lap
