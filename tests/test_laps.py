"""Which laps count as clean."""

from __future__ import annotations

import itertools

import pytest

from robo.driving.laps import Lap, LapCounter
from robo.driving.state import CarState

TIME = itertools.count()


def car(laps: int = 0, last_lap: float = 0.0, **changes: object) -> CarState:
    return CarState(
        **{
            "session": 1,
            "time": float(next(TIME)),
            "position": (0.0, 0.0, 0.0),
            "speed": 0.5,
            "track_angle": 0.0,
            "segment": 4,
            "laps": laps,
            "last_lap": last_lap,
            **changes,
        }
    )


def told(*states: CarState) -> list[Lap]:
    counter = LapCounter()
    return [lap for lap in map(counter.update, states) if lap is not None]


def test_a_lap_from_finish_line_to_finish_line_is_clean() -> None:
    assert told(car(1, 9.0), car(2, 12.5), car(2, 12.5)) == [Lap(12.5, clean=False)]
    assert told(car(1, 9.0), car(2, 12.5), car(3, 11.5)) == [Lap(12.5, False), Lap(11.5, True)]


def test_a_first_lap_from_standing_behind_the_line_is_clean() -> None:
    assert told(car(segment=-1), car(segment=0), car(1, 12.5)) == [Lap(12.5, clean=True)]


def test_a_lap_that_was_not_seen_from_its_beginning_is_not_clean() -> None:
    assert told(car(segment=0), car(1, 12.5)) == [Lap(12.5, clean=False)]


@pytest.mark.parametrize("mishap", ["crashes", "returns"])
def test_a_mishap_spoils_its_lap_and_no_other(mishap: str) -> None:
    states = [
        car(segment=-1),
        car(1, 10.0),
        car(1, 10.0, **{mishap: 1}),
        car(1, 10.0, **{mishap: 1}),
        car(2, 11.0, **{mishap: 1}),
        car(3, 12.0, **{mishap: 1}),
    ]
    assert told(*states) == [Lap(10.0, True), Lap(11.0, False), Lap(12.0, True)]


def test_a_mishap_seen_together_with_the_line_spoils_both_sides_of_it() -> None:
    states = [car(segment=-1), car(1, 10.0, crashes=1), car(2, 11.0, crashes=1), car(3, 12.0, crashes=1)]
    assert told(*states) == [Lap(10.0, False), Lap(11.0, False), Lap(12.0, True)]


def test_a_bump_spoils_nothing() -> None:
    assert told(car(segment=-1), car(bumps=1), car(1, 10.0, bumps=2)) == [Lap(10.0, clean=True)]


def test_clean_laps_in_a_row_are_counted_from_the_last_mishap() -> None:
    counter, rows = LapCounter(), []
    for state in (
        car(segment=-1),
        car(1, 10.0),
        car(2, 10.0),
        car(2, 10.0, crashes=1),
        car(3, 10.0, crashes=1),
        car(4, 10.0, crashes=1),
    ):
        counter.update(state)
        rows.append(counter.clean_in_a_row)
    assert rows == [0, 1, 2, 0, 0, 1]


def test_a_new_session_is_no_lap_and_breaks_the_row() -> None:
    counter = LapCounter()
    for state in (car(segment=-1), car(1, 10.0), car(2, 10.0)):
        counter.update(state)
    assert counter.clean_in_a_row == 2
    assert counter.update(car(0, session=2)) is None
    assert counter.clean_in_a_row == 0
    assert counter.update(car(1, 10.0, session=2)) == Lap(10.0, clean=False)
    assert counter.update(car(2, 11.0, session=2)) == Lap(11.0, clean=True)


def test_a_new_session_may_begin_from_standing() -> None:
    states = [car(3, 10.0, crashes=4), car(session=2, segment=-1), car(1, 12.0, session=2)]
    assert told(*states) == [Lap(12.0, clean=True)]


def test_a_lap_that_somebody_else_began_is_nobodys() -> None:
    """Neither clean nor not: it is not told at all, and the row of clean laps begins anew."""
    counter = LapCounter()
    for state in (car(segment=-1), car(1, 10.0), car(2, 10.0)):
        counter.update(state)
    assert counter.clean_in_a_row == 2
    counter.put_aside()
    assert counter.clean_in_a_row == 0
    assert counter.update(car(3, 10.0)) is None
    assert counter.update(car(4, 9.0)) == Lap(9.0, clean=True)
    assert counter.clean_in_a_row == 1


def test_another_session_begins_with_no_lap_put_aside() -> None:
    counter = LapCounter()
    counter.update(car(1, 10.0))
    counter.put_aside()
    counter.update(car(segment=-1, session=2))
    assert counter.update(car(1, 9.0, session=2)) == Lap(9.0, clean=True)
