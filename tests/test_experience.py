"""One car's steps become rows of replay: n-step transitions and sequences, never across an episode's end."""

from __future__ import annotations

import numpy as np
import pytest

from robo import config
from robo.driving import experience, sequences
from robo.driving.driver import Transition
from robo.driving.experience import NStepCollector, concatenate
from robo.driving.sequences import SequenceCollector, Sequences
from robo.driving.transitions import Transitions

GAMMA = 0.9


def steps(count: int, first: int = 0, *, terminated: bool = False) -> list[Transition]:
    """An episode's steps, numbered; observation k is before step k."""
    random = np.random.default_rng(first)

    def seen(number: int) -> np.ndarray:
        return np.full(3, number, np.float32)

    return [
        Transition(
            seen(k),
            np.array([k, -k], np.float32),
            float(random.normal()),
            0.0 if terminated and k == first + count - 1 else 1.0,
            seen(k + 1),
        )
        for k in range(first, first + count)
    ]


def collected(collector: experience.Collector, *episodes: list[Transition]) -> Transitions | Sequences:
    rows = []
    for episode in episodes:
        for step in episode:
            rows += collector.add(step)
        rows += collector.end()
    return concatenate(rows)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("terminated", [True, False])
def test_n_steps_are_what_they_sum_up_to(n: int, terminated: bool) -> None:
    episodes = [steps(7, 0, terminated=terminated), steps(1, 20), steps(4, 40)]
    rows = collected(NStepCollector(n, GAMMA), *episodes)
    assert rows.env_steps == len(rows.reward) == 12
    by_first = {int(row[0]): k for k, row in enumerate(rows.observation)}
    for episode in episodes:
        for place, step in enumerate(episode):
            window = episode[place : place + n]
            row = by_first[int(step.observation[0])]
            expected = sum(GAMMA**k * one.reward for k, one in enumerate(window))
            assert rows.reward[row] == pytest.approx(expected, rel=1e-5)
            # The agent multiplies by its own discount once more: together the power that the end is away.
            assert GAMMA * rows.discount[row] == pytest.approx(GAMMA ** len(window) * window[-1].discount)
            np.testing.assert_array_equal(rows.next_observation[row], window[-1].next_observation)
            np.testing.assert_array_equal(rows.action[row], step.action)


@pytest.mark.parametrize(("length", "burn_in"), [(4, 2), (4, 0), (3, 5), (1, 1)])
@pytest.mark.parametrize("count", [1, 4, 6, 7, 23])
def test_every_step_counts_in_one_sequence(length: int, burn_in: int, count: int) -> None:
    episodes = [steps(count, 0, terminated=True), steps(3, 100)]
    rows = collected(SequenceCollector(length, burn_in), *episodes)
    size = length + burn_in
    layout = sequences.layout(3, size)
    assert [array.shape[1:] for array in rows] == list(layout.shapes)
    assert all(array.dtype == np.float32 for array in rows)
    counting = rows.weight > 0.0
    assert sorted(rows.action[counting][:, 0].astype(int)) == [*range(count), 100, 101, 102]
    assert rows.env_steps == count + 3
    whole = {int(step.observation[0]): step for episode in episodes for step in episode}
    for row in range(len(rows.reward)):
        real = rows.action[row, :, 1] <= 0.0
        numbers = rows.action[row][real][:, 0].astype(int)
        known = [number for number in numbers if number in whole]
        for place, number in enumerate(known[: int(counting[row].nonzero()[0].max()) + 1]):
            step = whole[number]
            np.testing.assert_array_equal(rows.observation[row, place], step.observation)
            np.testing.assert_array_equal(rows.observation[row, place + 1], step.next_observation)
            assert rows.reward[row, place] == pytest.approx(step.reward)
            assert rows.discount[row, place] == step.discount


def test_an_episodes_first_sequence_counts_from_its_first_step_and_later_ones_after_their_burn_in() -> None:
    rows = collected(SequenceCollector(4, 2), steps(12))
    np.testing.assert_array_equal(rows.weight, [[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0]])
    np.testing.assert_array_equal(rows.observation[:, 0, 0], [0, 4, 8])
    np.testing.assert_array_equal(rows.observation[2, -3:, 0], [12, 12, 12])


def test_the_configured_agent_decides() -> None:
    plain = config.load(sets=["replay.n_step=3"])
    assert isinstance(experience.collector(plain), NStepCollector)
    assert experience.layout(plain).shapes[0] == (151,)
    recurrent = config.load(
        [config.ROOT / "configs" / "rdpg.yml"], ["agent.burn_in=3", "agent.sequence_length=5"]
    )
    assert isinstance(experience.collector(recurrent), SequenceCollector)
    assert experience.layout(recurrent).shapes[:2] == ((9, 144), (8, 2))


def test_nothing_to_concatenate_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rows"):
        concatenate([])
