"""What is kept of a run for those who watch it."""

from __future__ import annotations

import itertools

from monitor.known import Curves, thinned
from robo.cache_values import Point


def point(number: int, kind: str = "training") -> Point:
    return Point(float(number), kind, number, number, {})  # type: ignore[arg-type]


def test_who_has_seen_nothing_gets_all_points_and_who_has_seen_some_the_new_ones() -> None:
    curves = Curves(100)
    curves.add([point(1), point(2)], reset=False)
    assert curves.since(None) == (True, [point(1), point(2)])
    place = curves.place
    assert curves.since(place) == (False, [])
    curves.add([point(3)], reset=False)
    assert curves.since(place) == (False, [point(3)])


def test_curves_that_begin_anew_replace_those_that_were_seen() -> None:
    curves = Curves(100)
    curves.add([point(1), point(2)], reset=False)
    place = curves.place
    curves.add([point(9)], reset=True)
    assert curves.since(place) == (True, [point(9)])


def test_only_so_many_points_are_kept_and_who_was_away_too_long_begins_anew() -> None:
    curves = Curves(10)
    curves.add(map(point, range(8)), reset=False)
    early = curves.place
    curves.add(map(point, range(8, 14)), reset=False)
    assert curves.since(None) == (True, list(map(point, range(4, 14))))
    assert curves.since(early) == (False, list(map(point, range(8, 14))))
    curves.add(map(point, range(14, 30)), reset=False)
    assert curves.since(early)[0]


def test_long_curves_are_thinned_evenly_by_kind_and_keep_their_newest() -> None:
    points = [
        point(number, kind)
        for number in range(10_000)
        for kind in ("training", "evaluation")[: 1 + (not number % 100)]
    ]
    kept = list(thinned(points))
    training = [one.env_steps for one in kept if one.kind == "training"]
    assert 1900 <= len(training) <= 2000
    assert training[-1] == 9999
    assert {after - before for before, after in itertools.pairwise(training)} == {5}
    assert [one for one in kept if one.kind == "evaluation"] == [
        one for one in points if one.kind == "evaluation"
    ]
    assert kept == sorted(kept, key=lambda one: one.at)
