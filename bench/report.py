"""Make the tables and plots of docs/PERFORMANCE.md from the results that ``bench.pipeline --keep`` wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench import page
from bench.pipeline import NAIVE, RESULTS
from robo import config
from scripts.command import guarded

PAGE = config.ROOT / "docs" / "PERFORMANCE.md"
COLOURS = ("#4878a8", "#e08a3c", "#6aa86a", "#b8544f", "#8a6fb0", "#8c8c8c")

Result = dict[str, Any]


def main() -> int:
    """The command line; it has no options."""
    results = {result["case"]: result for result in page.kept(RESULTS, "bench_pipeline")}
    page.put(PAGE, "bench_report", tables(results))
    for name, plot in (("latency", plot_latency), ("hops", plot_hops), ("growth", plot_growth)):
        plot(results, RESULTS.parent / f"{name}.png")
    print(f"wrote {page.short(PAGE)} and its plots")
    return 0


def tables(results: dict[str, Result]) -> str:
    """Markdown: one row a case, then one a process of the long case."""
    rows = [
        "| case | p50 | p99 | p99.9 | max ms | lost | frames/s | train steps/s | of alone | I/O cores | MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results.values():
        latency = result["frame_to_command_ms"]
        cells = [
            result["case"],
            *(latency[name] for name in ("p50", "p99", "p999", "max")),
            result["missed_frames"],
            result["car_frames_per_s"],
            result["train_steps_per_s"],
            result["train_ratio_to_alone"],
            result["io_cpu_fraction"] or None,
            result["memory_mb"],
        ]
        rows.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
    rows += ["", *_against([result for result in results.values() if result["ratios_p99"]])]
    long = results.get("realtime-7-cars-learning")
    return "\n".join([*rows, *(_processes(long) if long else [])]) + "\n"


def _against(compared: list[Result]) -> list[str]:
    """How many times better than each naive design the cases are that were held against them."""
    rows = ["| better than | " + " | ".join(NAIVE) + " |", "|---" * (len(NAIVE) + 1) + "|"]
    for result in compared:
        for what, ratios in (("p99", result["ratios_p99"]), ("frames/s", result["ratios_throughput"])):
            cells = [str(ratios.get(design, "")) for design in NAIVE]
            rows.append(f"| {result['case']}, {what} | " + " | ".join(cells) + " |")
    return rows


def _processes(result: Result) -> list[str]:
    rows = [
        "",
        f"Processes of `{result['case']}`",
        "",
        "| process | cores | MB | waits/s | preempted/s |",
        "|---|---|---|---|---|",
    ]
    for name, cores in result["cpu_fraction"].items():
        waits, preempted = result["waits_and_preemptions_per_s"][name]
        rows.append(f"| {name} | {cores} | {result['memory_mb_by_process'][name]} | {waits} | {preempted} |")
    return rows


def plot_latency(results: dict[str, Result], path: Path) -> None:
    """Frame to command, ours beside the naive designs, on a log scale."""
    base = "realtime-7-cars-learning"
    names = [base, *(f"{base}-{design}" for design in NAIVE)]
    shown = [
        (name.removeprefix(f"{base}-") if name != base else "robo", results[name])
        for name in names
        if name in results
    ]
    figure = Figure(figsize=(8, 3.2))
    axes = figure.subplots()
    for place, key in enumerate(("p50", "p99", "p999", "max")):
        heights = [result["frame_to_command_ms"][key] for _, result in shown]
        axes.bar(
            [index + 0.2 * place for index in range(len(shown))],
            heights,
            0.18,
            label=key,
            color=COLOURS[place],
        )
    axes.set_yscale("log")
    axes.set_ylabel("ms, frame to command")
    axes.set_xticks([index + 0.3 for index in range(len(shown))], [label for label, _ in shown])
    axes.axhline(1000 / 60, color="black", linewidth=0.8, linestyle=":")
    axes.annotate("a frame", (0, 1000 / 60), xytext=(0, 2), textcoords="offset points", fontsize=8)
    axes.set_title("7 cars in realtime, learner at full speed")
    _save(figure, axes, path)


def plot_hops(results: dict[str, Result], path: Path) -> None:
    """Where the time goes between frame and command: medians and 99th percentiles of each hop."""
    shown = [
        results[name] for name in ("realtime-7-cars-driving", "realtime-7-cars-learning") if name in results
    ]
    figure = Figure(figsize=(8, 3.2))
    axes = figure.subplots()
    for row, result in enumerate(shown):
        for place, (name, values) in enumerate(result["hops_ms"].items()):
            label = name if row == 0 else None
            left = sum(list(hop["p50"] for hop in result["hops_ms"].values())[:place])
            axes.barh(row, values["p50"], left=left, color=COLOURS[place], label=label)
    axes.set_yticks(range(len(shown)), [result["case"] for result in shown])
    axes.set_xlabel("ms (medians)")
    axes.set_title("Frame to command, hop by hop")
    axes.set_ylim(-0.5, len(shown) + 0.3)  # room for the legend
    _save(figure, axes, path, columns=3)


def plot_growth(results: dict[str, Result], path: Path) -> None:
    """Car frames a second by the number of cars in lockstep, and latency in realtime."""
    figure = Figure(figsize=(10, 3.4))
    left, right = figure.subplots(1, 2)
    for place, kind in enumerate(("driving", "learning")):
        points = _by_cars(results, "lockstep", kind)
        values = [result["car_frames_per_s"] for _, result in points]
        left.plot([cars for cars, _ in points], values, "o-", color=COLOURS[place], label=kind)
    left.set_xlabel("cars, lockstep")
    left.set_ylabel("car frames a second")
    left.set_ylim(bottom=0)
    left.legend(frameon=False)
    points = _by_cars(results, "realtime", "learning")
    for place, key in enumerate(("p50", "p99", "p999")):
        values = [result["frame_to_command_ms"][key] for _, result in points]
        right.plot([cars for cars, _ in points], values, "o-", color=COLOURS[place], label=key)
    right.set_xlabel("cars, realtime, learner at full speed")
    right.set_ylabel("ms, frame to command")
    right.set_ylim(bottom=0)
    _save(figure, right, path)


def _by_cars(results: dict[str, Result], clock: str, kind: str) -> list[tuple[int, Result]]:
    found = [
        (result["cars"], result)
        for name, result in results.items()
        if name == f"{clock}-{result['cars']}-cars-{kind}"
    ]
    return sorted(found, key=lambda point: point[0])


def _save(figure: Figure, axes: Any, path: Path, columns: int = 2) -> None:
    axes.legend(frameon=False, fontsize=8, ncols=columns)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(guarded(main))
