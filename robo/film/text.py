"""Smooth text on pictures."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Bytes = NDArray[np.uint8]
Colour = tuple[int, int, int]
"""Blue, green, red."""

REMEMBERED = 512


def write(
    picture: Bytes, text: str, place: tuple[int, int], size: int, colour: Colour, *, right: bool = False
) -> None:
    """Write on a picture, uint8 [H, W, 3] BGR, in place; what goes over its edges is cut off.

    ``place``: x and y of the upper left corner in pixels, or with ``right`` of the upper right one;
    ``size``: pixels from one line to the next, about.
    """
    mask = _mask(text, size)
    x, y = place[0] - (mask.shape[1] if right else 0), place[1]
    left, top = max(x, 0), max(y, 0)
    area = picture[top : y + mask.shape[0], left : x + mask.shape[1]]
    if not area.size:
        return
    share = mask[top - y :, left - x :][: area.shape[0], : area.shape[1], None]
    area[...] = area + share * (np.array(colour) - area)


@lru_cache(maxsize=REMEMBERED)
def _mask(text: str, size: int) -> NDArray[np.float32]:
    """How much of each pixel the text covers, 0..1, float32 [H, W]."""
    font = _font(size)
    width, height = max(1, round(font.getlength(text))), sum(font.getmetrics())
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).text((0, 0), text, 255, font)
    return np.asarray(image, np.float32) / 255.0


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Matplotlib is installed in any case and brings a free font with it.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
