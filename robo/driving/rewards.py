"""What a decision earned: from the car's state before it and after it, both in simulation time."""

from __future__ import annotations

import math
from typing import Protocol

from robo import config
from robo.driving.state import CarState
from robo.simulation.track import Track

FASTEST = 20.0
"""m/s; the motor's limit is 17."""


class Reward(Protocol):
    """One car's reward; it may remember what was already paid for in this episode."""

    stuck: float
    """Paid once more when an episode ends for lack of progress."""
    terms: dict[str, float]
    """What was paid in the episode so far, by what it was paid for."""

    def start(self, state: CarState) -> None:
        """An episode begins at ``state``."""

    def __call__(self, before: CarState, after: CarState, gained: float) -> float:
        """What the step between two states of one session earned; ``gained`` as by gained_metres."""


class Progress:
    """Metres gained along the centre line, and a penalty for each crash.

    The gains of an episode add up to the distance between its start and its end, so that driving to and
    fro earns nothing.
    """

    def __init__(self, per_metre: float, crash: float, stuck: float) -> None:
        self.stuck = stuck
        self._per_metre = per_metre
        self._crash = crash
        self.terms: dict[str, float] = {}

    def start(self, state: CarState) -> None:
        """An episode begins."""
        self.terms = {}

    def __call__(self, before: CarState, after: CarState, gained: float) -> float:
        """See Reward."""
        paid = {
            "progress": self._per_metre * gained,
            "crashes": self._crash * (after.crashes - before.crashes),
        }
        return _pay(self.terms, paid)


class Segments:
    """Paid for each segment crossed in order, and more for a fast one; needs no track file.

    In order: 0.2, plus 1 / its seconds when under one second. Crash: -2.5 (1 + speed). More than 100
    degrees off the track's direction: -10 (angle - 100) / 100. Back into the segment before: -10. A
    segment is paid for once in an episode, so that driving to and fro earns nothing.
    """

    stuck = 0.0

    def __init__(self) -> None:
        self._paid_to = 0
        self.terms: dict[str, float] = {}

    def start(self, state: CarState) -> None:
        """An episode begins at ``state``: what was crossed up to there is not paid for."""
        self._paid_to = _net(state)
        self.terms = {}

    def __call__(self, before: CarState, after: CarState, gained: float) -> float:
        """See Reward."""
        new = _net(after) - self._paid_to
        self._paid_to += max(new, 0)
        backwards = after.segments_backwards - before.segments_backwards
        crashes, speed = after.crashes - before.crashes, max(before.speed, after.speed)
        paid = {
            "segments": segments_pay(new, after.segment_seconds, 0, 0, 0.0, 0.0),
            "backwards": segments_pay(0, 0.0, backwards, 0, 0.0, 0.0),
            "crashes": segments_pay(0, 0.0, 0, crashes, speed, 0.0),
            "direction": segments_pay(0, 0.0, 0, 0, 0.0, after.track_angle),
        }
        return _pay(self.terms, paid)


def segments_pay(  # noqa: PLR0917 also compiled by numba
    new: int, seconds: float, backwards: int, crashes: int, speed: float, track_angle: float
) -> float:
    """What ``Segments`` pays for a step: see there.

    ``new``: segments not paid for yet, the last of which took so many ``seconds`` (0: not known);
    ``backwards`` and ``crashes``: how many; ``speed``: m/s; ``track_angle``: degrees.
    """
    reward = 0.0
    if new > 0:
        fast = 1.0 / seconds if 0.0 < seconds < 1.0 else 0.0
        reward += new * (0.2 + fast)
    reward -= 10.0 * backwards
    reward -= 2.5 * (1.0 + speed) * crashes
    if track_angle > 100.0:
        reward -= 10.0 * (track_angle - 100.0) / 100.0
    return reward


def build(settings: config.Reward, *, track_known: bool) -> Reward:
    """The configured reward for one car; ``auto`` is Progress where the track is known."""
    if track_known and settings.kind != "segments":
        return Progress(settings.per_metre, settings.crash, settings.stuck)
    return Segments()


def gained_metres(track: Track | None, before: CarState, after: CarState) -> float:
    """Metres along the centre line from ``before`` to ``after``, the short way round; backwards negative.

    0 for a car that was put elsewhere, which is also taken to be so where no car can have driven so far in
    that time and the word of its return is still under way. Without a track, the straight distance, negative
    when the car faces backwards.
    """
    metres = math.dist(before.position, after.position)
    if after.returns != before.returns or metres > FASTEST * max(after.time - before.time, 0.0):
        return 0.0
    if track is None:
        return metres if after.track_angle < 90.0 else -metres
    start = track.distance(before.position)
    return track.signed_gain(start, track.distance(after.position, near=start))


def _pay(terms: dict[str, float], paid: dict[str, float]) -> float:
    """Add what was paid to the terms; its sum."""
    for name, amount in paid.items():
        if amount:
            terms[name] = terms.get(name, 0.0) + amount
    return sum(paid.values())


def _net(state: CarState) -> int:
    return state.segments_in_order - state.segments_backwards
