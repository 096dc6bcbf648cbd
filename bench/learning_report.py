"""Make the table and the curves of docs/LEARNING.md from what ``bench.learning --keep`` measured."""

from __future__ import annotations

import sys
from typing import Any

from bench import page
from bench.learning import CASES, RESULTS, Case
from robo import config
from robo.learning import report
from scripts.command import guarded

PAGE = config.ROOT / "docs" / "LEARNING.md"

Result = dict[str, Any]


def main() -> int:
    """The command line; it has no options."""
    # Of a case and seed that was measured twice the later one counts.
    results = {(line["case"], line["seed"]): line for line in page.kept(RESULTS, "bench_learning")}
    for name in CASES:
        _draw(name, [seed for case, seed in results if case == name])
    page.put(PAGE, "bench_learning_report", f"{table(results)}\n{curves()}")
    print(f"wrote {page.short(PAGE)} and its curves")
    return 0


def table(results: dict[tuple[str, int], Result]) -> str:
    """Markdown: a row a case and seed, in the cases' order."""
    rows = [
        "| case | seed | asked | 3 clean laps after s | all asked after s | best lap s | s/m | clean laps | "
        "env steps | train steps | learner, of alone |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        for seed in sorted(seed for one, seed in results if one == name):
            result = results[name, seed]
            cells = [
                name,
                seed,
                asked(case),
                result["seconds_to_three_clean_laps"],
                result["seconds_to_target"],
                _rounded(result["best_lap_s"], 2),
                _rounded(result["best_lap_s_per_m"], 3),
                _rounded(result["clean_lap_rate"], 2),
                result["env_steps"],
                result["train_steps"],
                _rounded(result["learner_ratio"], 2),
            ]
            rows.append("| " + " | ".join("not" if cell is None else str(cell) for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def curves() -> str:
    """Markdown: the cases' learning curves that are there."""
    there = [name for name in CASES if (RESULTS.parent / f"{name}.png").exists()]
    return "".join(f"![{name}](learning/{name}.png)\n" for name in there)


def asked(case: Case) -> str:
    """What a case is to show, in words."""
    parts = []
    if case.three_laps_within_s:
        parts.append(f"3 clean laps in {case.three_laps_within_s:g} s")
    if case.lap_under_s:
        parts.append(f"a lap under {case.lap_under_s:g} s")
    if case.tracks:
        parts.append(f"{case.clean_rate * case.tracks:.0f} of {case.tracks} unseen tracks")
    elif case.clean_rate:
        parts.append(f"{100 * case.clean_rate:.0f}% clean")
    if case.pace_under:
        parts.append(f"under {case.pace_under:g} s/m")
    return f"{', '.join(parts)}; within {case.limit_s:g} s"


def _draw(name: str, seeds: list[int]) -> None:
    folders = [config.ROOT / "runs" / f"bench-{name}-{seed}" for seed in seeds]
    runs = [report.RunCurves(folder) for folder in folders if (folder / "metrics.jsonl").exists()]
    if runs:
        report.draw(runs, RESULTS.parent / f"{name}.png")


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(guarded(main))
