"""What a policy sees, and what goes into replay: nothing that did not happen."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from robo import config
from robo.driving.driver import ASK_AGAIN, Driver, Seen, Transition
from robo.driving.episodes import End
from robo.driving.experience import NStepCollector, concatenate
from robo.driving.state import CarState
from robo.driving.transitions import observation_size
from robo.protocol.car import Restart
from robo.simulation.track import Track
from robo.simulation.tracks import Tracks

TRACK = Track(np.array([(0, 0, 0), (0, 0, 4), (2, 0, 4), (2, 0, 0)], np.float64))
"""A rectangle 12 m round: (0, 0, z) is at distance z."""
STEP = 0.05
METRES = 0.05
START = CarState(1, 100.0, (0.0, 0.0, 1.0), METRES / STEP, 0.0, 2, laps=3, crashes=4, returns=5)
SEEN = ("observation.kind=color_mass", "observation.history=3", "observation.motion=false")
SETTINGS = config.load(sets=[*SEEN, "episode.max_seconds=2.0", "evaluation.max_seconds=4.0"])
NONE = np.zeros(2, np.float32)


def driver(*sets: str, track: Track | None = TRACK, evaluation: bool = False) -> Driver:
    settings = config.load(sets=[*SEEN, *sets]) if sets else SETTINGS
    return Driver("a", settings, Tracks(track), evaluation=evaluation)


def observation(number: int) -> np.ndarray:
    return np.full((8, 3), number, np.float32)


def action(number: int) -> np.ndarray:
    return np.array([number / 100, -number / 100], np.float32)


def car(steps: int, **changes: object) -> CarState:
    """START after so many decisions, each METRES ahead of the last."""
    fields = {name: getattr(START, name) for name in START.__struct_fields__}
    moved = {"time": 100.0 + steps * STEP, "position": (0.0, 0.0, 1.0 + steps * METRES)}
    return CarState(**{**fields, **moved, **changes})


def take(driven: Driver, number: int, state: CarState) -> Seen:
    """One decision: observation ``number``, answered by action ``number``."""
    seen = driven.observe(observation(number), state)
    driven.act(action(number))
    return seen


def vector(observations: tuple[int, int, int], *actions: np.ndarray) -> np.ndarray:
    seen = [observation(number).ravel() for number in observations]
    return np.concatenate([*seen, *actions])


def test_a_policy_sees_the_last_three_observations_and_the_last_two_actions() -> None:
    driven = driver()
    seen = [take(driven, number, car(number)).vector for number in range(5)]
    expected = [
        vector((0, 0, 0), NONE, NONE),
        vector((0, 0, 1), NONE, action(0)),
        vector((0, 1, 2), action(0), action(1)),
        vector((1, 2, 3), action(1), action(2)),
        vector((2, 3, 4), action(2), action(3)),
    ]
    for one, other in zip(seen, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)
    assert len(seen[0]) == observation_size(SETTINGS.observation)


@pytest.mark.parametrize(("history", "actions"), [(1, 0), (2, 3)])
def test_how_much_it_sees_is_configurable(history: int, actions: int) -> None:
    sets = (f"observation.history={history}", f"observation.action_history={actions}")
    driven = driver(*sets)
    size = observation_size(config.load(sets=[*SEEN, *sets]).observation)
    assert [len(take(driven, k, car(k)).vector) for k in range(3)] == [size] * 3


def test_it_sees_its_motion_where_that_is_asked_for() -> None:
    sets = ("observation.history=1", "observation.action_history=0", "observation.motion=true")
    driven = driver(*sets)
    first = take(driven, 0, car(0, forward=2.0, left=-0.2, yaw=3.1)).vector
    second = take(driven, 1, car(1, forward=1.0, left=0.4, yaw=-3.1)).vector
    returned = take(driven, 2, car(2, returns=START.returns + 1)).transition.next_observation
    assert len(first) == observation_size(config.load(sets=[*SEEN, *sets]).observation) == 24 + 3
    turned = 2 * math.pi - 6.2  # on to the right, past 180 degrees
    np.testing.assert_allclose(first[24:], [0.6, -0.1, 0.0], atol=1e-6)
    np.testing.assert_allclose(second[24:], [0.3, 0.2, -0.2 * turned / STEP], atol=1e-6)
    np.testing.assert_array_equal(returned[24:], second[24:])  # nothing of where it was put


def test_a_step_becomes_a_transition() -> None:
    driven = driver()
    first = take(driven, 0, car(0))
    assert (first.begins, first.transition, first.episode) == (True, None, None)
    second = take(driven, 1, car(1))
    assert (second.begins, second.episode) == (False, None)
    step = second.transition
    np.testing.assert_array_equal(step.observation, first.vector)
    np.testing.assert_array_equal(step.action, action(0))
    np.testing.assert_array_equal(step.next_observation, second.vector)
    assert step.reward == pytest.approx(2.0 * METRES)
    assert step.discount == 1.0


def test_transitions_keep_what_was_seen_when_later_ones_come() -> None:
    driven = driver()
    take(driven, 0, car(0))
    step = take(driven, 1, car(1)).transition
    copy = Transition(*(np.copy(part) for part in step))
    for number in range(2, 8):
        take(driven, number, car(number))
    for one, other in zip(step, copy, strict=True):
        np.testing.assert_array_equal(one, other)


def run(driven: Driver, *states: CarState) -> list[Seen]:
    return [take(driven, number, state) for number, state in enumerate(states)]


@pytest.mark.parametrize(
    ("last", "end", "discount", "reward"),
    [
        ({"returns": 6, "crashes": 5}, "returned to track", 0.0, -2.0),
        ({"laps": 5}, "laps done", 1.0, 2.0 * METRES),
        ({"time": 102.1}, "time limit", 1.0, 2.0 * METRES),
        ({"time": 101.2, "position": (0.0, 0.0, 1.05)}, "no progress", 0.0, -1.0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_discount_tells_terminated_from_truncated(
    last: dict, end: str, discount: float, reward: float
) -> None:
    _, _, seen = run(driver(), car(0), car(1), car(2, **last))
    assert seen.episode.end == end
    assert seen.transition.discount == discount
    assert seen.transition.reward == pytest.approx(reward)
    np.testing.assert_array_equal(seen.transition.next_observation[-4:], [*action(0), *action(1)])


def test_after_an_end_the_next_episode_begins_where_the_car_is() -> None:
    driven = driver()
    put, further = {"returns": 6, "position": (0.0, 0.0, 1.4)}, {"returns": 6, "position": (0.0, 0.0, 1.5)}
    *_, ended, onward = run(driven, car(0), car(1), car(2, **put), car(3, **further))
    assert ended.begins
    np.testing.assert_array_equal(ended.vector, vector((2, 2, 2), NONE, NONE))
    # The way to where it was put is not its own.
    assert ended.transition.reward == 0.0
    assert ended.episode.metres == pytest.approx(METRES)
    assert not onward.begins
    np.testing.assert_array_equal(onward.transition.observation, ended.vector)
    np.testing.assert_array_equal(onward.vector, vector((2, 2, 3), NONE, action(2)))
    assert onward.transition.reward == pytest.approx(0.2)


def test_an_episodes_result_is_its_own() -> None:
    driven = driver("episode.laps=1")
    states = [car(0), car(1, crashes=5), car(2, crashes=6), car(3, crashes=6, laps=4, last_lap=12.5)]
    result = run(driven, *states)[-1].episode
    assert (result.car, result.end, result.steps, result.crashes) == ("a", "laps done", 3, 2)
    assert (result.laps, result.clean_laps, result.lap_seconds) == (1, 0, ())
    assert result.seconds == pytest.approx(3 * STEP)
    assert result.metres == pytest.approx(3 * METRES)
    assert result.total_reward == pytest.approx(2.0 * 3 * METRES - 2 * 2.0)
    second = run(driven, car(4, crashes=6, laps=4), car(5, crashes=6, laps=5, last_lap=11.0))[-1].episode
    assert (second.steps, second.crashes, second.clean_laps, second.lap_seconds) == (2, 0, 1, (11.0,))
    assert second.metres == pytest.approx(2 * METRES)


def test_what_an_episode_earned_is_told_by_what_it_was_earned_with() -> None:
    driven = driver("reward.stuck=-5.0")
    take(driven, 0, car(0))
    take(driven, 1, car(1))
    take(driven, 2, car(2, crashes=START.crashes + 1))
    assert driven.reward_terms == {"progress": pytest.approx(2.0 * 2 * METRES), "crashes": -2.0}
    assert sum(driven.reward_terms.values()) == pytest.approx(driven.total_reward)
    told, number = driven.reward_terms, 2
    stands = car(2, crashes=START.crashes + 1).position
    ended = None
    while ended is None:
        number += 1
        ended = take(driven, number, car(number, position=stands, crashes=START.crashes + 1)).episode
    assert ended.end == End.STUCK.value
    assert ended.total_reward == pytest.approx(sum(told.values()) - 5.0)
    assert (driven.reward_terms, driven.total_reward) == ({}, 0.0)  # of the next episode
    assert set(told) == {"progress", "crashes"}


def test_an_evaluation_has_limits_of_its_own() -> None:
    states = [car(0), car(1, time=102.1), car(2, time=102.2, laps=5), car(3, time=102.3, laps=6)]
    assert [seen.episode and seen.episode.end for seen in run(driver(evaluation=True), *states)] == [
        None,
        None,
        None,
        "laps done",
    ]
    assert run(driver(evaluation=True), car(0), car(1, time=104.1))[-1].episode.end == "time limit"


def test_an_interrupted_episode_stores_nothing_made_up() -> None:
    driven = driver()
    run(driven, car(0), car(1))
    result = driven.interrupt()
    assert (result.end, result.steps) == ("interrupted", 1)
    assert result.metres == pytest.approx(METRES)
    seen = take(driven, 9, car(9))
    assert (seen.begins, seen.transition, seen.episode) == (True, None, None)
    np.testing.assert_array_equal(seen.vector, vector((9, 9, 9), NONE, NONE))
    assert take(driven, 10, car(10)).transition.reward == pytest.approx(2.0 * METRES)


def test_only_an_open_episode_can_be_interrupted() -> None:
    driven = driver()
    assert driven.interrupt() is None
    take(driven, 0, car(0))
    assert driven.interrupt() is not None
    assert driven.interrupt() is None


def test_a_state_that_was_seen_stays_seen_through_an_interruption() -> None:
    """Else the next episode's first step would be paid for the whole time without states."""
    driven = driver()
    assert not driven.seen(car(0))
    take(driven, 0, car(0))
    assert driven.seen(car(0))
    driven.interrupt()
    assert driven.seen(car(0))
    assert driven.seen(car(-1))
    assert not driven.seen(car(1))
    assert not driven.seen(car(-1, session=2))


