"""Drive an exported policy: python -m scripts.run_policy runs/ddpg/policies/best."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from processes import session
from processes.table import cars
from robo import config
from robo.learning.details import check_policy, read_details
from robo.runs import RunFolder, films
from scripts.command import guarded, run_parser, settings

CONFIG = config.ROOT / "configs" / "run_policy.yml"


def main() -> int:
    """The command line."""
    parser = run_parser(
        "Drive an exported policy and print its laps. What it sees and what its actions mean was exported "
        "with it; where not, --set says it.",
        "run_policy",
    )
    parser.add_argument("policy", type=Path, help="its folder, such as runs/ddpg/policies/best")
    parser.add_argument("--laps", type=int, default=3, metavar="N", help="of every car (3)")
    parser.add_argument("--cars", type=int, default=1, metavar="N", help="(1)")
    parser.add_argument(
        "--record", action="store_true", help="film the first car: camera, track from above, figures; an MP4"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as a JSON line at the end")
    arguments = parser.parse_args()
    sets = [*exported(arguments.policy), f"limits.laps={arguments.laps}", f"cars.evaluators={arguments.cars}"]
    loaded = config.load([CONFIG], [*sets, *settings(arguments)], os.environ)
    if arguments.record:
        car = next(car for car in cars(loaded) if car.role == "evaluator")
        loaded = replace(loaded, film=replace(loaded.film, car=car.name))
    folder = RunFolder(arguments.run, arguments.runs)
    earlier = len(films(folder.path))
    code = session.run(loaded, folder, restart=False)
    if arguments.record and (made := films(folder.path)[earlier:]):
        print(f"the film is in {os.path.relpath(made[-1])}")
    if arguments.json:
        print(json.dumps(figures(folder.path)))
    return code


def exported(folder: Path) -> list[str]:
    """The settings that go with a policy. Raises UserError when there is none in the folder."""
    check_policy(folder)
    details = read_details(folder)
    sets = [f"policy={folder}"]
    if details.get("track"):
        sets.append(f"track={details['track']}")
    for section in ("observation", "action"):
        values: Mapping[str, Any] = details.get(section, {})
        sets += [f"{section}.{key}={value}" for key, value in values.items()]
    return sets


def figures(folder: Path) -> dict[str, Any]:
    """How it drove, out of the run's summary."""
    summary = json.loads((folder / session.SUMMARY).read_text(encoding="utf-8"))
    names = ("laps", "clean_laps", "clean_lap_rate", "best_lap_seconds", "mean_lap_seconds")
    return {name: summary[name] for name in names}


if __name__ == "__main__":
    sys.exit(guarded(main))
