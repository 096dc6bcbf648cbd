"""The line of a lap: from finish line to finish line, and to nowhere that the car did not drive."""

from __future__ import annotations

from robo.cache_values import LapLine
from robo.driving.lap_line import MOST_POINTS, LapTracer
from robo.driving.laps import Lap
from robo.driving.state import CarState

CLEAN = Lap(9.5, clean=True)


def car(number: int, **changes: object) -> CarState:
    """After so many decisions: 0.1 m farther on with each."""
    fields = {"session": 1, "time": number * 0.05, "position": (0.1 * number, 0.3, -1.0), "speed": 2.0}
    return CarState(**{**fields, "track_angle": 0.0, "segment": 1, "track": 3, **changes})


def xs(line: LapLine) -> list[float]:
    return [x for x, _, _ in line.points]


def test_the_line_of_a_lap_is_told_when_it_is_complete() -> None:
    tracer = LapTracer()
    assert [tracer.follow(car(number), None) for number in range(3)] == [None] * 3
    assert tracer.follow(car(3, laps=1), CLEAN) == LapLine(
        3, 9.5, True, [(0.0, -1.0, 2.0), (0.1, -1.0, 2.0), (0.2, -1.0, 2.0), (0.3, -1.0, 2.0)]
    )


def test_a_lap_begins_where_the_last_one_ended() -> None:
    tracer = LapTracer()
    tracer.follow(car(0), None)
    tracer.follow(car(1, laps=1), CLEAN)
    tracer.follow(car(2, laps=1), None)
    line = tracer.follow(car(3, laps=2), Lap(8.0, clean=False))
    assert xs(line) == [0.1, 0.2, 0.3]
    assert (line.seconds, line.clean) == (8.0, False)


def test_no_line_leads_to_where_the_car_was_put() -> None:
    for elsewhere in ({"returns": 1}, {"session": 2}):
        tracer = LapTracer()
        tracer.follow(car(0), None)
        tracer.follow(car(1), None)
        tracer.follow(car(7, **elsewhere), None)
        assert xs(tracer.follow(car(8, laps=1, **elsewhere), CLEAN)) == [0.7, 0.8]


def test_the_lap_in_which_the_car_is_put_back_begins_there() -> None:
    tracer = LapTracer()
    tracer.follow(car(0), None)
    tracer.follow(car(1, returns=1), None)
    assert xs(tracer.follow(car(2, returns=1, laps=1), CLEAN)) == [0.1, 0.2]


def test_a_lap_that_is_nobodys_has_no_line_and_the_next_begins_behind_it() -> None:
    tracer = LapTracer()
    tracer.follow(car(0), None)
    assert tracer.follow(car(1, laps=1), None) is None
    assert xs(tracer.follow(car(2, laps=2), CLEAN)) == [0.1, 0.2]


def test_of_a_very_long_lap_the_end_is_kept() -> None:
    tracer = LapTracer()
    for number in range(3 * MOST_POINTS):
        tracer.follow(car(number), None)
    line = tracer.follow(car(3 * MOST_POINTS, laps=1), CLEAN)
    assert len(line.points) <= MOST_POINTS + 1
    assert xs(line)[-1] == round(0.1 * 3 * MOST_POINTS, 3)
