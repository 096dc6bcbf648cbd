"""Ask which of the pinned packages have known vulnerabilities: python -m scripts.audit.

Exit codes: 0, none of them has; 1, some have; 3, it could not be found out of all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from robo.config import ROOT
from robo.errors import UserError
from scripts.command import guarded

TOOL = ROOT / ".venv" / "audit" / "bin" / "pip-audit"
PINS = ROOT / "constraints.txt"
PATIENCE_SECONDS = 600
FOUND = 1
UNKNOWN = 3


class Unanswered(Exception):
    """Nothing came of asking; the message, one line, says why."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Ask which of the pinned packages have known vulnerabilities."
    )
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi", help="whom to ask (pypi)")
    options = parser.parse_args()
    if not TOOL.exists():
        raise UserError(f"{TOOL.relative_to(ROOT)}: not there; make audit fetches it")
    try:
        packages = ask(TOOL, PINS, options.service)
    except Unanswered as error:
        print(f"not audited: {error}", file=sys.stderr)
        return UNKNOWN
    return tell(packages)


def ask(tool: Path, pins: Path, service: str) -> list[dict[str, Any]]:
    """What the service knows of each pinned package. Raises Unanswered."""
    command = [tool, "--requirement", pins, "--no-deps", "--disable-pip", "--vulnerability-service", service]
    command += ["--format", "json", "--desc", "off", "--aliases", "on", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        return json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        raise Unanswered(f"{service} has not answered within {PATIENCE_SECONDS} s") from None
    except (ValueError, KeyError):  # the tool ends with 1 then, as it does when it has found something
        lines = done.stderr.split("\n")
        last = next((line for line in reversed(lines) if line.strip()), f"ended with {done.returncode}")
        raise Unanswered(f"{service} can't be asked: {last.strip()}") from None


def tell(packages: list[dict[str, Any]]) -> int:
    """Print what is known. The exit code."""
    skipped = [package for package in packages if "skip_reason" in package]
    bad = [package for package in packages if package.get("vulns")]
    for package in bad:
        for found in package["vulns"]:
            names = ", ".join([found["id"], *found.get("aliases", [])])
            mended = " or ".join(found["fix_versions"]) or "no version"
            print(f"{package['name']} {package['version']}: {names}; mended in {mended}")
    asked = len(packages) - len(skipped)
    if asked:
        print(f"{len(bad)} of {asked} pinned packages have known vulnerabilities")
    if skipped:  # the tool itself would end with 0, as if nothing were known against them
        print(f"not audited: {len(skipped)} packages; {skipped[0]['skip_reason']}", file=sys.stderr)
    if bad:
        return FOUND
    return UNKNOWN if skipped or not asked else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
