"""The track from above with the line that a car drove, coloured by its speed."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from robo.driving.state import CarState
from robo.film.text import write
from robo.simulation.ground import LIT, OUTSIDE
from robo.simulation.map_picture import FRACTION_BITS, Plan, draw_map, plan_of
from robo.simulation.track import Track
from robo.simulation.tracks import Tracks

Bytes = NDArray[np.uint8]

LINE_SECONDS = 25.0
"""How long a piece of the line is shown, in simulation time: a lap or two."""
JUMP_METRES = 1.0
"""Farther than any car drives between two pictures: it was put elsewhere, and the line is broken off."""
SLOWEST_TOP_SPEED = 0.5
"""m/s; the colours' scale ends at the highest speed of the line, but not below this."""
LEVELS = 48
"""Of speed that have a colour of their own."""
CAR_COLOUR, CRASH_COLOUR = (255, 255, 255), (60, 60, 255)
LEGEND_HEIGHT = 44
DIMMED = 0.55
"""Of the map, so that the line stands out."""


class TopView:
    """Follows one car on its run's tracks."""

    def __init__(self, tracks: Tracks, width: int, height: int) -> None:
        """``width``, ``height``: of the view, pixels."""
        self._tracks = tracks
        self._empty = np.full((height, width, 3), (np.array(LIT[OUTSIDE][::-1]) * DIMMED), np.uint8)
        self._states: deque[CarState] = deque()
        self._track: int | None = None
        self._known: Track | None = None
        self._plan: Plan | None = None
        self._map = np.zeros((0, 0, 3), np.uint8)

    def follow(self, state: CarState) -> None:
        """Take the car's next state."""
        if state.track != self._track:
            self._states.clear()
            self._track, self._known = state.track, self._tracks.get(state.track)
            self._plan = None
        self._states.append(state)
        while not 0.0 <= state.time - self._states[0].time <= LINE_SECONDS:
            self._states.popleft()

    def draw(self) -> Bytes:
        """The view, uint8 [height, width, 3] BGR."""
        view = self._empty.copy()
        height, width = view.shape[:2]
        if not self._states:
            return view
        places = np.array([[state.position[0], state.position[2]] for state in self._states])
        plan = self._planned(places)
        drawn = self._map.copy()
        speeds = np.array([state.speed for state in self._states])
        top = max(float(speeds.max()), SLOWEST_TOP_SPEED)
        pixels = plan.pixels(places)
        _draw_line(drawn, pixels, places, speeds / top)
        self._mark_crashes(drawn, pixels)
        # Positions have bits below a pixel; so has the radius then.
        cv2.circle(drawn, pixels[-1].tolist(), 6 << FRACTION_BITS, CAR_COLOUR, -1, cv2.LINE_AA, FRACTION_BITS)
        left, above = (width - plan.width) // 2, (height - LEGEND_HEIGHT - plan.height) // 2
        view[above : above + plan.height, left : left + plan.width] = drawn
        _legend(view, top)
        return view

    def _planned(self, places: NDArray[np.float64]) -> Plan:
        """The map's plan; without a track file, of the places that were driven to."""
        height, width = self._empty.shape[:2]
        room = width, height - LEGEND_HEIGHT
        if self._known is not None:
            if self._plan is None:
                self._plan = plan_of(self._known, *room)
                self._map = (draw_map(self._known, self._plan) * DIMMED).astype(np.uint8)
            return self._plan
        plan = Plan.of(places, *room)
        self._map = self._empty[: plan.height, : plan.width]
        return plan

    def _mark_crashes(self, drawn: Bytes, pixels: NDArray[np.int32]) -> None:
        before = None
        for state, pixel in zip(self._states, pixels, strict=True):
            if before is not None and before.session == state.session and state.crashes > before.crashes:
                cv2.circle(
                    drawn, pixel.tolist(), 5 << FRACTION_BITS, CRASH_COLOUR, 2, cv2.LINE_AA, FRACTION_BITS
                )
            before = state


def _draw_line(
    drawn: Bytes, pixels: NDArray[np.int32], places: NDArray[np.float64], shares: NDArray[np.float64]
) -> None:
    """Draw the line through places, in place; ``shares``: of the highest speed, at each."""
    pieces = np.stack([pixels[:-1], pixels[1:]], axis=1)
    near = np.linalg.norm(np.diff(places, axis=0), axis=1) < JUMP_METRES
    levels = np.round(shares[1:] * (LEVELS - 1)).astype(int)
    colours = palette(np.linspace(0.0, 1.0, LEVELS)).tolist()
    for level in np.unique(levels[near]):  # slow first: where the car went twice, the faster time shows
        lines = list(pieces[near & (levels == level)])
        cv2.polylines(drawn, lines, False, colours[level], 3, cv2.LINE_AA, FRACTION_BITS)


def palette(shares: NDArray[np.float64]) -> Bytes:
    """Colours, uint8 [N, 3] BGR, of shares 0..1 of the highest speed: slow is blue, fast is red."""
    levels = np.round(np.clip(shares, 0.0, 1.0) * 255).astype(np.uint8)
    # The palette's ends are too dark for a line on a dark ground.
    return cv2.applyColorMap((30 + levels * (210 / 255)).astype(np.uint8)[:, None], cv2.COLORMAP_TURBO)[:, 0]


def _legend(view: Bytes, top: float) -> None:
    """At the foot of the view, in place: what the colours mean."""
    height, width = view.shape[:2]
    bar = palette(np.linspace(0.0, 1.0, width // 2))
    left, above = width // 4, height - 16
    view[above : above + 8, left : left + len(bar)] = bar
    write(view, "0", (left - 8, above - 6), 16, CAR_COLOUR, right=True)
    write(view, f"{top:.1f} m/s", (left + len(bar) + 8, above - 6), 16, CAR_COLOUR)
