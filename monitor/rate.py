"""How many of a car's pictures are shown."""

from __future__ import annotations

PICTURE_SECONDS = 1 / 20
"""Between two of them, on average."""
EARLY_SECONDS = PICTURE_SECONDS / 2
"""How much sooner than that one may follow: they come when they come."""
LOOK_SECONDS = 0.02
"""Until the next one may have come; looking costs, too."""
JUMP_SECONDS = 1.0


class Rate:
    """Of one car: which pictures are left out, so that there are 20 a second and no more.

    It goes by when they were taken, so that one that is shown is shown as soon as it is seen. One that came
    too soon is shown later if it is still the newest then.
    """

    def __init__(self) -> None:
        self._next_at = 0.0
        """When, by the clock of the pictures, the next one is due."""
        self._shown = float("-inf")
        """When the last one was shown, monotonic seconds."""

    def may_look(self, now: float) -> bool:
        """Whether there may be one to show already, at ``now`` (monotonic seconds)."""
        return now >= self._shown + LOOK_SECONDS

    def may_show(self, at: float, now: float) -> bool:
        """Whether to show one that was taken at ``at`` (Unix seconds); if so, it counts."""
        in_time = at >= self._next_at - EARLY_SECONDS
        if not in_time and now < self._shown + PICTURE_SECONDS:
            return False
        clock_set_back = self._next_at - at > JUMP_SECONDS
        self._next_at = (at if clock_set_back else max(self._next_at, at)) + PICTURE_SECONDS
        self._shown = now
        return True
