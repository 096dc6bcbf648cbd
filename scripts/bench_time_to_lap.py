"""Measure how soon a fresh run drives clean laps, from process start; prints one JSON line."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from typing import Any

from robo.errors import UserError
from robo.runs import RunFolder
from scripts.command import guarded


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time a fresh run to its first and third clean lap.")
    parser.add_argument("--config", default="configs/ddpg.yml", metavar="FILE", help="(configs/ddpg.yml)")
    parser.add_argument("--clock", choices=("lockstep", "realtime"), default="lockstep", help="(lockstep)")
    parser.add_argument("--seed", type=int, default=0, help="the run's seed (0)")
    parser.add_argument("--max-seconds", type=float, default=600.0, metavar="S", help="give up after S (600)")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting")
    options = parser.parse_args()
    folder = RunFolder(f"bench-{time.strftime('%Y%m%d-%H%M%S')}")
    run = [sys.executable, "-m", "scripts.train", options.config, "--run", folder.name]
    limits = ["--until-clean-laps", "3", "--max-seconds", str(options.max_seconds)]
    sets = [f"simulator.clock={options.clock}", f"seed={options.seed}"]
    sets += ["simulator.car_port=0", "simulator.spectator_port=0", "monitor.port=0", *options.set]
    done = subprocess.run(
        [*run, *limits, *(word for item in sets for word in ("--set", item))], stdout=sys.stderr, check=False
    )
    try:
        summary = json.loads((folder.path / "summary.json").read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"the run ended with exit code {done.returncode} before it drove") from None
    print(json.dumps(figures(summary)))
    if not options.keep:
        shutil.rmtree(folder.path)
    return done.returncode


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    """The benchmark's keys out of a run's summary; seconds are null where it did not come so far."""
    return {
        "seconds_to_first_clean_lap": summary["seconds_to_first_clean_lap"],
        "seconds_to_three_clean_laps": summary["seconds_to_clean_laps"],
        "best_lap_seconds": summary["best_lap_seconds"],
        "env_steps": summary["env_steps"],
        "train_steps": summary["train_steps"],
        "clock": summary["clock"],
        "cars": summary["cars"],
    }


if __name__ == "__main__":
    sys.exit(guarded(main))
