"""Car states from the messages of a spectator stream, as they come over the wire."""

from __future__ import annotations

import json
import math

import msgspec
import pytest

from robo.driving.state import CarState, pack, unpack
from robo.driving.stream import MOST_CARS, StreamState
from robo.protocol import spectator as wire
from robo.protocol.car import NAME_LIMIT

A = wire.CarInfo("a", timestamp=0.0)
B = wire.CarInfo("b", timestamp=0.0)


def parameters(segments: int = 30) -> wire.RaceParameters:
    return wire.RaceParameters(segments, timestamp=0.0)


def moved(time: float, segment: int, name: str = "a", **changes: float) -> wire.Message:
    """A GameStatus of one car, after a journey over the wire; ``changes`` may be NaN."""
    numbers = {"x": 1.0, "z": 2.0, "vx": 3.0, "vz": -4.0, "angle": 5.0, "yaw": 0.0, **changes}
    half = numbers["yaw"] / 2
    car = {
        "name": name,
        "position": {"x": numbers["x"], "y": 0.05, "z": numbers["z"]},
        "velocity": {"x": numbers["vx"], "y": 0.0, "z": numbers["vz"]},
        "rotation": {"x": 0.0, "y": math.sin(half), "z": 0.0, "w": math.cos(half)},
        "trackAngle": numbers["angle"],
        "trackSegment": segment,
    }
    message = wire.decode(json.dumps({"type": "GameStatus", "timestamp": time, "cars": [car]}).encode())
    assert message is not None
    return message


def lap(number: int, seconds: float) -> wire.LapCompleted:
    return wire.LapCompleted(A, number, seconds, seconds, 60.0, timestamp=0.0)


def after(*messages: wire.Message, session: int = 7) -> StreamState:
    stream = StreamState(session)
    for message in (parameters(), *messages):
        stream.apply(message)
    return stream


def counts(*segments: int) -> tuple[int, int]:
    """Segments in order and backwards of a car that reports these, a second each."""
    state = after(*(moved(float(k), segment) for k, segment in enumerate(segments))).cars["a"]
    return state.segments_in_order, state.segments_backwards


def test_a_state_says_which_track_its_car_was_added_to() -> None:
    def on(track: int) -> wire.CarAdded:
        return wire.CarAdded(wire.CarInfo("a", track=track, timestamp=0.0), timestamp=0.0)

    stream = after(on(0), moved(1.0, -1))
    first = stream.cars["a"]
    for message in (wire.CarRemoved(A, timestamp=1.0), on(3), moved(1.1, -1)):
        stream.apply(message)
    assert (first.track, stream.cars["a"].track) == (0, 3)
    assert stream.cars["a"].session != first.session


def test_a_status_becomes_a_state() -> None:
    stream = after(moved(1.5, -1))
    assert stream.cars == {"a": CarState(7, 1.5, (1.0, 0.05, 2.0), 5.0, 5.0, -1, forward=-4.0, left=-3.0)}
    assert stream.changed == {"a"}


@pytest.mark.parametrize("yaw", [-2.5, -0.3, 0.0, 1.2, 3.0])
def test_a_state_tells_where_the_car_faces_and_how_it_slides(yaw: float) -> None:
    ahead, left = 2.0, 0.5
    vx, vz = ahead * math.sin(yaw) - left * math.cos(yaw), ahead * math.cos(yaw) + left * math.sin(yaw)
    state = after(moved(1.5, -1, vx=vx, vz=vz, yaw=yaw)).cars["a"]
    assert (state.yaw, state.forward, state.left) == pytest.approx((yaw, ahead, left))


def test_there_is_no_state_before_the_first_status() -> None:
    stream = after(wire.CarAdded(A, timestamp=0.0), wire.CarCrashed(A, timestamp=0.0))
    assert stream.cars == {}
    assert stream.changed == set()
    assert stream.ignored == 0


def test_events_are_counted_for_their_car_alone() -> None:
    stream = after(moved(1.0, 3), moved(1.0, 3, "b"))
    stream.changed.clear()
    for message in (
        wire.CarCrashed(A, timestamp=1.0),
        wire.CarCrashed(A, timestamp=1.1),
        wire.CarReturnedToTrack(A, timestamp=1.2),
        wire.CarBumped(A, other=B, timestamp=1.3),
        lap(1, 12.5),
    ):
        stream.apply(message)
    state = stream.cars["a"]
    assert (state.crashes, state.returns, state.bumps, state.laps, state.last_lap) == (2, 1, 1, 1, 12.5)
    assert stream.changed == {"a"}
    assert stream.cars["b"].crashes == 0


def test_counts_stay_when_the_car_moves_on() -> None:
    stream = after(moved(1.0, 3), wire.CarCrashed(A, timestamp=1.0), lap(1, 9.0), moved(1.1, 3))
    state = stream.cars["a"]
    assert (state.time, state.crashes, state.laps, state.last_lap) == (1.1, 1, 1, 9.0)