def test_a_state_is_expected_one_decision_after_the_last() -> None:
    driven = driver()
    assert driven.session is None
    assert driven.expected_time < 0.0
    take(driven, 0, car(0))
    assert driven.session == 1
    frame = 1 / 60
    assert 100.0 + 2 * frame < driven.expected_time < 100.0 + 3 * frame


def test_a_new_session_interrupts() -> None:
    """The stream was lost: how often the car crashed meanwhile, and where it was put, is not known."""
    driven = driver()
    run(driven, car(0), car(1))
    seen = take(driven, 2, car(2, session=2, crashes=0, returns=0, laps=0, time=3.0))
    assert (seen.begins, seen.transition, seen.lap) == (True, None, None)
    assert (seen.episode.end, seen.episode.steps, seen.episode.crashes) == ("interrupted", 1, 0)
    assert seen.episode.seconds == pytest.approx(STEP)
    following = take(driven, 3, car(3, session=2, crashes=1, returns=0, laps=0, time=3.05))
    assert following.transition.reward == pytest.approx(2.0 * METRES - 2.0)


def test_an_observation_that_nobody_answered_makes_no_transition() -> None:
    driven = driver()
    driven.observe(observation(0), car(0))
    assert take(driven, 1, car(1)).transition is None
    assert take(driven, 2, car(2)).transition is not None
    driven.interrupt()
    driven.observe(observation(3), car(3))
    assert take(driven, 4, car(4)).transition is None


