"""The pipeline benchmark's own arithmetic, and that its page says what was measured."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from bench import report
from bench.pipeline import GROWTH, HEADLINE, NAIVE, RESULTS, Case, ratios


def result(case: Case, p99: float, frames: float) -> dict[str, Any]:
    return {"case": case.name, "frame_to_command_ms": {"p99": p99}, "car_frames_per_s": frames}


def test_every_case_has_a_name_of_its_own_and_comes_after_its_baselines() -> None:
    names = [case.name for case in (*HEADLINE, *GROWTH)]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    for design in NAIVE:
        for clock, cars in (("realtime", 7), ("lockstep", 6)):
            ours = Case(clock, cars, learn=True)
            assert names.index(ours._replace(design=design).name) < names.index(ours.name)


def test_ratios_are_to_the_baselines_that_were_measured() -> None:
    ours = Case("realtime", 7, learn=True)
    earlier = [
        result(ours._replace(design="threads"), 10.0, 300.0),
        result(ours._replace(design="processes"), 30.0, 200.0),
        result(ours._replace(learn=False), 1.0, 420.0),
    ]
    found = ratios(ours, result(ours, 2.0, 420.0), earlier)
    assert (found["naive_ratio_p99"], found["naive_ratio_throughput"]) == (5.0, 1.4)
    assert found["ratios_p99"] == {"threads": 5.0, "processes": 15.0}
    alone = ratios(ours._replace(cars=3), result(ours, 2.0, 420.0), earlier)
    assert (alone["naive_ratio_p99"], alone["ratios_p99"]) == (None, {})


def test_the_page_has_the_tables_of_the_results_beside_it(tmp_path: Path) -> None:
    results = {line["case"]: line for line in map(json.loads, RESULTS.read_text().splitlines())}
    page = report.PAGE.read_text(encoding="utf-8")
    assert report.tables(results) in page
    for name, plot in (
        ("latency", report.plot_latency),
        ("hops", report.plot_hops),
        ("growth", report.plot_growth),
    ):
        assert f"performance/{name}.png" in page
        plot(results, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
