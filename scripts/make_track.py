"""Write a random track and a map of it: python -m scripts.make_track 7."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2

from robo.errors import UserError
from robo.simulation.map_picture import draw_map, plan_of
from robo.simulation.obstacles import write_obstacles
from robo.simulation.procedural import LENGTHS, MIN_RADIUS, random_obstacles, random_track
from robo.simulation.track import Track
from scripts.command import guarded

FOLDER = Path("tracks")
MAP_PIXELS = 1000


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Write a random flat track in the simulator's format, and a picture of it from above.",
        epilog="The same options give the same file, on any machine.",
    )
    parser.add_argument(
        "seed", type=_natural, metavar="SEED", help="a whole number; each gives another track"
    )
    parser.add_argument(
        "--length",
        type=float,
        metavar="M",
        help=f"of the centre line, metres (random, {LENGTHS[0]:g} to {LENGTHS[1]:g})",
    )
    parser.add_argument(
        "--min-radius",
        type=float,
        default=MIN_RADIUS,
        metavar="M",
        help=f"of the tightest bend, metres ({MIN_RADIUS:g})",
    )
    parser.add_argument("--obstacles", type=_natural, default=0, metavar="N", help="boxes on the floor (0)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"a .json file ({FOLDER}/SEED.json); its map is written beside",
    )
    options = parser.parse_args()
    path = options.out or FOLDER / f"{options.seed}.json"
    if path.suffix != ".json":
        raise UserError(f"--out {path}: name a file that ends in .json")
    content: dict[str, Any] = {"trackNodes": random_track(options.seed, options.length, options.min_radius)}
    track = Track.read(content, path)
    if options.obstacles:
        content["obstacles"] = write_obstacles(
            random_obstacles(options.seed, options.obstacles, track.length)
        )
        track = Track.read(content, path)
    _write(path, content)
    picture = path.with_suffix(".png")
    if not cv2.imwrite(str(picture), draw_map(track, plan_of(track, MAP_PIXELS, MAP_PIXELS))):
        raise UserError(f"{picture}: can't be written")
    boxes = f", {len(track.obstacles)} obstacles" if track.obstacles else ""
    print(f"wrote {path}, {track.length:.2f} m{boxes}, and {picture}")
    return 0


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _write(path: Path, content: dict[str, Any]) -> None:
    """One node, or one obstacle, a line."""
    lists = [
        f'"{key}": [\n' + ",\n".join("  " + json.dumps(item) for item in items) + "\n]"
        for key, items in content.items()
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{" + ",\n".join(lists) + "}\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; choose another --out") from None


if __name__ == "__main__":
    sys.exit(guarded(main))
