"""The simulator's benchmark, in a hurry."""

from __future__ import annotations

import json

import pytest

from scripts import bench_simulator


def test_it_prints_one_line_with_every_key(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_simulator, "car_racing_speed", lambda seconds: None)
    monkeypatch.setattr(bench_simulator, "vector_speed", lambda seconds: None)
    monkeypatch.setattr("sys.argv", ["bench_simulator", "--seconds", "0.1", "--realtime-seconds", "0.5"])
    assert bench_simulator.main() == 0
    line = capfd.readouterr().out
    assert line.count("\n") == 1
    figures = json.loads(line)
    assert list(figures) == [
        "flat_fps",
        "track3d_fps",
        "car_racing_fps",
        "vector_steps_per_s",
        "socket_fps",
        "realtime_fps_min",
        "realtime_jitter_p99_ms",
        "realtime_cpu_fraction",
    ]
    assert figures["car_racing_fps"] is figures["vector_steps_per_s"] is None
    assert figures["flat_fps"] > 1000
    assert figures["socket_fps"] > 300
    assert 30 < figures["realtime_fps_min"] < 65
    assert 0 < figures["realtime_cpu_fraction"] < 1
    assert figures["realtime_jitter_p99_ms"] > 0
