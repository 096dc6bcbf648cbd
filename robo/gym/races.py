"""What comes of a car's episode, compiled by numba: its laps, its segments and what it gained on the way.

The same as ``robo.simulation.laps``, ``robo.driving.stream`` and ``robo.driving.laps`` make of one car's
frames, without their messages.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from robo.driving.rewards import segments_pay
from robo.gym.course import ANGLE, VELOCITY, Course, locate, shortest
from robo.simulation.physics import CRASHED, RETURN
from robo.simulation.world import FRAMES_PER_SECOND

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Race = Any
"""One car's row of an array of RACE."""

RACE = np.dtype(
    [
        ("distance", np.float64),  # along the centre line as physics follows the car, metres
        ("place", np.float64),  # as Track.distance finds it: some other place in the inside of a tight bend
        ("gained", np.float64),  # metres along the track in the last decision; 0 for a car that is returned
        ("speed", np.float64),  # m/s
        ("speed_before", np.float64),  # at the decision before
        ("lap_began", np.float64),  # seconds of the episode
        ("last_lap", np.float64),  # seconds it took
        ("clean_lap", np.float64),  # seconds of the clean lap that the last decision completed, or 0
        ("segment_seconds", np.float64),  # of the last segment crossed in order; 0: not known
        ("frames", np.int64),  # driven
        ("segment", np.int64),  # the car is in; -1 before the first
        ("crossed", np.int64),  # frame after which it last was in another; -1: never
        ("in_order", np.int64),  # segments crossed
        ("backwards", np.int64),  # times it crossed back into the segment before
        ("paid_to", np.int64),  # segments in order less backwards that were paid for
        ("crashes", np.int64),
        ("laps", np.int64),
        ("new_crashes", np.int64),  # in the last decision, as the two that follow
        ("new_laps", np.int64),
        ("new_backwards", np.int64),
        ("lapping", np.bool_),  # whether the finish line was crossed
        ("clean", np.bool_),  # whether the lap is, so far
        ("returned", np.bool_),  # whether the car has to be put back on the track
    ],
    align=True,
)
FRESH = np.zeros((), RACE)
"""As an episode begins."""
FRESH["segment"] = FRESH["crossed"] = -1
FRESH["clean"] = True

_segments_pay = njit(cache=True, nogil=True)(segments_pay)


@njit(cache=True, nogil=True)
def steps_in(frame: int) -> int:
    """Physics steps in a frame, the first of which is 0."""
    return (frame + 1) * 25 // 3 - frame * 25 // 3


@njit(cache=True, nogil=True)
def set_out(race: Race) -> None:
    """A decision begins."""
    race["speed_before"] = race["speed"]
    race["new_crashes"] = race["new_laps"] = race["new_backwards"] = 0


@njit(cache=True, nogil=True)
def follow(race: Race, course: Course, happened: int, distance: float, passed: bool) -> bool:
    """Take in what came of a frame, as ``robo.simulation.terrain.Drive`` has it.

    Whether the car has to be put back on the track: the rest of its frames is left out.
    """
    frame = race["frames"]
    race["frames"] = frame + 1
    race["returned"] = happened & RETURN != 0
    segment = race["segment"]
    _count_laps(race, course, shortest(distance - race["distance"], course.length) if passed else 0.0, frame)
    race["distance"] = distance
    if race["segment"] != segment and not race["returned"]:
        _cross(race, segment, course.segments)
    if happened & CRASHED:
        race["crashes"] += 1
        race["new_crashes"] += 1
    return race["returned"]


@njit(cache=True, nogil=True)
def _count_laps(race: Race, course: Course, gain: float, frame: int) -> None:
    """As ``robo.simulation.laps.Laps`` does."""
    segments = course.segments
    spacing = course.length / (segments + 1)
    before = race["distance"]
    after = before + gain
    if after >= before:
        first, last, way = math.floor(before / spacing) + 1, math.floor(after / spacing) + 1, 1
    else:
        first, last, way = math.ceil(before / spacing) - 1, math.ceil(after / spacing) - 1, -1
    for trigger in range(first, last, way):
        segment = max(trigger % (segments + 1) - 1, 0)
        if segment == race["segment"]:
            continue
        in_order = segment == (race["segment"] + 1) % segments
        race["segment"] = segment
        if in_order and segment == 0:
            share = (trigger * spacing - before) / gain
            now = frame / FRAMES_PER_SECOND + share * (1 / FRAMES_PER_SECOND)
            if race["lapping"]:
                race["laps"] += 1
                race["new_laps"] += 1
                race["last_lap"] = now - race["lap_began"]
            race["lapping"] = True
            race["lap_began"] = now


@njit(cache=True, nogil=True)
def _cross(race: Race, before: int, segments: int) -> None:
    """Count a segment as ``robo.driving.stream.StreamState`` does: by where the car is after each frame."""
    if race["segment"] == (before + 1) % segments:
        race["in_order"] += 1
        race["segment_seconds"] = 0.0
        if race["crossed"] >= 0:
            now = race["frames"] / FRAMES_PER_SECOND
            race["segment_seconds"] = now - race["crossed"] / FRAMES_PER_SECOND
    elif before >= 0 and race["segment"] == (before - 1) % segments:
        race["backwards"] += 1
        race["new_backwards"] += 1
    race["crossed"] = race["frames"]


@njit(cache=True, nogil=True)
def arrive(race: Race, course: Course, pose: Floats) -> None:
    """A decision is over, and the car is there."""
    race["speed"] = math.sqrt(pose[VELOCITY] ** 2 + pose[VELOCITY + 1] ** 2 + pose[VELOCITY + 2] ** 2)
    before = race["place"]
    race["place"], near = locate(course, pose, before)
    race["gained"] = 0.0 if race["returned"] else shortest(near - before, course.length)
    harmed = race["new_crashes"] > 0 or race["returned"]
    race["clean"] = race["clean"] and not harmed
    race["clean_lap"] = 0.0
    if race["new_laps"]:
        if race["clean"]:
            race["clean_lap"] = race["last_lap"]
        # A crash seen together with the finish line may have come after it.
        race["clean"] = not harmed


@njit(cache=True, nogil=True)
def pay_segments(races: Race, poses: Floats) -> Floats:
    """What the last decision earned each car, float64 [N], as ``robo.driving.rewards.Segments`` has it."""
    rewards = np.zeros(len(races))
    for car in range(len(races)):
        race = races[car]
        new = race["in_order"] - race["backwards"] - race["paid_to"]
        race["paid_to"] += max(new, 0)
        speed, angle = max(race["speed_before"], race["speed"]), poses[car, ANGLE]
        if race["returned"]:  # it stands along the track then
            speed, angle = race["speed_before"], 0.0
        rewards[car] = _segments_pay(
            new, race["segment_seconds"], race["new_backwards"], race["new_crashes"], speed, angle
        )
    return rewards
