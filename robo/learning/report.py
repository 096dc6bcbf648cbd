"""Learning curves of runs: a table of evaluations as CSV, and a picture that may show several runs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo import config
from robo.config import Config
from robo.errors import UserError
from robo.learning import metrics

CURVES_CSV, CURVES_PNG = "curves.csv", "curves.png"
POINTS = 200
"""Places along an axis at which the runs of a group are averaged."""
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b")


class Panel(NamedTuple):
    """One plot."""

    title: str
    kind: metrics.Kind
    value: str
    unit: str
    log: bool = False


PANELS = (
    Panel("Clean laps of all laps", "evaluation", "clean_lap_rate", "share"),
    Panel("Lap time, mean of clean laps", "evaluation", "lap_time", "s"),
    Panel("Return of an evaluation episode", "evaluation", "return", ""),
    Panel("Return while exploring", "collection", "return", ""),
    Panel("Critic's loss", "training", "critic_loss", "", log=True),
    Panel("Steps a second", "collection", "env_steps_per_s", "1/s"),
)


class Curve(NamedTuple):
    """One figure of a run over wall time; ``low`` and ``high``: the least and largest at each point."""

    seconds: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class RunCurves:
    """What a run measured."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError when there is no run, or it measured nothing yet."""
        if not (folder / metrics.FILE).is_file():
            raise UserError(f"{folder}: no run with metrics; name a folder of runs/")
        self.settings: Config = config.read(folder / "config.yml")
        self.lines = metrics.read(folder)
        if not self.lines:
            raise UserError(f"{folder}: nothing measured yet; let the run go on for a while")
        self.name = folder.name
        self._began = self.lines[0]["time"]

    def evaluations(self) -> list[dict[str, Any]]:
        """The evaluation's points, one after another, all with the same keys; None where one has no value."""
        points = [
            {
                "seconds": round(line["time"] - self._began, 3),
                "env_steps": line["env_steps"],
                "train_steps": line["train_steps"],
                **line["values"],
            }
            for line in self.lines
            if line["kind"] == "evaluation"
        ]
        keys = list(dict.fromkeys(key for point in points for key in point))
        return [{key: point.get(key) for key in keys} for point in points]

    def curve(self, panel: Panel) -> Curve | None:
        """A panel's curve; None when nothing of it was measured."""
        rows = []
        for line in self.lines:
            values: Mapping[str, float | None] = line["values"]
            value = values.get(panel.value)
            if line["kind"] == panel.kind and value is not None:
                low, high = (values.get(f"{panel.value}_{end}") for end in ("min", "max"))
                rows.append(
                    (
                        line["time"] - self._began,
                        value,
                        value if low is None else low,
                        value if high is None else high,
                    )
                )
        return Curve(*np.array(rows, np.float64).T) if rows else None


def write(folder: Path, *, picture: bool = True) -> None:
    """Write a run's curves beside its metrics. Raises UserError as RunCurves does, and OSError."""
    run = RunCurves(folder)
    points = run.evaluations()
    with (folder / CURVES_CSV).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(points[0]) if points else ["seconds"])
        table.writeheader()
        table.writerows(points)
    if picture:
        draw([run], folder / CURVES_PNG)


def draw(runs: Sequence[RunCurves], path: Path) -> None:
    """Draw the runs' curves side by side: a colour for those that differ in their seed alone.

    Of one run the band is from the least to the largest episode, or lap, of each point; of several the line
    is their mean and the band from the least to the largest of them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 takes a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    groups: dict[bytes, list[RunCurves]] = {}
    for run in runs:
        groups.setdefault(_key(run.settings), []).append(run)
    figure = Figure(figsize=(15, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(2, 3).flat)
    for panel, axis in zip(PANELS, axes, strict=True):
        for group, colour in zip(groups.values(), COLOURS * (1 + len(groups) // len(COLOURS)), strict=False):
            _draw_group(axis, panel, group, colour)
        axis.set_title(panel.title, fontsize=11)
        axis.set_xlabel("s")
        axis.set_ylabel(panel.unit)
        axis.set_xlim(left=0)
        if panel.log and axis.lines:
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    if axes[0].lines:
        axes[0].legend(fontsize=9, loc="lower right")
        axes[0].set_ylim(-0.02, 1.02)
    figure.savefig(path, dpi=90)


def _draw_group(axis: Any, panel: Panel, group: Sequence[RunCurves], colour: str) -> None:
    curves = [curve for run in group if (curve := run.curve(panel)) is not None]
    if not curves:
        return
    shown = curves[0] if len(curves) == 1 else mean(curves)
    name = group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} more"
    axis.plot(shown.seconds, shown.value, color=colour, label=name, linewidth=1.6, marker=_marker(shown))
    axis.fill_between(shown.seconds, shown.low, shown.high, color=colour, alpha=0.15, linewidth=0)


def _marker(curve: Curve) -> str:
    return "o" if len(curve.seconds) == 1 else ""


def mean(curves: Sequence[Curve]) -> Curve:
    """The mean of several curves where all of them are known, with the least and the largest of them."""
    first, last = max(curve.seconds[0] for curve in curves), min(curve.seconds[-1] for curve in curves)
    seconds = np.linspace(first, max(first, last), POINTS)
    values = np.array([np.interp(seconds, curve.seconds, curve.value) for curve in curves])
    return Curve(seconds, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _key(settings: Config) -> bytes:
    """What is the same for runs that differ in their seed alone, and in ports that happened to be free."""
    simulator = msgspec.structs.replace(settings.simulator, car_port=0, spectator_port=0)
    monitor = msgspec.structs.replace(settings.monitor, port=0)
    return msgspec.json.encode(
        msgspec.structs.replace(settings, seed=0, simulator=simulator, monitor=monitor)
    )
