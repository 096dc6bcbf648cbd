"""A track as a map: its floor from above, north (+z) up."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from robo.simulation.ground import BANDS, LIT, OUTSIDE, STRIPE, WHITE
from robo.simulation.track import HALF_WIDTH, Track

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

MARGIN = 0.3
WALL_COLOUR = (5, 6, 10)
BOX_COLOUR = (40, 110, 230)
ARROW_COLOUR = (255, 255, 255)
FRACTION_BITS = 4
"""Of a pixel, as cv2 takes coordinates of finer steps."""


class Plan(NamedTuple):
    """Where places are on a map."""

    low: Floats
    """float64 [2]: x and z of the lower left corner, metres."""
    scale: float
    """Pixels a metre."""
    width: int
    height: int

    @classmethod
    def of(cls, places: Floats, width: int, height: int) -> Plan:
        """The largest map within so many pixels of a floor around places, float64 [N, 2] of x, z."""
        low = places.min(axis=0) - HALF_WIDTH - MARGIN
        extent = places.max(axis=0) + HALF_WIDTH + MARGIN - low
        scale = float((np.array([width, height]) / extent).min())
        across, up = np.ceil(extent * scale - 1e-9).astype(int).tolist()
        return cls(low, scale, across, up)

    def pixels(self, places: Floats) -> NDArray[np.int32]:
        """Pixels, int32 [N, 2], times 2 ** FRACTION_BITS, of places, float64 [N, 2] of x, z."""
        across, up = (places - self.low).T * self.scale
        return np.round(np.stack([across, self.height - up], axis=1) * 2**FRACTION_BITS).astype(np.int32)


def plan_of(track: Track, width: int, height: int) -> Plan:
    """The largest map of a track within so many pixels."""
    return Plan.of(track.points[:, [0, 2]], width, height)


def draw_map(track: Track, plan: Plan) -> Bytes:
    """Draw a track's bands, walls, finish line, driving direction and obstacles.

    Returns uint8 [H, W, 3], blue, green, red, of the plan's size.
    """
    points = track.points[:, [0, 2]]
    pixels = plan.pixels
    picture = np.full((plan.height, plan.width, 3), LIT[OUTSIDE][::-1], np.uint8)

    def fill(places: Floats, colour: tuple[int, ...]) -> None:
        cv2.fillConvexPoly(picture, pixels(places), colour, cv2.LINE_AA, FRACTION_BITS)

    yaws = track.headings
    right = np.stack([np.cos(yaws), -np.sin(yaws)], axis=1)
    start = -1.0
    for end, index in BANDS:
        first, last = (points + HALF_WIDTH * side * right for side in (start, 2 * end - 1))
        start = 2 * end - 1
        for piece in np.stack([first, last, np.roll(last, -1, 0), np.roll(first, -1, 0)], axis=1):
            fill(piece, LIT[index][::-1])
    for side in (-HALF_WIDTH, HALF_WIDTH):
        wall = points + side * right
        pieces = np.stack([wall, np.roll(wall, -1, axis=0)], axis=1)[_standing(wall, points)]
        lines = [pixels(piece) for piece in pieces]
        cv2.polylines(picture, lines, False, WALL_COLOUR, 2, cv2.LINE_AA, FRACTION_BITS)
    fill(_rectangle(track, 0.0, 0.0, STRIPE, 2 * HALF_WIDTH), LIT[WHITE][::-1])
    for corners in obstacle_corners(track):
        fill(corners, BOX_COLOUR)
    tail, tip = pixels(_places(track, 0.15, np.array([[0.0, 0.0], [0.35, 0.0]]))) >> FRACTION_BITS
    cv2.arrowedLine(picture, tail.tolist(), tip.tolist(), ARROW_COLOUR, 2, cv2.LINE_AA, tipLength=0.4)
    return picture


def obstacle_corners(track: Track) -> list[Floats]:
    """The corners of each of a track's obstacles, float64 [4, 2] of x, z."""
    return [_rectangle(track, box.distance, box.lateral, box.size, box.size) for box in track.obstacles]


def _standing(wall: Floats, points: Floats) -> NDArray[np.bool_]:
    """Which places beside the centre line are not folded into a bend tighter than the floor is wide."""
    apart = np.linalg.norm(wall[:, None] - points[None], axis=2).min(axis=1)
    return apart > HALF_WIDTH - 0.005


def _rectangle(track: Track, distance: float, lateral: float, along: float, across: float) -> Floats:
    corners = [(-along, -across), (along, -across), (along, across), (-along, across)]
    return _places(track, distance, np.array(corners) / 2 + (0.0, lateral))


def _places(track: Track, distance: float, offsets: Floats) -> Floats:
    """Places, float64 [N, 2] of x, z, so far ahead and to the right of the centre line at a distance."""
    x, _, z, yaw = track.pose(distance)
    sine, cosine = math.sin(yaw), math.cos(yaw)
    ahead, right = offsets.T
    return np.stack([x + ahead * sine + right * cosine, z + ahead * cosine - right * sine], axis=1)
