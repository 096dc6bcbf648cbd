r"""The spectator stream: what the simulator tells everyone who watches, and what they may tell it.

Every message is a JSON object on a line of its own, told apart by ``type``; field names are camelCase on
the wire. ``timestamp`` is in seconds since the simulator's start. Positions are in metres and velocities in
metres a second, y up; lap times are in seconds.
"""

from __future__ import annotations

import json
import math

import msgspec


class Vec3(msgspec.Struct, frozen=True, gc=False):
    """A position or a velocity."""

    x: float
    y: float
    z: float


class Quaternion(msgspec.Struct, frozen=True, gc=False):
    """A rotation, of unit length."""

    x: float
    y: float
    z: float
    w: float

    @property
    def yaw(self) -> float:
        """Where it points what faced +z, seen from above: radians -pi..pi, right (+x) positive."""
        return math.atan2(
            2.0 * (self.x * self.z + self.w * self.y), 1.0 - 2.0 * (self.x * self.x + self.y * self.y)
        )


class Message(msgspec.Struct, frozen=True, tag=True, kw_only=True, rename="camel"):
    """What every message has: the class's name as ``type``, and the time."""

    timestamp: float


class CarInfo(Message):
    """Who a car is. Part of other messages, never a line of its own."""

    name: str
    team_id: str = ""
    color: str = ""
    texture: str = ""
    track: int | msgspec.UnsetType = msgspec.UNSET
    """Which of the embedded simulator's tracks it is on, where it has several; a real one has but one."""


class CarMessage(Message):
    """What every message about one car has."""

    car: CarInfo


class CarStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Where a car is; track_angle: degrees between car and track; track_segment: -1 before the first."""

    name: str
    position: Vec3
    velocity: Vec3
    rotation: Quaternion
    track_angle: float
    track_segment: int


class GameStatus(Message):
    """Every car on track, once a simulation frame."""

    cars: list[CarStatus]


class LapCompleted(CarMessage):
    """A car's laps so far; lap_count: laps done, -1 before the first crossing of the finish line."""

    lap_count: int
    last_lap: float
    best_lap: float
    total_time: float
    dnf: bool = False


class CurrentStandings(Message):
    """The laps of every car on track, best first."""

    standings: list[LapCompleted]
    qualifying: bool = False


class CarConnected(CarMessage):
    """A car has logged in."""


class CarAdded(CarMessage):
    """A car is on track."""


class CarRemoved(CarMessage):
    """A car is no longer on track."""


class CarDisconnected(CarMessage):
    """A car's connection has ended."""


class CarCrashed(CarMessage):
    """A car has touched a wall."""


class CarReturnedToTrack(CarMessage):
    """A car was put back on the track, at rest."""


class CarBumped(CarMessage):
    """A car has touched another."""

    other: CarInfo


class CarFinished(CarMessage):
    """A car has ended its race."""


class RaceWon(CarMessage):
    """The first car has ended its race."""


class RaceParameters(Message):
    """How the simulator was set up: the first message of every stream."""

    num_segments: int
    lap_count: int = 5
    num_segments_between_cars: int | None = None
    auto_start_qualifying_seconds: int = 30
    qualifying_duration_seconds: int = 30
    auto_start_race_seconds: int = 10
    race_timeout_seconds: int = 300
    race_timeout_after_winner_seconds: int = 60
    cars: list[CarInfo] = []
    track: str = ""
    mode: str = ""
    visibility: str = ""


class FreePracticeStart(Message):
    """Everyone drives as they like."""


class RaceLobbyInit(Message):
    """Cars may log in for a race."""

    race_parameters: RaceParameters | None = None


class QualifyingStart(Message):
    """Best laps count from now on."""

    cars: list[CarInfo] = []


class QualifyingResults(Message):
    """The best laps, which order the grid."""

    results: list[LapCompleted] = []


class StartingGridInit(Message):
    """The cars stand on the grid, in this order."""

    cars: list[CarInfo] = []


class RaceStart(Message):
    """The race is on."""


class SecondsRemaining(Message):
    """How much is left of the phase."""

    seconds_remaining: int


class RaceResult(msgspec.Struct, frozen=True, rename="camel"):
    """A car's place in the final standings."""

    car: CarInfo
    lap_count: int
    best_lap: float
    total_time: float
    dnf: bool = False


class RaceFinished(Message):
    """The race is over."""

    standings: list[RaceResult] = []


SpectatorMessage = (
    GameStatus
    | CurrentStandings
    | LapCompleted
    | CarConnected
    | CarAdded
    | CarRemoved
    | CarDisconnected
    | CarCrashed
    | CarReturnedToTrack
    | CarBumped
    | CarFinished
    | RaceWon
    | RaceParameters
    | FreePracticeStart
    | RaceLobbyInit
    | QualifyingStart
    | QualifyingResults
    | StartingGridInit
    | RaceStart
    | SecondsRemaining
    | RaceFinished
)
"""Every message that the simulator sends."""


class ProceedToNextPhase(msgspec.Struct, frozen=True, tag=True):
    """End this race phase and begin the next."""


class MotorsToggle(msgspec.Struct, frozen=True, tag=True):
    """Switch all motors off, or on again."""


class ResetSimulator(msgspec.Struct, frozen=True, tag=True):
    """Begin anew."""


SpectatorCommand = ProceedToNextPhase | MotorsToggle | ResetSimulator
"""Every command that a spectator may send."""

_encode = msgspec.json.Encoder().encode
_decode_message = msgspec.json.Decoder(SpectatorMessage).decode
_decode_command = msgspec.json.Decoder(SpectatorCommand).decode


def encode(message: Message | SpectatorCommand) -> bytes:
    """The message as a line, newline included."""
    return _encode(message) + b"\n"


def decode(line: bytes) -> SpectatorMessage | None:
    """Read a line of the stream; None when it is malformed, of no known type, or lacks a field.

    Fields that are not declared here are passed over. Numbers may be NaN, Infinity and -Infinity, as
    writers that know no better put them into JSON, and whole ones may have thousands of digits: check what
    you use. Whatever is returned can be encoded again.
    """
    try:
        return _decode_message(line)
    except (msgspec.ValidationError, RecursionError):
        return None
    except ValueError:  # a DecodeError is one
        return _decode_with_nan(line)


def _decode_with_nan(line: bytes) -> SpectatorMessage | None:
    """As decode, through the standard library: several times slower, but takes NaN."""
    try:
        message = msgspec.convert(json.loads(line), SpectatorMessage)
        _encode(message)  # the standard library lets half a surrogate pair pass, which nobody can write down
    except (ValueError, RecursionError):
        return None
    return message


def decode_command(line: bytes) -> SpectatorCommand | None:
    """Read what a spectator sent; None for anything that is not one of the three commands."""
    try:
        return _decode_command(line)
    except (ValueError, RecursionError):
        return None
