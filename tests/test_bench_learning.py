"""The learning benchmark's arithmetic: when a run has shown what is asked of it."""

from __future__ import annotations

from bench.learning import CASES, WINDOW, Case, Lap, load, shown
from bench.learning_report import asked, table

SINGLE = Case("ddpg.yml", 60.0, three_laps_within_s=60.0, lap_under_s=9.0)
PACE = Case("ddpg.yml", 60.0, pace_under=0.5, clean_rate=0.9)
UNSEEN = Case("ddpg.yml", 60.0, pace_under=0.5, clean_rate=0.9, tracks=20)


def laps(*seconds: float) -> list[Lap]:
    """A lap every 10 s; those that took a negative time were not clean."""
    return [Lap(10.0 * (k + 1), abs(lap), lap > 0.0) for k, lap in enumerate(seconds)]


def test_three_clean_laps_are_in_a_row() -> None:
    assert shown(SINGLE, laps(10, 10, -10, 10, 10), [], 20.0).seconds_to_three_clean_laps is None
    assert shown(SINGLE, laps(10, -10, 10, 10, 10), [], 20.0).seconds_to_three_clean_laps == 50.0


def test_a_fast_lap_has_to_be_clean() -> None:
    done = shown(SINGLE, laps(10, -8, 9.5, 8.5), [], 20.0)
    assert (done.seconds_to_target, done.best_lap_s, done.best_lap_s_per_m) == (40.0, 8.5, 0.425)
    assert done.clean_lap_rate == 0.75


def test_a_pace_is_the_mean_of_a_window_that_is_clean_enough() -> None:
    slow, fast = [-12.0] * 5, [9.0] * WINDOW
    fast[3] = fast[7] = -9.0
    assert shown(PACE, laps(*slow, *fast[:-1]), [], 20.0).seconds_to_target is None
    assert shown(PACE, laps(*slow, *fast), [], 20.0).seconds_to_target == 10.0 * (5 + WINDOW)
    fast[8] = -9.0
    assert shown(PACE, laps(*slow, *fast), [], 20.0).seconds_to_target is None


def test_unseen_tracks_count_by_the_evaluation() -> None:
    def point(at: float, tracks: int, pace: float) -> dict[str, float]:
        return {
            "at": at,
            "tracks_with_a_clean_lap": float(tracks),
            "clean_lap_rate": tracks / 20,
            "lap_seconds_per_metre": pace,
        }

    points = [point(10, 19, 0.6), point(20, 17, 0.4), point(30, 18, 0.45), point(40, 20, 0.55)]
    done = shown(UNSEEN, [], points, None)
    assert done.seconds_to_target == 30
    assert (done.clean_lap_rate, done.best_lap_s_per_m) == (0.9, 0.45)
    assert shown(UNSEEN, [], [], None).seconds_to_target is None


def test_every_case_can_be_run_and_is_told() -> None:
    for case in CASES.values():
        settings = load(case)
        assert bool(settings.tracks.training) == bool(case.tracks)
        assert asked(case).endswith(f"within {case.limit_s:g} s")


def test_the_table_has_a_row_for_each_case_and_seed() -> None:
    result = {
        "seconds_to_three_clean_laps": 30.1,
        "seconds_to_target": None,
        "best_lap_s": 9.123,
        "best_lap_s_per_m": None,
        "clean_lap_rate": 0.951,
        "env_steps": 1000,
        "train_steps": 200,
        "learner_ratio": 0.9,
    }
    text = table({("td3", 1): result, ("ddpg", 0): result})
    rows = text.splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| ddpg", "| td3"]
    assert "30.1 | not | 9.12 | not | 0.95" in rows[0]
