"""The line that a car drove on its last lap."""

from __future__ import annotations

from robo.cache_values import LapLine
from robo.driving.laps import Lap
from robo.driving.state import CarState

MOST_POINTS = 2000
"""Of a lap: 100 s at 20 decisions a second. Of a longer one the beginning is forgotten."""


class LapTracer:
    """Follows one car's states from finish line to finish line."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float, float]] = []
        self._session: int | None = None
        self._returns = self._laps = 0

    def follow(self, state: CarState, lap: Lap | None) -> LapLine | None:
        """Take the car's next state, and the lap that it completed with it. The line of that lap."""
        if (state.session, state.returns) != (self._session, self._returns):
            # The car was put elsewhere: no line leads there.
            self._session, self._returns, self._laps = state.session, state.returns, state.laps
            self._points = []
        x, _, z = state.position
        self._points.append((round(x, 3), round(z, 3), round(state.speed, 2)))
        if state.laps == self._laps:
            del self._points[:-MOST_POINTS]
            return None
        self._laps = state.laps
        points, self._points = self._points, self._points[-1:]
        if lap is None:
            return None
        return LapLine(state.track, lap.seconds, lap.clean, points)
