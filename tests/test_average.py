"""The average of weights follows them slowly."""

from __future__ import annotations

import numpy as np
import pytest

from robo.learning.average import Average


def test_it_evens_out_swings() -> None:
    average = Average(100)
    for step in range(0, 2000, 10):
        swing = np.full(3, 5.0 + (-1.0) ** (step // 10), np.float32)
        value = average.update(swing, step)
    np.testing.assert_allclose(value, 5.0, atol=0.06)


def test_it_comes_to_the_weights_with_its_time_constant() -> None:
    average = Average(100)
    average.update(np.zeros(1, np.float32), 0)
    for step in range(1, 1001):
        average.update(np.zeros(1, np.float32), step)
    assert average.update(np.ones(1, np.float32), 1100)[0] == pytest.approx(1 - np.exp(-1))


def test_at_first_it_is_over_what_there_was() -> None:
    average = Average(1000)
    average.update(np.zeros(1, np.float32), 1)
    values = [average.update(np.ones(1, np.float32), step)[0] for step in (11, 21, 31)]
    assert values[0] > 0.6
    assert values == sorted(values)


def test_without_steps_it_is_the_weights_themselves() -> None:
    average = Average(0)
    average.update(np.zeros(1, np.float32), 1)
    assert average.update(np.ones(1, np.float32), 2)[0] == 1.0
