"""The tracks of a run: the same in every process, and none for training that is for evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from robo import config
from robo.errors import UserError
from robo.simulation.tracks import Tracks

SETS = ("tracks.training=3", "tracks.evaluation=2", "tracks.length=14")


def tracks(*sets: str) -> Tracks:
    return Tracks.of(config.load(sets=[*SETS, *sets]))


def test_a_number_is_the_same_track_in_every_process() -> None:
    one, other = tracks(), tracks()
    for number in (4, 1, 3):
        np.testing.assert_array_equal(one[number].points, other[number].points)
        assert one[number].name == other[number].name
        assert one[number] is one[number]


def test_evaluation_is_on_other_tracks_than_training() -> None:
    some = tracks()
    assert (list(some.training), list(some.evaluation), len(some)) == ([1, 2, 3], [4, 5], 6)
    names = [some[number].name for number in range(6)]
    assert names[:1] == ["esses"]
    assert names[1:] == ["random-0", "random-1", "random-2", "random-1000000", "random-1000001"]
    assert [tracks("tracks.seed=5")[number].name for number in (1, 4)] == ["random-5", "random-1000005"]


def test_how_many_train_changes_no_evaluation_track() -> None:
    few, many = tracks(), tracks("tracks.training=8")
    np.testing.assert_array_equal(few[few.evaluation[1]].points, many[many.evaluation[1]].points)


def test_without_training_tracks_there_is_only_the_runs_own() -> None:
    alone = Tracks.of(config.load())
    assert (len(alone), list(alone.training), list(alone.evaluation)) == (1, [], [])
    assert alone.get(1) is None


def test_a_track_that_is_not_known_is_none() -> None:
    assert Tracks(None).get(0) is None
    with pytest.raises(KeyError):
        Tracks(None)[0]


def test_tracks_that_can_not_be_had_are_an_error() -> None:
    with pytest.raises(UserError, match="a radius of 2 m"):
        some = tracks("tracks.min_radius=2")
        some.make(some.training)
