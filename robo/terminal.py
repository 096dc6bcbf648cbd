"""Pictures as text, for terminals with 24-bit colours.

A character cell is about twice as high as wide, so the upper half block shows two pixels, one above the
other: its foreground and its background.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

ENTER = b"\x1b[?1049h\x1b[?25l\x1b[2J"
"""Take a screen of one's own, without a cursor."""
LEAVE = b"\x18\x1b[?2026l\x1b[0m\x1b[2J\x1b[?25h\x1b[?1049l"
"""Give it back, even from within a sequence that was cut off (CAN, 0x18, ends one).

Emptied first, since tmux leaves parts of it behind when the terminal was resized.
"""

_CLEAR = b"\x1b[2J"
_RESET = b"\x1b[0m"
_TO_LINE_END = b"\x1b[K"
_HOLD, _SHOW = b"\x1b[?2026h", b"\x1b[?2026l"  # a page appears at once where the terminal can do that

_COLOURS = b"\x1b[38;2;000;000;000;48;2;000;000;000m"  # red, green, blue of the upper pixel, then the lower
_BLOCK = "▀".encode()
_CELL = np.frombuffer(_COLOURS + _BLOCK, np.uint8)
_NUMBERS = [match.start() for match in re.finditer(b"000", _COLOURS)]
_DIGITS = np.array([list(b"%03d" % number) for number in range(256)], np.uint8)


def fit(width: int, height: int, columns: int, lines: int) -> tuple[int, int]:
    """Columns and lines, at least 1 of each, that a picture takes at its largest without being stretched."""
    across = max(1, min(columns, 2 * lines * width // height))
    return across, max(1, min(lines, round(across * height / width / 2)))


def half_blocks(picture: NDArray[np.uint8], columns: int, lines: int) -> list[bytes]:
    """The picture, uint8 [height, width, 3] BGR, as so many lines of so many half blocks.

    A cell names its colours only where they differ from the cell's before it.
    """
    smaller = columns < picture.shape[1]
    scaled = cv2.resize(
        picture, (columns, 2 * lines), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    # [lines, columns, 6]: red, green, blue of the upper pixel, then of the lower.
    colours = np.concatenate((scaled[0::2, :, ::-1], scaled[1::2, :, ::-1]), axis=2)
    cells = np.tile(_CELL, (lines, columns, 1))
    for channel, start in enumerate(_NUMBERS):
        cells[:, :, start : start + 3] = _DIGITS[colours[:, :, channel]]
    kept = np.ones(cells.shape, np.bool_)
    differs = (colours[:, 1:] != colours[:, :-1]).any(axis=2)
    kept[:, 1:, : len(_COLOURS)] = differs[:, :, None]
    return [line[keep].tobytes() + _RESET for line, keep in zip(cells, kept, strict=True)]


def page(
    picture: NDArray[np.uint8] | None, texts: Sequence[str], columns: int, lines: int, *, clear: bool
) -> bytes:
    """What to write to a terminal of this size to show a picture with lines of text under it.

    Texts are cut to the terminal's width. ``clear`` removes what an earlier page of another shape left.
    """
    parts = [_HOLD, _CLEAR if clear else b""]
    top = max(0, lines - len(texts))
    if picture is not None and top:
        height, width = picture.shape[:2]
        across, down = fit(width, height, columns, top)
        left, above = (columns - across) // 2, (top - down) // 2
        for number, row in enumerate(half_blocks(picture, across, down)):
            parts += (_move(above + number, left), row)
    for number, text in enumerate(texts[: lines - top]):
        # Not the last column: writing there can leave the cursor past the line's end.
        parts += (_move(top + number, 0), text[: columns - 1].encode(), _TO_LINE_END)
    parts.append(_SHOW)
    return b"".join(parts)


def _move(line: int, column: int) -> bytes:
    return b"\x1b[%d;%dH" % (line + 1, column + 1)
