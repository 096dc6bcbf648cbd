"""How long a restart waits, and when there have been too many; the clock is the caller's."""

from __future__ import annotations

import msgspec
import pytest

from processes.restarts import RestartPolicy
from robo import config


def policy(*, gives_up: bool = True, **changes: float) -> RestartPolicy:
    settings = {
        "backoff_seconds": 0.5,
        "backoff_max_seconds": 3.0,
        "max_restarts": 5,
        "max_restarts_seconds": 30.0,
        **changes,
    }
    supervision = msgspec.structs.replace(config.load().supervision, **settings)
    return RestartPolicy(supervision, gives_up=gives_up)


def test_the_wait_doubles_up_to_its_limit() -> None:
    restarts = policy(max_restarts=10)
    assert [restarts.failed(100.0 + k) for k in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_too_many_in_a_short_time_are_fatal() -> None:
    restarts = policy()
    assert [restarts.failed(float(k)) for k in range(5)] == [0.5, 1.0, 2.0, 3.0, None]
    assert restarts.count == 4


def test_one_allowed_end_is_the_first_that_is_fatal() -> None:
    assert policy(max_restarts=1).failed(0.0) is None


def test_what_a_run_can_do_without_is_tried_again_for_ever() -> None:
    restarts = policy(gives_up=False)
    waits = [restarts.failed(0.1 * k) for k in range(1000)]
    assert waits[:5] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert set(waits[4:]) == {3.0}
    assert restarts.count == 1000
    assert restarts.failed(1000.0) == 0.5  # after it has run well for a while


def test_as_many_over_a_long_time_are_not() -> None:
    restarts = policy()
    assert None not in [restarts.failed(10.0 * k) for k in range(100)]
    assert restarts.count == 100


def test_a_process_that_ran_well_starts_over_with_a_short_wait() -> None:
    restarts = policy()
    assert [restarts.failed(now) for now in (0.0, 1.0, 2.0)] == [0.5, 1.0, 2.0]
    assert restarts.failed(100.0) == 0.5


@pytest.mark.parametrize(("fifth", "wait"), [(30.0, None), (30.1, 3.0)])
def test_the_time_is_counted_from_each_failure(fifth: float, wait: float | None) -> None:
    restarts = policy()
    for now in (0.0, 10.0, 20.0, 29.0):
        restarts.failed(now)
    assert restarts.failed(fifth) == wait
