"""What benchmarks do with their results: keep them as JSON lines, and put figures made of them on a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from robo import config
from robo.errors import UserError

BEGIN = "<!-- figures: made by make {} -->"
END = "<!-- end of figures -->"


def keep(path: Path, line: str) -> None:
    """Add one result to those kept at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def kept(path: Path, target: str) -> list[dict[str, Any]]:
    """The results kept at ``path``, in order. Raises UserError, with what makes them, where none are."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise UserError(f"{path}: not there; make it: make {target} ARGS=--keep") from None
    return [json.loads(line) for line in lines]


def put(page: Path, target: str, figures: str) -> None:
    """Replace a page's figures, Markdown between two marks of which the first names the make target."""
    begin = BEGIN.format(target)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{begin}\n\n{figures}\n{END}{after}", encoding="utf-8")


def short(path: Path) -> str:
    """``path`` as seen from the repository's root."""
    return path.relative_to(config.ROOT).as_posix()