def test_a_lap_is_told_when_it_is_complete() -> None:
    driven = driver()
    seen = run(driven, car(0, segment=-1), car(1, laps=4, last_lap=9.5), car(2, laps=4))
    assert [one.lap and (one.lap.seconds, one.lap.clean) for one in seen] == [None, (9.5, True), None]
    assert driven.laps.clean_in_a_row == 1


def test_without_the_track_segments_are_paid_and_movement_is_progress() -> None:
    driven = driver(track=None)
    seen = run(driven, *map(car, range(10)), car(10, segments_in_order=1))
    assert [one.episode for one in seen] == [None] * 11
    assert seen[-1].transition.reward == pytest.approx(0.2)
    still = [car(k, position=car(10).position, segments_in_order=1) for k in range(11, 35)]
    ends = [one.episode.end for one in run(driven, *still) if one.episode]
    assert ends == ["no progress"]


def test_no_clock_of_the_machine_enters_a_transition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine must not change a reward: only the states' own times count."""

    def forbidden() -> float:
        raise AssertionError("a clock was read")

    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, forbidden)
    for track in (TRACK, None):
        assert run(driver(track=track), car(0), car(1), car(2, time=103.0))[-1].episode.seconds == 3.0


def test_transitions_travel_as_arrays() -> None:
    seen = run(driver(), *(car(k) for k in range(4)), car(4, returns=6))
    steps = [one.transition for one in seen if one.transition]
    rows = NStepCollector(1, 0.98)
    packed = concatenate([row for step in steps for row in rows.add(step)])
    assert rows.end() == []
    size = observation_size(SETTINGS.observation)
    assert [array.shape for array in packed] == [(4, size), (4, 2), (4,), (4,), (4, size)]
    assert {array.dtype for array in packed} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(packed.discount, [1.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(packed.observation[1:], packed.next_observation[:-1])
    np.testing.assert_array_equal(packed.action, np.stack([action(k) for k in range(4)]))


class Scripted:
    """Starts in an order."""

    def __init__(self, *starts: Restart) -> None:
        self._starts = iter(starts)

    def next(self) -> Restart:
        return next(self._starts)


SOMEWHERE, ELSEWHERE = Restart(0, 0.5), Restart(1, 0.1)
OTHER = Track(2.0 * TRACK.points)


def restarted(*sets: str, evaluation: bool = False) -> Driver:
    tracks = Tracks(TRACK)
    tracks._made[1] = OTHER
    tracks.training = range(1, 2)
    settings = config.load(sets=[*SEEN, "start.anywhere=true", *sets])
    return Driver("a", settings, tracks, evaluation=evaluation, starts=Scripted(SOMEWHERE, ELSEWHERE))


def test_a_car_with_starts_begins_when_it_has_been_put_there() -> None:
    driven = restarted()
    asked = driven.observe(observation(0), car(0))
    assert (asked.restart, asked.vector, asked.transition, asked.begins) == (SOMEWHERE, None, None, False)
    waiting = [driven.observe(observation(k), car(k)) for k in range(1, ASK_AGAIN + 1)]
    assert [seen.restart for seen in waiting] == [None] * (ASK_AGAIN - 1) + [SOMEWHERE]
    assert all(seen.vector is None and seen.transition is None for seen in waiting)
    seen = take(driven, 20, car(20, session=2))
    assert (seen.begins, seen.restart, seen.episode) == (True, None, None)
    assert take(driven, 21, car(21, session=2)).transition is not None


def test_an_end_is_followed_by_the_next_start_and_nothing_in_between() -> None:
    driven = restarted()
    driven.observe(observation(0), car(0))
    take(driven, 1, car(1, session=2))
    end = take(driven, 2, car(2, session=2, returns=6))
    assert end.transition.discount == 0.0
    assert end.episode.end == "returned to track"
    assert (end.vector, end.restart) == (None, ELSEWHERE)
    assert driven.interrupt() is None
    between = driven.observe(observation(3), car(3, session=2))
    assert (between.vector, between.transition, between.episode) == (None, None, None)
    begun = take(driven, 4, car(4, session=3, track=1))
    np.testing.assert_array_equal(begun.vector, vector((4, 4, 4), NONE, NONE))
    assert begun.transition is None


def test_a_step_is_priced_on_the_track_that_the_car_is_on() -> None:
    driven = restarted()
    driven.observe(observation(0), car(0))
    rewards = []
    for session, track in ((2, 0), (3, 1)):
        take(driven, 0, car(10 * session, session=session, track=track, position=(0.5, 0.0, 6.0)))
        there = car(10 * session + 1, session=session, track=track, position=(0.5, 0.0, 6.05))
        rewards.append(take(driven, 1, there).transition.reward)
        if track == 0:
            driven.observe(observation(2), car(10 * session + 2, session=session, track=track, returns=6))
    assert rewards == pytest.approx([0.0, 2.0 * 0.05])  # beyond TRACK's far side; along OTHER's first
    assert driven._result(End.LAPS).track_metres == pytest.approx(OTHER.length)


@pytest.mark.parametrize(("evaluation", "ends"), [(False, True), (True, False)])
def test_a_crash_ends_an_exploring_cars_episode_where_it_is_set_so(evaluation: bool, ends: bool) -> None:
    driven = restarted("episode.end_on_crash=true", evaluation=evaluation)
    driven.observe(observation(0), car(0))
    take(driven, 1, car(1, session=2))
    seen = take(driven, 2, car(2, session=2, crashes=5))
    assert (seen.episode is not None) == ends
    assert seen.transition.discount == (0.0 if ends else 1.0)
