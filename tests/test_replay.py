"""Replay holds the newest transitions, exactly, and samples them uniformly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robo.driving.experience import concatenate
from robo.driving.transitions import Transitions, layout, observation_size
from robo.errors import UserError
from robo.learning.replay import SMALLEST, Replay

OBSERVATION_SIZE = 3


def numbered(first: int, count: int, observation_size: int = OBSERVATION_SIZE) -> Transitions:
    """Transitions that can be told apart: every number in the i-th comes from ``first`` + i."""
    numbers = np.arange(first, first + count, dtype=np.float32)
    wide = np.repeat(numbers[:, None], observation_size, axis=1)
    return Transitions(wide, np.stack([numbers, -numbers], axis=1), numbers, numbers % 2, wide + 0.5)


def replay(capacity: int = 10, observation_size: int = OBSERVATION_SIZE, seed: int = 0) -> Replay:
    return Replay(capacity, layout(observation_size), np.random.default_rng(seed))


def held(filled: Replay) -> list[int]:
    """Which transitions a replay holds, as far as many samples show."""
    return sorted(set(filled.sample(100 * len(filled)).reward.astype(int).tolist()))


def same(one: Transitions, other: Transitions) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("chunks", [[4], [10], [7, 7], [3] * 9, [25], [10, 10, 1]])
def test_it_holds_the_newest(chunks: list[int]) -> None:
    filled = replay(capacity=10)
    added = 0
    for count in chunks:
        filled.add(numbered(added, count))
        added += count
    assert filled.inserted == added
    assert len(filled) == min(added, 10)
    assert held(filled) == list(range(max(0, added - 10), added))


def test_rows_stay_together_and_have_the_asked_shapes() -> None:
    filled = replay()
    filled.add(numbered(0, 10))
    batch = filled.sample(64)
    assert same(batch, Transitions(*(a[batch.reward.astype(int)] for a in numbered(0, 10))))
    stacked = filled.sample(4, batches=5)
    assert [array.shape for array in stacked] == [(5, 4, 3), (5, 4, 2), (5, 4), (5, 4), (5, 4, 3)]
    assert all(array.dtype == np.float32 for array in stacked)


def test_samples_are_uniform_and_repeatable() -> None:
    one, other = replay(seed=7), replay(seed=7)
    for filled in (one, other):
        filled.add(numbered(0, 10))
    rewards = one.sample(20000).reward
    assert np.array_equal(rewards, other.sample(20000).reward)
    assert np.bincount(rewards.astype(int)) == pytest.approx(np.full(10, 2000), rel=0.1)


def test_an_empty_replay_gives_no_sample() -> None:
    with pytest.raises(ValueError, match="empty"):
        replay().sample(1)


def test_it_grows_with_what_is_in_it() -> None:
    filled = replay(capacity=10 * SMALLEST)
    for first in range(0, 3 * SMALLEST, 100):
        filled.add(numbered(first, 100))
    everything = filled.sample(200_000).reward
    assert everything.min() == 0
    assert everything.max() == filled.inserted - 1


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    broken = numbered(0, 4)
    broken.reward[1] = np.nan
    broken.next_observation[3, 2] = np.inf
    filled = replay()
    filled.add(broken)
    assert (len(filled), filled.inserted, filled.rejected) == (2, 2, 2)
    assert held(filled) == [0, 2]


def test_another_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"observation has shape \(2, 5\), not \(2, 3\)"):
        replay().add(numbered(0, 2, observation_size=5))


@pytest.mark.parametrize("added", [0, 6, 10, 14])
def test_a_loaded_replay_goes_on_as_the_saved_one(tmp_path: Path, added: int) -> None:
    saved, loaded = replay(), replay(seed=99)
    saved.add(numbered(0, added))
    saved.save(tmp_path / "replay.npz")
    loaded.add(numbered(500, 3))
    loaded.load(tmp_path / "replay.npz")
    assert (len(loaded), loaded.inserted) == (len(saved), saved.inserted)
    for filled in (saved, loaded):
        filled.add(numbered(added, 3))
    assert same(loaded.sample(500), saved.sample(500))


@pytest.mark.parametrize("added", [7, 14, 20])
@pytest.mark.parametrize("capacity", [5, 20])
def test_a_replay_of_another_capacity_keeps_the_newest(tmp_path: Path, added: int, capacity: int) -> None:
    saved, loaded = replay(capacity=10), replay(capacity=capacity)
    saved.add(numbered(0, added))
    saved.save(tmp_path / "replay.npz")
    loaded.load(tmp_path / "replay.npz")
    loaded.add(numbered(added, 2))
    newest = min(capacity, min(added, 10) + 2)
    assert held(loaded) == list(range(added + 2 - newest, added + 2))
    loaded.add(numbered(added + 2, capacity))
    assert held(loaded) == list(range(added + 2, added + 2 + capacity))


def test_only_what_is_filled_is_written(tmp_path: Path) -> None:
    filled = replay(capacity=1_000_000)
    filled.add(numbered(0, 100))
    filled.save(tmp_path / "replay.npz")
    assert (tmp_path / "replay.npz").stat().st_size < 10_000


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "replay.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"replay\.npz: not a readable replay"):
        replay().load(path)


def test_a_saved_replay_of_other_observations_is_named(tmp_path: Path) -> None:
    saved = replay(observation_size=5)
    saved.add(numbered(0, 4, observation_size=5))
    saved.save(tmp_path / "replay.npz")
    with pytest.raises(UserError, match=r"observation has shape \(4, 5\), not \(4, 3\)"):
        replay().load(tmp_path / "replay.npz")


def test_concatenate_keeps_the_order() -> None:
    assert same(concatenate([numbered(0, 2), numbered(2, 3)]), numbered(0, 5))
    with pytest.raises(ValueError, match="no rows"):
        concatenate([])


def test_observation_size_of_the_base_config() -> None:
    from robo import config

    assert observation_size(config.load().observation) == 151
