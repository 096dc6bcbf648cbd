"""What is known of a car from the spectator stream, and how the stream's messages change it."""

from __future__ import annotations

import struct

import msgspec

Vector = tuple[float, float, float]


class CarState(msgspec.Struct, frozen=True):
    """One car as of ``time``. The counts only grow within one ``session``; readers compare two states."""

    session: int
    """Which connection to the stream, and which stay of the car on track, the state is from; counts of
    different sessions don't compare."""
    time: float
    """Simulation time, seconds."""
    position: Vector
    """Metres, y up."""
    speed: float
    """m/s, never negative."""
    track_angle: float
    """Degrees between the car and the track's direction, 0..180."""
    segment: int
    """The last segment trigger crossed; -1 before the first."""
    segments_in_order: int = 0
    """How many segments were crossed in order."""
    segments_backwards: int = 0
    """How many times the car crossed back into the segment before."""
    segment_seconds: float = 0.0
    """Simulation time that the last segment crossed in order took; 0: not known."""
    crashes: int = 0
    returns: int = 0
    bumps: int = 0
    laps: int = 0
    last_lap: float = 0.0
    """Seconds of simulation time; 0: none yet."""
    track: int = 0
    """Which of the simulator's tracks the car is on."""
    forward: float = 0.0
    """Horizontal speed in the direction the car faces, m/s."""
    left: float = 0.0
    """And to the left of it, m/s: how it slides."""
    yaw: float = 0.0
    """Where it faces seen from above, radians -pi..pi; 0 is +z, right is +x."""


_LAYOUT = struct.Struct("<q6dqqqdqqqqdq3d")
STATE_BYTES = _LAYOUT.size


def pack(state: CarState) -> bytes:
    """A state as STATE_BYTES bytes, for shared memory."""
    session, time, position, *rest = msgspec.structs.astuple(state)
    return _LAYOUT.pack(session, time, *position, *rest)


def unpack(data: bytes) -> CarState:
    """The state of which ``pack`` made these bytes."""
    session, time, x, y, z, *rest = _LAYOUT.unpack(data)
    return CarState(session, time, (x, y, z), *rest)
