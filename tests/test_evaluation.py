"""Evaluation episodes come together to points, and points to figures and a score."""

from __future__ import annotations

import numpy as np
import pytest

from robo.driving.driver import EpisodeResult
from robo.driving.episodes import End
from robo.driving.experience import Episode
from robo.learning.evaluation import Points, figures, score


def result(*laps: float, end: End = End.LAPS, unclean: int = 0, **changes: object) -> EpisodeResult:
    given = {
        "car": "e",
        "end": end.value,
        "total_reward": 10.0,
        "steps": 100,
        "seconds": 5.0,
        "metres": 30.0,
        "crashes": unclean,
        "laps": len(laps) + unclean,
        "clean_laps": len(laps),
        "lap_seconds": laps,
        "track": "t",
        "track_metres": 10.0,
    }
    return EpisodeResult(**{**given, **changes})


def episode(version: int, *laps: float, **changes: object) -> Episode:
    return Episode("evaluator", result(*laps, **changes), version, np.array([version], np.float32))


def test_a_point_is_complete_with_its_last_episode() -> None:
    points = Points(3)
    assert points.add(episode(1, 5.0)) == points.add(episode(1, 6.0)) == []
    [point] = points.add(episode(1, 7.0))
    assert (point.version, point.weights) == (1, [1.0])
    assert [one.lap_seconds for one in point.complete_results] == [(5.0,), (6.0,), (7.0,)]


def test_two_points_can_be_under_way() -> None:
    points = Points(2)
    for version in (1, 2, 3):
        points.add(episode(version, 5.0))
    [second] = points.add(episode(2, 5.0))
    [third] = points.add(episode(3, 5.0))
    assert (second.version, third.version) == (2, 3)


def test_a_point_that_lost_an_episode_is_taken_as_it_is() -> None:
    points = Points(2)
    points.add(episode(1, 5.0))
    points.add(episode(2, 5.0))
    [first] = points.add(episode(3, 5.0))
    assert (first.version, len(first.results)) == (1, 1)


def test_interrupted_episodes_do_not_count() -> None:
    points = Points(2)
    points.add(episode(1, end=End.INTERRUPTED))
    [point] = points.add(episode(1, 5.0))
    assert len(point.complete_results) == 1
    points.add(episode(2, end=End.INTERRUPTED))
    assert points.add(episode(2, end=End.INTERRUPTED)) == []


def test_figures_are_sums_and_spreads() -> None:
    results = [result(5.0, 7.0, unclean=1), result(6.0, track="u", track_metres=20.0, total_reward=4.0)]
    values = figures(results, restarted=False)
    assert values["clean_lap_rate"] == pytest.approx(3 / 4)
    assert (values["laps"], values["clean_laps"], values["tracks"]) == (4.0, 3.0, 2.0)
    assert values["tracks_with_a_clean_lap"] == 2.0
    assert (values["lap_time"], values["lap_time_min"], values["lap_time_max"]) == (6.0, 5.0, 7.0)
    assert (values["return"], values["return_min"], values["return_max"]) == (7.0, 4.0, 10.0)
    assert values["lap_seconds_per_metre"] == pytest.approx((0.5 + 0.7 + 0.3) / 3)


def test_a_lap_broken_off_counts_where_the_car_does_not_go_on() -> None:
    results = [result(5.0), result(end=End.RETURNED), result(end=End.LIMIT)]
    assert figures(results, restarted=True)["clean_lap_rate"] == pytest.approx(1 / 2)
    assert figures(results, restarted=False)["clean_lap_rate"] == pytest.approx(1.0)


def test_clean_laps_come_before_fast_ones_and_metres_before_nothing() -> None:
    def worth(*results: EpisodeResult) -> tuple[float, float]:
        return score(figures(results, restarted=True))

    order = [
        worth(result(end=End.RETURNED, metres=1.0)),
        worth(result(end=End.RETURNED, metres=9.0)),
        worth(result(4.0), result(end=End.RETURNED)),
        worth(result(9.0), result(9.0)),
        worth(result(8.0), result(9.0)),
    ]
    assert order == sorted(order)
    assert len(set(order)) == len(order)
