"""What a track looks like from above, as lines for whoever draws it."""

from __future__ import annotations

import numpy as np

from robo.cache_values import Outline
from robo.simulation.map_picture import obstacle_corners
from robo.simulation.track import HALF_WIDTH, Track

SPACING = 0.08
"""Metres between two points, at least: a bend's look smooth, and a track takes some kilobytes."""


def outline(track: Track, number: int) -> Outline:
    """The edges of a track's floor and the corners of its obstacles; ``number``: which of the run's it is."""
    keep, last = [], -SPACING
    for index, start in enumerate(track.starts):
        if start - last >= SPACING:
            keep.append(index)
            last = start
    middle, right = track.points[keep][:, [0, 2]], track.rights[keep][:, [0, 2]]
    sides = [np.round(middle + side * HALF_WIDTH * right, 3) for side in (-1.0, 1.0)]
    left, right = ([(float(x), float(z)) for x, z in side] for side in sides)
    boxes = [[(float(x), float(z)) for x, z in np.round(box, 3)] for box in obstacle_corners(track)]
    return Outline(number, track.name, track.length, left, right, boxes)
