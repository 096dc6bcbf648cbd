"""What a film tells of one camera picture: the car's state, and the command that answered it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from robo.driving import state
from robo.driving.state import STATE_BYTES, CarState

_COMMAND = struct.Struct("<dd")
MOMENT_BYTES = _COMMAND.size + STATE_BYTES


class Moment(NamedTuple):
    """One decision of a car."""

    throttle: float
    """0..1."""
    turn: float
    """-1..1, positive to the left."""
    state: CarState


def pack(moment: Moment) -> bytes:
    """A moment as MOMENT_BYTES bytes, for shared memory."""
    return _COMMAND.pack(moment.throttle, moment.turn) + state.pack(moment.state)


def unpack(data: bytes) -> Moment:
    """What ``pack`` made these bytes of."""
    return Moment(*_COMMAND.unpack_from(data), state.unpack(data[_COMMAND.size :]))
