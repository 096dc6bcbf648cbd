"""When an episode ends, and what its end means."""

from __future__ import annotations

import pytest

from robo.driving.episodes import End, EpisodeRules
from robo.driving.state import CarState


def car(time: float, **changes: object) -> CarState:
    return CarState(
        **{
            "session": 1,
            "time": time,
            "position": (0.0, 0.0, 0.0),
            "speed": 0.5,
            "track_angle": 0.0,
            "segment": 4,
            "returns": 2,
            "laps": 5,
            **changes,
        }
    )


def rules(max_seconds: float = 100.0) -> EpisodeRules:
    begun = EpisodeRules(laps=2, max_seconds=max_seconds, stuck_seconds=1.0, stuck_metres=0.02)
    begun.start(car(100.0))
    return begun


@pytest.mark.parametrize(
    ("end", "terminated"),
    [
        (End.RETURNED, True),
        (End.CRASHED, True),
        (End.STUCK, True),
        (End.LAPS, False),
        (End.LIMIT, False),
        (End.INTERRUPTED, False),
    ],
)
def test_only_what_ends_the_task_terminates(end: End, terminated: bool) -> None:
    assert end.terminated is terminated


def test_every_end_is_one_of_these() -> None:
    assert len(End) == 6


def test_a_driving_car_goes_on() -> None:
    episode = rules()
    assert [episode.update(car(100.0 + k / 20), 0.05) for k in range(1, 200)] == [None] * 199


def test_a_crash_alone_ends_nothing() -> None:
    assert rules().update(car(100.05, crashes=1), 0.05) is None


def test_a_return_ends_it_whatever_else_happened() -> None:
    assert rules().update(car(100.05, returns=3), 0.0) is End.RETURNED
    assert rules().update(car(100.05, returns=3, laps=7), 0.0) is End.RETURNED


def test_the_laps_of_this_episode_count() -> None:
    episode = rules()
    assert episode.update(car(100.05, laps=6), 0.05) is None
    assert episode.update(car(100.1, laps=7), 0.05) is End.LAPS


def test_the_time_limit_is_of_simulation_time() -> None:
    episode = rules(max_seconds=10.0)
    assert episode.update(car(110.0), 1.0) is None
    assert episode.update(car(110.05), 1.0) is End.LIMIT


def test_standing_still_is_no_progress() -> None:
    episode = rules()
    assert episode.update(car(101.0), 0.0) is None
    assert episode.update(car(101.05), 0.0) is End.STUCK


def test_driving_to_and_fro_or_backwards_is_no_progress() -> None:
    swaying, backing = rules(), rules()
    ways = [car(100.0 + k / 20) for k in range(1, 22)]
    assert [swaying.update(state, 0.015 * (-1) ** k) for k, state in enumerate(ways)][-1] is End.STUCK
    assert [backing.update(state, -0.05) for state in ways][-1] is End.STUCK


def test_ground_that_was_lost_must_be_made_good_first() -> None:
    episode = rules()
    assert episode.update(car(100.5), 1.0) is None
    assert episode.update(car(100.6), -0.5) is None
    assert episode.update(car(101.4), 0.4) is None
    assert episode.update(car(101.55), 0.05) is End.STUCK


def test_slow_but_steady_is_progress() -> None:
    episode = rules()
    assert {episode.update(car(100.0 + 0.9 * k), 0.021) for k in range(1, 50)} == {None}


def test_a_new_episode_forgets_the_old_one() -> None:
    episode = rules()
    assert episode.update(car(101.05, returns=3), 0.0) is End.RETURNED
    episode.start(car(101.05, returns=3))
    assert episode.update(car(102.05, returns=3), 0.0) is None
    assert episode.update(car(102.1, returns=3), 0.0) is End.STUCK


def test_counts_of_another_session_are_not_compared() -> None:
    assert rules().update(car(100.05, session=2, laps=0, returns=0), 0.0) is End.INTERRUPTED
