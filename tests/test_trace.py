from pathlib import Path

import numpy as np
import pytest

from bench.measure import Latencies, percentiles
from processes import trace
from processes.trace import Stage, Trace


def rows(*notes: tuple[Stage, int, int, float]) -> np.ndarray:
    return np.array(notes, np.float64)


def test_notes_of_several_processes_are_read_as_one_by_time(tmp_path: Path) -> None:
    one, other = Trace(on=True), Trace(on=True)
    one.note(Stage.RECEIVED, 2, 7, 10.0)
    one.note(Stage.COMMANDED, 2, 7, 10.4)
    other.note(Stage.TAKEN, 2, 7, 10.1)
    one.write(tmp_path / "trace" / "one.npy")
    other.write(tmp_path / "trace" / "other.npy")
    found = trace.read(tmp_path / "trace")
    assert found.tolist() == [[0, 2, 7, 10.0], [1, 2, 7, 10.1], [6, 2, 7, 10.4]]


def test_a_trace_that_is_off_notes_and_writes_nothing(tmp_path: Path) -> None:
    off = Trace(on=False)
    off.note(Stage.RECEIVED, 0, 1)
    off.write(tmp_path / "trace" / "off.npy")
    assert not (tmp_path / "trace").exists()
    assert len(trace.read(tmp_path / "trace")) == 0


def test_latencies_join_stages_by_car_and_frame() -> None:
    found = Latencies(
        rows(
            (Stage.RECEIVED, 0, 3, 1.000),
            (Stage.RECEIVED, 1, 3, 1.001),
            (Stage.COMMANDED, 1, 3, 1.003),
            (Stage.COMMANDED, 0, 3, 1.005),
            (Stage.COMMANDED, 0, 3, 1.009),  # once more: the first one counts
            (Stage.RECEIVED, 0, 6, 1.100),  # never answered
            (Stage.RECEIVED, 0, 9, 9.000),  # after the window
            (Stage.COMMANDED, 0, 9, 9.001),
        ),
        began=0.5,
        seconds=2.0,
    )
    assert found.between(Stage.RECEIVED, Stage.COMMANDED) == pytest.approx([0.005, 0.002])
    assert found.frames() == 3  # car 0's, from number 3 to 6
    assert found.unanswered(repeat=3) == 1


def test_missed_frames_are_counted_by_the_clock_and_not_by_jitter() -> None:
    times = np.arange(100) / 60.0
    times += np.random.default_rng(0).uniform(0.0, 0.007, 100)
    late = np.delete(times, [40, 41, 70])
    notes = [
        (Stage.RECEIVED, car, n, at) for car, seen in ((0, times), (1, late)) for n, at in enumerate(seen)
    ]
    assert Latencies(rows(*notes), 0.0, 10.0).missed() == 3


def test_percentiles_are_in_milliseconds_and_none_of_nothing() -> None:
    found = percentiles(np.arange(1001) / 1e6)
    assert found == {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    assert set(percentiles(np.zeros(0)).values()) == {None}