@pytest.mark.parametrize(
    ("segments", "counted"),
    [
        ((4, 4, 4), (0, 0)),
        ((4, 5, 6), (2, 0)),
        ((28, 29, 0, 1), (3, 0)),
        ((5, 4, 3), (0, 2)),
        ((0, 29), (0, 1)),
        ((5, 4, 5), (1, 1)),
        ((5, 9), (0, 0)),
        ((9, 5, 6), (1, 0)),
        ((-1, 0, 1), (2, 0)),
        ((-1, 28, 29, 0), (2, 0)),
        ((12, -1, 0), (1, 0)),
    ],
    ids=[
        "staying",
        "ahead",
        "over the line",
        "backwards",
        "back over the line",
        "to and fro",
        "a jump",
        "a jump back",
        "from standing at the line",
        "from standing further behind",
        "a reset",
    ],
)
def test_segments_are_counted_in_order_and_backwards(
    segments: tuple[int, ...], counted: tuple[int, int]
) -> None:
    assert counts(*segments) == counted


def test_segments_mean_nothing_while_their_number_is_not_known() -> None:
    stream = StreamState(session=1)
    for message in (moved(1.0, 4), moved(2.0, 0), moved(3.0, 1)):
        stream.apply(message)
    assert (stream.cars["a"].segments_in_order, stream.cars["a"].segments_backwards) == (0, 0)


def test_a_segments_time_is_between_two_crossings_in_simulation_time() -> None:
    stream = after(moved(10.0, 4), moved(10.5, 5), moved(10.6, 5))
    assert stream.cars["a"].segment_seconds == 0.0  # when segment 4 began was not seen
    stream.apply(moved(10.75, 6))
    assert stream.cars["a"].segment_seconds == 0.25


def test_where_a_returned_car_is_found_again_is_no_crossing() -> None:
    """A car is put anywhere, but reports its old segment until it crosses a trigger."""
    returned = wire.CarReturnedToTrack(A, timestamp=2.0)
    for found in (5, 3, 20):
        stream = after(moved(1.0, 3), moved(2.0, 4), returned, moved(3.0, 4), moved(4.0, found))
        state = stream.cars["a"]
        assert (state.segments_in_order, state.segments_backwards, state.segment) == (1, 0, found)
        stream.apply(moved(4.5, found + 1))
        assert stream.cars["a"].segments_in_order == 2
        assert stream.cars["a"].segment_seconds == 0.5


@pytest.mark.parametrize("number", ["x", "z", "vx", "vz", "angle"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1e6])
def test_a_status_that_can_not_be_changes_nothing(number: str, value: float) -> None:
    stream = after(moved(1.0, 3))
    before = stream.cars["a"]
    stream.changed.clear()
    stream.apply(moved(1.1, 4, **{number: value}))
    assert stream.cars["a"] is before
    assert (stream.changed, stream.ignored) == (set(), 1)


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, 1e300, -1.0])
def test_a_time_that_can_not_be_changes_nothing(time: float) -> None:
    stream = after(moved(1.0, 3))
    stream.apply(moved(time, 4))
    assert (stream.cars["a"].time, stream.ignored) == (1.0, 1)


@pytest.mark.parametrize("segment", [-2, 2**31, 2**63, -(2**63) - 1, 10**1000])
def test_a_segment_that_can_not_be_changes_nothing(segment: int) -> None:
    stream = after(moved(1.0, 3), moved(1.1, segment))
    assert (stream.cars["a"].time, stream.ignored) == (1.0, 1)


@pytest.mark.parametrize("count", [0, -1, 2**31, 10**1000])
def test_a_number_of_segments_that_can_not_be_changes_nothing(count: int) -> None:
    stream = after(moved(1.0, 3), parameters(count), moved(2.0, 4))
    assert (stream.cars["a"].segments_in_order, stream.ignored) == (1, 1)


@pytest.mark.parametrize("track", [-1, 2**63, 10**1000])
def test_a_track_that_can_not_be_is_none(track: int) -> None:
    added = wire.CarAdded(wire.CarInfo("a", track=track, timestamp=0.0), timestamp=0.0)
    stream = after(added, moved(1.0, 3))
    assert (stream.cars["a"].track, stream.ignored) == (0, 1)


def test_time_that_goes_back_begins_a_session_of_its_own() -> None:
    """Else a driver, which waits for later states, would drive blind until the time is reached again."""
    stream = after(moved(0.5, 3), moved(900.0, 4), moved(900.0, 4))
    assert stream.cars["a"].session == 7
    stream.apply(moved(1.0, 4))
    state = stream.cars["a"]
    assert (state.session, state.time, state.segments_in_order) == (8, 1.0, 0)
    assert (stream.changed, stream.ignored) == ({"a"}, 0)
    stream.apply(moved(1.5, 5))
    assert (stream.cars["a"].session, stream.cars["a"].segments_in_order) == (8, 1)


