"""Drive the whole chain with the hand-written policy, without a learner: python -m scripts.debug_policy."""

from __future__ import annotations

import os
import sys

from processes import session
from robo import config
from robo.runs import RunFolder
from scripts.command import guarded, run_parser, settings

CONFIG = config.ROOT / "configs" / "debug_policy.yml"


def main() -> int:
    """The command line."""
    parser = run_parser(
        "Drive with the hand-written colour-following policy and print the laps.", "debug_policy"
    )
    arguments = parser.parse_args()
    loaded = config.load([CONFIG], settings(arguments), os.environ)
    return session.run(loaded, RunFolder(arguments.run, arguments.runs), restart=False)


if __name__ == "__main__":
    sys.exit(guarded(main))
