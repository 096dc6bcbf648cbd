"""Where episodes begin."""

from __future__ import annotations

import numpy as np

from robo import config
from robo.driving import starts
from robo.driving.starts import Anywhere, InTurn
from robo.protocol.car import Restart

SETTINGS = config.load(sets=["start.lateral=0.1", "start.heading=0.4", "start.speed=1.5"]).start


def test_a_start_goes_through_shared_memory() -> None:
    start = Restart(7, 0.25, -0.1, 0.2, 1.25)
    assert starts.unpack(starts.pack(start)) == start
    assert starts.unpack(starts.pack(None)) is None
    assert len(starts.pack(start)) == len(starts.pack(None)) == starts.START_BYTES


def test_anywhere_is_everywhere_within_its_limits() -> None:
    somewhere = Anywhere(SETTINGS, range(3, 6), np.random.default_rng(0))
    drawn = [somewhere.next() for _ in range(2000)]
    assert {start.track for start in drawn} == {3, 4, 5}
    for name, low, high in (("at", 0, 1), ("lateral", -0.1, 0.1), ("heading", -0.4, 0.4), ("speed", 0, 1.5)):
        values = np.array([getattr(start, name) for start in drawn])
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high


def test_in_turn_goes_round_from_before_the_line() -> None:
    turns = InTurn(range(4, 7), lambda track: 10.0 * track)
    drawn = [turns.next() for _ in range(4)]
    assert [start.track for start in drawn] == [4, 5, 6, 4]
    assert drawn[1] == Restart(5, 1.0 - starts.BEFORE_THE_LINE / 50.0)
