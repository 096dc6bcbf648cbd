"""Draw learning curves of runs: python -m scripts.report NAME [NAME ...]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from robo.learning import report
from robo.runs import RUNS, RunFolder
from scripts.command import guarded


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Write a run's learning curves to its folder, or draw several runs side by side: "
        "runs that differ in their seed alone as one line, their mean, and a band from least to largest."
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="folders in runs/; a,b,c is three of them")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs are (runs/)")
    parser.add_argument(
        "--out", type=Path, metavar="PNG", help="where several runs are drawn (runs/curves.png)"
    )
    options = parser.parse_args()
    names = [name for word in options.names for name in word.split(",") if name]
    folders = [RunFolder(name, options.runs).path for name in names]
    if len(folders) == 1 and not options.out:
        report.write(folders[0])
        print(folders[0] / report.CURVES_PNG)
        return 0
    path = options.out or options.runs / report.CURVES_PNG
    report.draw([report.RunCurves(folder) for folder in folders], path)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
