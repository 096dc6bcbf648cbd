"""Rows are drawn in proportion to their priorities, and count less for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robo.driving.transitions import Transitions, layout
from robo.learning.priorities import LEAST, Priorities
from robo.learning.replay import Replay


def drawn(priorities: Priorities, rows: int, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """How often each row is drawn, as a share, and its weight."""
    uniform = np.random.default_rng(0).uniform(size=(1, count))
    places, weights = priorities.draw(uniform, rows)
    shares = np.bincount(places[0], minlength=rows) / count
    by_row = np.array([weights[0][places[0] == row][0] if shares[row] else np.nan for row in range(rows)])
    return shares, by_row


@pytest.mark.parametrize("rows", [1, 5, 64, 100])
def test_new_rows_are_drawn_alike(rows: int) -> None:
    priorities = Priorities(100, 0.6, 0.4)
    priorities.add(np.arange(rows))
    shares, weights = drawn(priorities, rows)
    np.testing.assert_allclose(shares, 1 / rows, atol=0.01)
    np.testing.assert_allclose(weights, 1.0)


def test_a_larger_error_is_drawn_more_often_and_counts_less() -> None:
    priorities = Priorities(7, 0.5, 0.8)
    priorities.add(np.arange(5))
    errors = np.array([0.01, 0.04, 0.09, 0.16, 0.25], np.float32)
    priorities.update(np.arange(5), errors)
    expected = (errors + LEAST) ** 0.5
    expected /= expected.sum()
    shares, weights = drawn(priorities, 5)
    np.testing.assert_allclose(shares, expected, atol=0.01)
    importance = (5 * expected) ** -0.8
    np.testing.assert_allclose(weights, importance / importance.max(), rtol=1e-4)


def test_a_new_row_has_the_largest_priority_so_far() -> None:
    priorities = Priorities(4, 1.0, 0.4)
    priorities.add(np.arange(3))
    priorities.update(np.arange(3), np.array([1.0, 5.0, 4.0], np.float32))
    priorities.add(np.array([3]))
    shares, _ = drawn(priorities, 4)
    np.testing.assert_allclose(shares, np.array([1, 5, 4, 5]) / 15, atol=0.01)


def replay(seed: int = 0, capacity: int = 10) -> Replay:
    return Replay(capacity, layout(3), np.random.default_rng(seed), priority=0.7)


def numbered(first: int, count: int) -> Transitions:
    numbers = np.arange(first, first + count, dtype=np.float32)
    wide = np.repeat(numbers[:, None], 3, axis=1)
    return Transitions(wide, wide[:, :2], numbers, numbers, wide)


def test_replay_draws_by_what_it_was_told() -> None:
    filled = replay()
    filled.add(numbered(0, 8))
    told = filled.sample_by_priority(64, 20)
    assert [array.shape for array in told.rows] == [(20, 64, 3), (20, 64, 2), (20, 64), (20, 64), (20, 64, 3)]
    np.testing.assert_array_equal(told.rows.reward, told.places)
    filled.update(told.places, np.where(told.places == 5, 100.0, 0.0).astype(np.float32))
    again = filled.sample_by_priority(64, 20)
    assert (again.places == 5).mean() > 0.99
    # Once another row has taken the place, it is a new one.
    filled.add(numbered(8, 8))
    assert np.isin(filled.sample_by_priority(64, 20).rows.reward, np.arange(6, 16)).all()


def test_priorities_are_saved_and_go_on(tmp_path: Path) -> None:
    one, other = replay(), replay(seed=9)
    one.add(numbered(0, 14))
    places = one.sample_by_priority(32, 2).places
    one.update(places, places.astype(np.float32))
    one.save(tmp_path / "replay.npz")
    other.load(tmp_path / "replay.npz")
    for source in (one, other):
        source.add(numbered(14, 3))
    a, b = one.sample_by_priority(16, 4), other.sample_by_priority(16, 4)
    np.testing.assert_array_equal(a.places, b.places)
    np.testing.assert_array_equal(a.weights, b.weights)
    np.testing.assert_array_equal(a.rows.reward, b.rows.reward)


def test_a_smaller_replay_keeps_the_newest_and_their_priorities(tmp_path: Path) -> None:
    one, smaller = replay(), replay(capacity=4)
    one.add(numbered(0, 14))
    one.update(np.arange(10), np.where(np.arange(10) == 8, 50.0, 0.0).astype(np.float32))  # holds 12
    one.save(tmp_path / "replay.npz")
    smaller.load(tmp_path / "replay.npz")
    assert (smaller.sample_by_priority(64, 4).rows.reward == 12).mean() > 0.99
