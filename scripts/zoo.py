"""Train the policies of the zoo and pack them: python -m scripts.zoo [NAME ...]."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from robo import config, log
from robo.errors import UserError
from robo.learning import metrics, report
from robo.learning.details import check_policy, read_details
from robo.learning.folders import whole_folder
from robo.runs import CONFIG, RUNS
from scripts.command import guarded

ZOO = config.ROOT / "policies"
CARD = "CARD.md"
MEANDER = "track=configs/tracks/meander.json"


class Entry(NamedTuple):
    """One policy of the zoo: how it is trained, and what it is."""

    config: str
    seconds: float
    what: str
    sets: tuple[str, ...] = ()


ENTRIES = {
    "full_speed": Entry(
        "full_speed.yml", 240.0, "SAC with all of the throttle: the fastest laps", (MEANDER,)
    ),
    "ddpg": Entry("ddpg.yml", 90.0, "DDPG, throttle 0.02 to 0.1", (MEANDER,)),
    "td3": Entry("td3.yml", 120.0, "TD3, throttle 0.02 to 0.1", (MEANDER,)),
    "rdpg": Entry("rdpg.yml", 150.0, "RDPG, which sees one picture at a time and remembers", (MEANDER,)),
    "tracks": Entry("tracks.yml", 120.0, "TD3 for any track with bends down to 0.35 m, throttle 0.02 to 0.1"),
    "tracks_full_speed": Entry(
        "tracks_full_speed.yml", 420.0, "SAC for any track with bends down to 0.3 m, all of the throttle"
    ),
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Train policies, each in its run folder runs/zoo-NAME, and pack them into policies/.",
        epilog=f"Names: {', '.join(ENTRIES)}",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which (all)")
    parser.add_argument(
        "--no-training", action="store_true", help="pack what the run folders hold, without training anew"
    )
    options = parser.parse_args()
    names = options.names or list(ENTRIES)
    unknown = [name for name in names if name not in ENTRIES]
    if unknown:
        raise UserError(f"{unknown[0]}: not in the zoo; choose from {', '.join(ENTRIES)}")
    for number, name in enumerate(names, 1):
        folder = RUNS / f"zoo-{name}"
        if not options.no_training:
            print(f"{number} of {len(names)}: {name}, {ENTRIES[name].seconds:g} s", flush=True)
            code = subprocess.run(training(name), cwd=config.ROOT, check=False).returncode
            if code:
                return code
        print(f"packed {pack(name, folder, ZOO).relative_to(config.ROOT)}")
    (ZOO / "README.md").write_text(index(ZOO), encoding="utf-8")
    return 0


def training(name: str) -> list[str]:
    """The command that trains one."""
    entry = ENTRIES[name]
    command = [sys.executable, "-m", "scripts.train", f"configs/{entry.config}", "--run", f"zoo-{name}"]
    command += ["--restart", "--max-seconds", f"{entry.seconds:g}"]
    return command + [word for item in entry.sets for word in ("--set", item)]


def pack(name: str, run: Path, zoo: Path) -> Path:
    """Pack a run's best policy with its config, curves and card into the zoo; the folder that it is in there.

    Raises UserError when the run has none.
    """
    best = run / "policies" / "best"
    check_policy(best)
    curves = report.RunCurves(run)
    details = read_details(best)
    folder = zoo / name
    with whole_folder(folder) as temporary:
        shutil.copytree(best, temporary, dirs_exist_ok=True)
        shutil.copy(run / CONFIG, temporary / CONFIG)
        report.draw([curves], temporary / report.CURVES_PNG)
        text = card(name, details, curves.settings, seconds_until(run, details))
        (temporary / CARD).write_text(text, encoding="utf-8")
    return folder


def seconds_until(run: Path, details: Mapping[str, Any]) -> float:
    """Wall time of a run from its command to the evaluation of the policy with these details, seconds."""
    with (run / "logs" / "supervisor.log").open(encoding="utf-8") as lines:
        began = log.unix_time(json.loads(lines.readline()))
    for line in metrics.read(run):
        # The line has the weights' age besides.
        if line["kind"] == "evaluation" and details["evaluation"].items() <= line["values"].items():
            return line["time"] - began
    raise UserError(f"{run}: its best policy is of another run; train it anew")


def card(name: str, details: Mapping[str, Any], settings: config.Config, seconds: float) -> str:
    """What there is to know of a policy, as Markdown."""
    entry, figures = ENTRIES[name], details["evaluation"]
    pace = figures["lap_seconds_per_metre"]
    sets = "".join(f" --set {item}" for item in (*entry.sets, f"seed={settings.seed}"))
    return f"""# {name}

{entry.what}.

| | |
|---|---|
| track | {_track(settings)} |
| lap, mean of its evaluation | {figures["lap_time"]:.2f} s, {pace:.3f} s a metre |
| fastest lap there | {figures["lap_time_min"]:.2f} s |
| clean laps there | {figures["clean_laps"]:.0f} of {figures["laps"]:.0f} |
| trained for | {seconds:.0f} s of wall time on two cores, from the start of the command |
| that is | {details["env_steps"]:,} decisions of six cars, {details["train_step"]:,} train steps |
| by | `python -m scripts.train configs/{entry.config}{sets}` |
| all settings | [{CONFIG}]({CONFIG}) |

    make run_trained_policy POLICY=policies/{name}

![learning curves]({report.CURVES_PNG})
"""


def index(zoo: Path) -> str:
    """The zoo's table, as Markdown."""
    rows = []
    for name, entry in ENTRIES.items():
        if not (zoo / name / CARD).is_file():
            continue
        figures = read_details(zoo / name)["evaluation"]
        lap = f"{figures['lap_time']:.2f} s | {figures['lap_seconds_per_metre']:.3f}"
        clean = f"{figures['clean_laps']:.0f} of {figures['laps']:.0f}"
        rows.append(f"| [{name}]({name}/{CARD}) | {entry.what} | {lap} | {clean} |")
    return "\n".join([*_HEAD, *rows, ""])


_HEAD: Sequence[str] = (
    "# Trained policies",
    "",
    "Each with its settings, its learning curves and a card; `make zoo` trains them all anew.",
    "",
    "    make run_trained_policy POLICY=policies/full_speed ARGS=--record",
    "",
    "| policy | what | lap | s a metre | clean laps |",
    "|---|---|---|---|---|",
)


def _track(settings: config.Config) -> str:
    tracks = settings.tracks
    if tracks.training:
        return f"any: trained on {tracks.training} random ones, scored on {tracks.evaluation} others"
    return f"`{settings.track}`"


if __name__ == "__main__":
    sys.exit(guarded(main))
