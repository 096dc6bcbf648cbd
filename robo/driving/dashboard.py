"""What someone at the wheel is told, as lines of text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robo.driving.keyboard import Controls

HELP = "W/S or up/down throttle   A/D or left/right steer   space brake   r start again   q quit"


@dataclass
class Dashboard:
    """How the drive goes; ``last_lap`` and ``best_lap``: seconds, NaN before the first."""

    speed: float = 0.0
    """m/s"""
    laps: int = 0
    last_lap: float = math.nan
    best_lap: float = math.nan
    crashes: int = 0
    returns: int = 0

    def finish_lap(self, seconds: float) -> None:
        """Count a lap; one whose time is not known leaves the times."""
        self.laps += 1
        if math.isfinite(seconds):
            self.last_lap = seconds
            self.best_lap = seconds if math.isnan(self.best_lap) else min(seconds, self.best_lap)


def lines(dashboard: Dashboard, controls: Controls) -> list[str]:
    """The dashboard and the controls, and which keys there are."""
    pedal = "brake" if controls.brake else f"throttle {controls.throttle:.2f}"
    return [
        f"{dashboard.speed:5.2f} m/s   {pedal:13}   steering {_steering(controls.turn)}",
        f"lap {dashboard.laps + 1}   last {_seconds(dashboard.last_lap)}   "
        f"best {_seconds(dashboard.best_lap)}   crashes {dashboard.crashes}   returns {dashboard.returns}",
        HELP,
    ]


def _steering(turn: float) -> str:
    if not turn:
        return "straight"
    return f"{'left' if turn > 0 else 'right'} {abs(turn):.2f}"


def _seconds(lap: float) -> str:
    return "-" if math.isnan(lap) else f"{lap:.2f} s"
