"""Driving with a terminal's keyboard: bytes to keys, keys to controls.

A terminal tells when a key is pressed and, after half a second, that it repeats, but never that it is let
go. So the throttle stays where it was put, steering fades unless it is repeated, and so does the brake.
"""

from __future__ import annotations

import enum
import math
import re
from typing import NamedTuple

THROTTLE_STEPS = 5
"""Presses from no throttle to full."""
TURN_STEP = 0.4
"""What one press adds to the steering, towards its side."""
TURN_FADE_SECONDS = 0.3
"""In this time the steering falls to 1/e."""
TURN_REST = 0.02
"""Steering smaller than this is none."""
BRAKE_SECONDS = 0.3
"""How long one press brakes."""
LONGEST_SEQUENCE = 32
"""Bytes; more of an escape sequence without an end is noise."""


class Key(enum.Enum):
    """What a key asks for."""

    FASTER = enum.auto()
    SLOWER = enum.auto()
    LEFT = enum.auto()
    RIGHT = enum.auto()
    BRAKE = enum.auto()
    RESTART = enum.auto()
    QUIT = enum.auto()


class Controls(NamedTuple):
    """Throttle and brake in 0..1, one of them 0; turn in -1..1, +1 full left."""

    throttle: float
    brake: float
    turn: float


_LETTERS = {
    b"w": Key.FASTER,
    b"s": Key.SLOWER,
    b"a": Key.LEFT,
    b"d": Key.RIGHT,
    b" ": Key.BRAKE,
    b"r": Key.RESTART,
    b"q": Key.QUIT,
    b"\x03": Key.QUIT,  # Ctrl-C
}
_ARROWS = {b"A": Key.FASTER, b"B": Key.SLOWER, b"D": Key.LEFT, b"C": Key.RIGHT}
# Control sequences, ECMA-48 section 5.4, and the SS3 form that arrows have in application mode.
_SEQUENCE = re.compile(rb"\x1b(?:O[@-~]|\[[0-?]*[ -/]*[@-~])")
_UNFINISHED = re.compile(rb"\x1b(?:O|\[[0-?]*[ -/]*)?\Z")


class KeyDecoder:
    """Splits what a terminal sends into keys, however it arrives; other keys are passed over."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Key]:
        """Take the next bytes; return the keys that they complete, oldest first."""
        data, self._rest = self._rest + data, b""
        keys: list[Key | None] = []
        at = 0
        while at < len(data):
            if sequence := _SEQUENCE.match(data, at):
                at = sequence.end()
                keys.append(_ARROWS.get(data[at - 1 : at]))
            elif _UNFINISHED.match(data, at) and len(data) - at <= LONGEST_SEQUENCE:
                self._rest = data[at:]
                break
            else:
                keys.append(_LETTERS.get(data[at : at + 1].lower()))
                at += 1
        return [key for key in keys if key is not None]


class Keyboard:
    """The controls that keys pressed at known times amount to. Times: seconds on one clock."""

    def __init__(self, full_throttle: float) -> None:
        """``full_throttle``: what the throttle goes up to, in 0..1."""
        self._full = full_throttle
        self.release()

    def release(self) -> None:
        """Let go of everything."""
        self._steps = 0
        self._turn, self._turned_at = 0.0, 0.0
        self._brake_until = -math.inf

    def press(self, key: Key, now: float) -> None:
        """A key was pressed, or repeats."""
        if key is Key.BRAKE:
            self._steps, self._brake_until = 0, now + BRAKE_SECONDS
        elif key is Key.FASTER:
            self._steps, self._brake_until = min(self._steps + 1, THROTTLE_STEPS), -math.inf
        elif key is Key.SLOWER:
            self._steps = max(self._steps - 1, 0)
        elif key in {Key.LEFT, Key.RIGHT}:
            self._steer(1.0 if key is Key.LEFT else -1.0, now)

    def controls(self, now: float) -> Controls:
        """What the car is to do at this time."""
        brake = 1.0 if now < self._brake_until else 0.0
        return Controls(self._full * self._steps / THROTTLE_STEPS, brake, self._turn_at(now))

    def _steer(self, side: float, now: float) -> None:
        """Steer more to a side, or from the middle when the wheels stand to the other."""
        turn = max(self._turn_at(now) * side, 0.0)
        self._turn, self._turned_at = side * min(turn + TURN_STEP, 1.0), now

    def _turn_at(self, now: float) -> float:
        turn = self._turn * math.exp((self._turned_at - now) / TURN_FADE_SECONDS)
        return turn if abs(turn) >= TURN_REST else 0.0
