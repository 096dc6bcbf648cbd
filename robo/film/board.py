"""A film's picture: the camera's, the track from above, and the figures of the moment."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from robo.driving.laps import LapCounter
from robo.driving.state import CarState
from robo.film.moment import Moment
from robo.film.text import Colour, write
from robo.film.top_view import TopView
from robo.simulation.tracks import Tracks

Bytes = NDArray[np.uint8]

WIDTH, HEIGHT = 1280, 720
GAP = 20
CAMERA_WIDTH, CAMERA_HEIGHT = 768, 480
VIEW_WIDTH = WIDTH - CAMERA_WIDTH - 3 * GAP
BACKGROUND: Colour = (30, 24, 20)
PANEL: Colour = (48, 40, 34)
BRIGHT: Colour = (245, 240, 235)
QUIET: Colour = (160, 150, 140)
GOOD: Colour = (120, 220, 110)
THROTTLE: Colour = (90, 200, 250)
TURN: Colour = (240, 180, 90)


class Board:
    """Follows one car and draws its film's pictures."""

    def __init__(self, car: str, tracks: Tracks, throttle_max: float) -> None:
        """``throttle_max``: what fills the bar."""
        self._car = car
        self._throttle_max = throttle_max
        self._view = TopView(tracks, VIEW_WIDTH, HEIGHT - 2 * GAP)
        self._empty = np.full((HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
        self._counter = LapCounter()
        self._lap_began: float | None = None
        self._session: int | None = None
        self._laps = 0
        self._last = self._best = 0.0
        self._last_clean = False

    def draw(self, camera: Bytes, moment: Moment) -> Bytes:
        """The next picture, uint8 [720, 1280, 3] BGR, of what the camera saw, uint8 [H, W, 3] BGR, then."""
        self._follow(moment.state)
        picture = self._empty.copy()
        # Cubic, since the camera has far fewer pixels: neither blocks nor a blur.
        large = cv2.resize(camera, (CAMERA_WIDTH, CAMERA_HEIGHT), interpolation=cv2.INTER_CUBIC)
        picture[GAP : GAP + CAMERA_HEIGHT, GAP : GAP + CAMERA_WIDTH] = large
        left = CAMERA_WIDTH + 2 * GAP
        picture[GAP : HEIGHT - GAP, left : left + VIEW_WIDTH] = self._view.draw()
        top = CAMERA_HEIGHT + 2 * GAP
        self._figures(picture[top : HEIGHT - GAP, GAP : GAP + CAMERA_WIDTH], moment)
        return picture

    def _follow(self, state: CarState) -> None:
        self._view.follow(state)
        if state.session != self._session:
            self._session, self._lap_began = state.session, None
        lap = self._counter.update(state)
        if lap is None:
            return
        self._lap_began = state.time
        self._laps += 1
        self._last, self._last_clean = lap.seconds, lap.clean
        if lap.clean:
            self._best = min(self._best or lap.seconds, lap.seconds)

    def _figures(self, panel: Bytes, moment: Moment) -> None:
        """Fill the panel, uint8 [H, 768, 3], in place."""
        panel[...] = PANEL
        state = moment.state
        write(panel, self._car, (20, 14), 22, BRIGHT)
        write(panel, f"{state.speed:.2f}", (20, 52), 64, BRIGHT)
        write(panel, "m/s", (170, 90), 24, QUIET)
        lap = "-" if self._lap_began is None else f"{state.time - self._lap_began:.2f} s"
        last = f"{self._last:.2f} s" if self._laps else "-"
        best = f"{self._best:.2f} s" if self._best else "-"
        rows = [
            ("laps", str(self._laps), BRIGHT),
            ("this lap", lap, BRIGHT),
            ("last lap", last, GOOD if self._last_clean else BRIGHT),
            ("best clean lap", best, GOOD),
        ]
        for number, (name, value, colour) in enumerate(rows):
            above = 16 + 36 * number
            write(panel, name, (250, above), 22, QUIET)
            write(panel, value, (520, above), 22, colour, right=True)
        write(panel, "throttle", (560, 16), 18, QUIET)
        share = moment.throttle / self._throttle_max
        _bar(panel, 44, 0.0, share, THROTTLE)
        write(panel, "steering", (560, 84), 18, QUIET)
        # Positive turns are to the left, where the bar then goes.
        _bar(panel, 112, 0.5, 0.5 - moment.turn / 2, TURN)


def _bar(panel: Bytes, above: int, start: float, end: float, colour: Colour) -> None:
    """A bar from one share of its width to another, in place."""
    left, width, height = 560, 188, 20
    panel[above : above + height, left : left + width] = BACKGROUND
    first, last = sorted(min(max(share, 0.0), 1.0) for share in (start, end))
    panel[above : above + height, left + round(first * width) : left + round(last * width)] = colour
