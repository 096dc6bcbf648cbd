"""What is known of an exported policy without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from robo.errors import UserError

MODEL = "saved_model.pb"
DETAILS = "policy.json"


def check_policy(folder: Path) -> None:
    """Raise UserError when there is no exported policy in the folder."""
    if not (folder / MODEL).is_file():
        raise UserError(f"{folder}: no exported policy; name a folder that holds {MODEL}")


def read_details(folder: Path) -> dict[str, Any]:
    """What was exported with a policy: its observation, action range, score; empty where nothing was."""
    try:
        details = json.loads((folder / DETAILS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return details if isinstance(details, dict) else {}
