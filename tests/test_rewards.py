"""What a decision earns, in simulation time only."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from robo import config
from robo.driving.rewards import Progress, Reward, Segments, build, gained_metres
from robo.driving.state import CarState, Vector
from robo.simulation.track import Track

TRACK = Track(np.array([(0, 0, 0), (0, 0, 4), (2, 0, 4), (2, 0, 0)], np.float64))
"""A rectangle 12 m round: (0, 0, z) is at distance z up to 4, and (x, 0, 0) at distance 12 - x."""
CAR = CarState(session=1, time=10.0, position=(0.0, 0.0, 1.0), speed=0.0, track_angle=0.0, segment=2)
STEP = 0.05


def after(before: CarState, **changes: object) -> CarState:
    """The car one decision later."""
    fields = {name: getattr(before, name) for name in before.__struct_fields__}
    return CarState(**{**fields, "time": before.time + STEP, **changes})


def drive(reward: Reward, states: list[CarState]) -> list[float]:
    reward.start(states[0])
    return [earned(reward, one, other) for one, other in itertools.pairwise(states)]


def earned(reward: Reward, before: CarState, then: CarState) -> float:
    return reward(before, then, gained_metres(TRACK, before, then))


def progress() -> Progress:
    return Progress(per_metre=2.0, crash=-3.0, stuck=-1.0)


def places(*positions: Vector) -> list[CarState]:
    states = [after(CAR, position=positions[0])]
    for position in positions[1:]:
        states.append(after(states[-1], position=position))
    return states


@pytest.mark.parametrize(
    ("start", "end", "metres"),
    [
        ((0, 0, 1), (0, 0, 1.5), 0.5),
        ((0, 0, 1.5), (0, 0, 1), -0.5),
        ((0.3, 0, 1), (-0.3, 0, 1.5), 0.5),
        ((0.2, 0, 0), (0, 0, 0.3), 0.5),
        ((0, 0, 0.3), (0.2, 0, 0), -0.5),
        ((0, 0, 3.9), (0.2, 0, 4), 0.3),
    ],
    ids=["ahead", "back", "across", "over the finish line", "back over it", "round a corner"],
)
def test_progress_pays_for_metres_along_the_track(start: Vector, end: Vector, metres: float) -> None:
    assert drive(progress(), places(start, end)) == [pytest.approx(2.0 * metres)]


def test_progress_of_driving_to_and_fro_is_nothing() -> None:
    """Any way that ends where it began and does not go round, also over the finish line and corners."""
    random = np.random.default_rng(0)
    for _ in range(20):
        distances = np.cumsum(random.uniform(-0.4, 0.4, 50))
        way = [TRACK.pose(float(distance))[:3] for distance in (0.0, *distances)]
        jumps = np.arange(distances[-1], 0.0, -0.4 * np.sign(distances[-1]))[1:]
        way += [TRACK.pose(float(distance))[:3] for distance in (*jumps, 0.0)]
        assert sum(drive(progress(), places(*way))) == pytest.approx(0.0, abs=1e-9)


def test_progress_of_a_lap_is_its_length() -> None:
    way = [TRACK.pose(float(distance))[:3] for distance in np.linspace(0.0, 12.0, 41)]
    assert sum(drive(progress(), places(*way))) == pytest.approx(2.0 * 12.0)


def test_progress_charges_every_crash() -> None:
    twice = after(CAR, crashes=2)
    assert earned(progress(), CAR, twice) == pytest.approx(-6.0)
    assert earned(progress(), twice, after(twice)) == 0.0


def test_a_return_to_the_track_is_no_progress() -> None:
    returned = after(CAR, position=(0.0, 0.0, 1.5), returns=1, crashes=1)
    assert earned(progress(), CAR, returned) == pytest.approx(-3.0)


def test_nor_is_it_before_the_stream_has_told_of_it() -> None:
    """No car drives 2.5 m in a twentieth of a second: it was put there."""
    assert gained_metres(TRACK, CAR, after(CAR, position=(0.0, 0.0, 3.5))) == 0.0
    assert gained_metres(TRACK, CAR, after(CAR, position=(0.0, 0.0, 1.8))) == pytest.approx(0.8)


def test_progress_does_not_depend_on_how_long_a_step_took() -> None:
    quick = after(CAR, position=(0.0, 0.0, 1.4))
    slow = after(CAR, position=(0.0, 0.0, 1.4), time=CAR.time + 5.0)
    assert earned(progress(), CAR, quick) == earned(progress(), CAR, slow)


@pytest.mark.parametrize(("seconds", "paid"), [(0.0, 0.2), (0.5, 2.2), (0.25, 4.2), (1.0, 0.2), (1.5, 0.2)])
def test_a_segment_in_order_pays_and_more_when_fast(seconds: float, paid: float) -> None:
    crossed = after(CAR, segments_in_order=1, segment_seconds=seconds)
    assert drive(Segments(), [CAR, crossed]) == [pytest.approx(paid)]


def test_a_segment_is_paid_for_once() -> None:
    crossed = after(CAR, segments_in_order=1, segment_seconds=0.5)
    assert drive(Segments(), [CAR, crossed, after(crossed)]) == [pytest.approx(2.2), 0.0]


@pytest.mark.parametrize(("angle", "paid"), [(99.0, 0.0), (100.0, 0.0), (150.0, -5.0), (180.0, -8.0)])
def test_facing_the_wrong_way_costs(angle: float, paid: float) -> None:
    assert drive(Segments(), [CAR, after(CAR, track_angle=angle)]) == [pytest.approx(paid)]


def test_a_segment_backwards_costs_ten() -> None:
    assert drive(Segments(), [CAR, after(CAR, segments_backwards=1)]) == [pytest.approx(-10.0)]


@pytest.mark.parametrize(("before", "then"), [(1.2, 1.2), (1.2, 0.0), (0.0, 1.2)])
def test_a_crash_costs_by_its_speed(before: float, then: float) -> None:
    """The wall may have taken the speed by the time that the crash is seen."""
    states = [after(CAR, speed=before), after(CAR, speed=then, crashes=1)]
    assert drive(Segments(), states) == [pytest.approx(-2.5 * 2.2)]


def test_everything_of_one_step_adds_up() -> None:
    worst = after(CAR, segments_in_order=1, segment_seconds=0.5, track_angle=110.0, speed=1.0, crashes=1)
    assert drive(Segments(), [CAR, worst]) == [pytest.approx(0.2 + 2.0 - 1.0 - 5.0)]


def test_segments_of_driving_to_and_fro_earn_nothing() -> None:
    over = after(CAR, segments_in_order=1, segment_seconds=0.1)
    back = after(over, segments_backwards=1)
    again = after(back, segments_in_order=2)
    onward = after(again, segments_in_order=3, segment_seconds=2.0)
    paid = drive(Segments(), [CAR, over, back, again, onward])
    assert paid == [pytest.approx(10.2), pytest.approx(-10.0), 0.0, pytest.approx(0.2)]


def test_nor_do_they_over_the_ends_of_episodes() -> None:
    reward = Segments()
    far = after(CAR, segments_in_order=7, segments_backwards=1)
    back = after(far, segments_backwards=2)
    again = after(back, segments_in_order=8, segment_seconds=2.0)
    assert sum(drive(reward, [far, back]) + drive(reward, [back, again])) == pytest.approx(-9.8)


def test_what_was_crossed_before_the_episode_is_not_paid_for() -> None:
    late = after(CAR, segments_in_order=40, segments_backwards=3, crashes=2)
    assert drive(Segments(), [late, after(late)]) == [0.0]


@pytest.mark.parametrize("reward", [progress(), Segments()], ids=["progress", "segments"])
def test_the_terms_add_up_to_what_was_paid(reward: Reward) -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        states = [CAR]
        for _ in range(30):
            before = states[-1]
            x, _, z, _ = TRACK.pose(TRACK.distance(before.position) + random.uniform(-0.3, 0.4))
            counts = {
                name: getattr(before, name) + int(random.integers(0, 2))
                for name in ("segments_in_order", "segments_backwards", "crashes")
            }
            seen = {"track_angle": random.uniform(0.0, 180.0), "speed": random.uniform(0.0, 3.0)}
            crossed = {"segment_seconds": random.uniform(0.0, 1.5)}
            states.append(after(before, position=(x, 0.0, z), **counts, **seen, **crossed))
        paid = drive(reward, states)
        assert sum(reward.terms.values()) == pytest.approx(sum(paid), abs=1e-9)
        assert 0.0 not in reward.terms.values()


def test_each_term_says_what_was_paid_for() -> None:
    reward = progress()
    drive(reward, [CAR, after(CAR, position=(0.0, 0.0, 1.5), crashes=2)])
    assert reward.terms == {"progress": pytest.approx(1.0), "crashes": -6.0}
    reward = Segments()
    worst = after(
        CAR,
        segments_in_order=2,
        segments_backwards=1,
        segment_seconds=0.5,
        track_angle=110.0,
        speed=1.0,
        crashes=1,
    )
    drive(reward, [CAR, worst])
    assert reward.terms == {
        "segments": pytest.approx(2.2),
        "backwards": -10.0,
        "crashes": pytest.approx(-5.0),
        "direction": pytest.approx(-1.0),
    }


@pytest.mark.parametrize("reward", [progress(), Segments()], ids=["progress", "segments"])
def test_the_terms_are_those_of_the_episode_under_way(reward: Reward) -> None:
    drive(reward, [CAR, after(CAR, crashes=1)])
    assert set(reward.terms) == {"crashes"}
    ended = reward.terms
    reward.start(CAR)
    assert reward.terms == {}
    assert set(ended) == {"crashes"}  # what was told of it stays as it was


@pytest.mark.parametrize(
    ("kind", "track", "built"),
    [
        ("auto", TRACK, Progress),
        ("auto", None, Segments),
        ("progress", TRACK, Progress),
        ("segments", TRACK, Segments),
        ("segments", None, Segments),
    ],
)
def test_progress_is_the_default_where_the_track_is_known(
    kind: str, track: Track | None, built: type
) -> None:
    settings = config.load(sets=[f"reward.kind={kind}"]).reward
    assert type(build(settings, track_known=track is not None)) is built
