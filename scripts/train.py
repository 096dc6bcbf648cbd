"""Train an agent: python -m scripts.train configs/ddpg.yml --run NAME."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from processes import session
from robo import config
from robo.runs import RunFolder
from scripts.command import guarded, run_parser, settings


def main() -> int:
    """The command line."""
    parser = run_parser("Train an agent in the simulator; resume the run if its folder exists.", "train")
    parser.add_argument("config", type=Path, help="the agent's config file, such as configs/ddpg.yml")
    parser.add_argument(
        "--restart", action="store_true", help="begin anew; the earlier run's folder is moved aside"
    )
    arguments = parser.parse_args()
    loaded = config.load([arguments.config], settings(arguments), os.environ)
    return session.run(loaded, RunFolder(arguments.run, arguments.runs), restart=arguments.restart)


if __name__ == "__main__":
    sys.exit(guarded(main))