def test_a_state_of_the_largest_numbers_survives_its_journeys() -> None:
    state = after(moved(999_999_999.0, 999_999, x=-9000.0, vx=3000.0, vz=-3000.0)).cars["a"]
    assert unpack(pack(state)) == state


def test_most_cars_that_a_stream_names_are_not_followed() -> None:
    stream = StreamState(1, own=["mine"])
    stream.apply(moved(0.5, 3, "first"))
    for number in range(3 * MOST_CARS):
        car = wire.CarInfo(f"{number}", timestamp=0.0)
        for message in (
            *(wire.CarAdded(car, timestamp=0.0), wire.CarReturnedToTrack(car, timestamp=0.0)),
            *(moved(1.0, 3, car.name), wire.CarCrashed(car, timestamp=0.0), moved(2.0, 4, car.name)),
        ):
            stream.apply(message)
    assert len(stream.cars) == MOST_CARS
    assert max(len(held) for held in vars(stream).values() if isinstance(held, dict | set)) == MOST_CARS
    assert stream.ignored > 3 * MOST_CARS
    stream.apply(moved(1.0, 3, "mine"))
    stream.apply(moved(1.0, 3, "first"))
    assert stream.cars["mine"].time == stream.cars["first"].time == 1.0
    stream.apply(wire.CarRemoved(wire.CarInfo("0", timestamp=0.0), timestamp=1.0))
    stream.apply(wire.CarRemoved(wire.CarInfo("mine", timestamp=0.0), timestamp=1.0))
    stream.apply(moved(1.0, 3, "late"))
    assert "late" in stream.cars


def test_cars_that_come_and_go_leave_nothing_behind() -> None:
    stream = after()
    for number in range(1000):
        car = wire.CarInfo(f"{number}", timestamp=0.0)
        for message in (
            *(wire.CarAdded(car, timestamp=0.0), moved(1.0, 3, car.name), moved(2.0, 4, car.name)),
            *(wire.CarReturnedToTrack(car, timestamp=0.0), wire.CarRemoved(car, timestamp=0.0)),
        ):
            stream.apply(message)
    assert not any(held for held in vars(stream).values() if isinstance(held, dict | set))
    assert stream.ignored == 0


@pytest.mark.parametrize("name", ["", "n" * (NAME_LIMIT + 1), "\ud800"])
def test_a_name_that_is_none_is_nobodys(name: str) -> None:
    status = msgspec.structs.replace(moved(1.0, 3).cars[0], name=name)
    car = wire.CarInfo(name, timestamp=0.0)
    stream = after(wire.CarAdded(car, timestamp=0.0), wire.GameStatus([status], timestamp=1.0))
    assert (stream.cars, stream.ignored) == ({}, 2)


def test_one_cars_nan_does_not_cost_another_its_state() -> None:
    bad, good = moved(1.0, 3, x=math.nan), moved(1.0, 3, "b")
    both = wire.GameStatus([*bad.cars, *good.cars], timestamp=1.0)
    assert set(after(both).cars) == {"b"}


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e300, -1.0])
def test_a_lap_time_that_can_not_be_is_no_lap(seconds: float) -> None:
    stream = after(moved(1.0, 3), lap(1, seconds))
    assert (stream.cars["a"].laps, stream.ignored) == (0, 1)


def test_messages_of_no_interest_change_nothing() -> None:
    stream = after(moved(1.0, 3))
    stream.changed.clear()
    for message in (wire.RaceStart(timestamp=2.0), wire.CurrentStandings([], timestamp=2.0)):
        stream.apply(message)
    assert (stream.changed, stream.ignored) == (set(), 0)


def test_a_car_that_left_is_forgotten() -> None:
    stream = after(moved(1.0, 3), wire.CarRemoved(A, timestamp=1.0), wire.CarCrashed(A, timestamp=1.0))
    assert (stream.cars, stream.changed) == ({}, set())


def test_a_car_that_comes_back_begins_a_session_of_its_own() -> None:
    """Its counts begin anew, so they must not be compared with those of before."""
    stream = after(moved(0.5, 2), moved(1.0, 3), moved(1.0, 3, "b"), lap(1, 9.0))
    stream.apply(wire.CarCrashed(A, timestamp=1.0))
    stream.apply(wire.CarRemoved(A, timestamp=1.1))
    stream.apply(moved(2.0, -1))
    stream.apply(moved(2.5, 0))
    state = stream.cars["a"]
    assert state.session != 7
    assert (state.crashes, state.laps, state.segments_in_order, state.segment_seconds) == (0, 0, 1, 0.0)
    stream.apply(moved(2.0, 3, "b"))
    assert stream.cars["b"].session == 7
