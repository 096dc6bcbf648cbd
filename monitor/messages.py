"""What goes over the wire between the monitor and a page: the one place that says so.

Encoded with msgspec; the OpenAPI document is made from the same types. ``at`` and ``now`` are Unix seconds.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from robo.cache_values import (
    FilmStatus,
    LapLine,
    LapRecord,
    Machine,
    Outline,
    Point,
    ProcessHealth,
    Progress,
    RunInfo,
    Share,
    Shelf,
    Telemetry,
    Turn,
)
from robo.driving.state import CarState
from robo.errors import UserError
from robo.health import Notice

VERSION = 1
LAPS_SHOWN = 50

Name = Annotated[str, Meta(max_length=64)]
FilmSeconds = Annotated[float, Meta(ge=0.0, le=3600.0)]


class Control(Struct, frozen=True):
    """What a page may ask for."""

    enabled: bool
    """This monitor takes commands."""
    token: bool
    """It wants a bearer token for them."""


class Hello(Struct, frozen=True, tag_field="topic", tag="hello"):
    """The first message."""

    run: str
    control: Control
    version: int = VERSION


class RedisState(Struct, frozen=True):
    """Whether Redis answers."""

    ok: bool
    why: str = ""
    since: float | None = None
    """Since when it does not."""


class Box(Struct, frozen=True):
    """All of a run but its cars."""

    now: float
    run: RunInfo | None
    redis: RedisState
    processes: dict[str, ProcessHealth]
    progress: Progress | None
    machine: Machine | None
    shelf: Shelf | None
    warnings: list[Notice]
    laps: list[LapRecord]
    """Newest last, at most 50."""
    film: FilmStatus | None
    viewers: int


class BoxMessage(Box, frozen=True, tag_field="topic", tag="box"):
    """The same, as a message."""


class CarView(Struct, frozen=True):
    """One car at the moment."""

    state: CarState | None
    telemetry: Telemetry | None
    frame_at: float | None
    """When its newest picture left the simulator."""


class CarsMessage(Struct, frozen=True, tag_field="topic", tag="cars"):
    """Every car at the moment."""

    now: float
    cars: dict[str, CarView]


class OutlinesMessage(Struct, frozen=True, tag_field="topic", tag="outlines"):
    """The track that each car is on."""

    outlines: dict[str, Outline]


class LinesMessage(Struct, frozen=True, tag_field="topic", tag="lines"):
    """The line of each car's last lap."""

    lines: dict[str, LapLine]


class CurvesMessage(Struct, frozen=True, tag_field="topic", tag="curves"):
    """Points of the learning curves: all that are known, or those that are new."""

    reset: bool
    points: list[Point]


class HandMessage(Struct, frozen=True, tag_field="topic", tag="hand"):
    """Whether a car is driven by hand as somebody asked."""

    car: str
    ok: bool
    text: str


class HandWish(Struct, frozen=True, forbid_unknown_fields=True):
    """How somebody wants to drive a car by hand."""

    car: Name
    throttle: Share = 0.0
    turn: Turn = 0.0
    """Positive to the left."""
    brake: Share = 0.0
    release: bool = False
    """Drive it no more."""


class FromViewer(Struct, frozen=True, forbid_unknown_fields=True):
    """What a page may send: exactly one of these."""

    watch: Annotated[list[Name], Meta(max_length=1000)] | UnsetType = UNSET
    token: Annotated[str, Meta(max_length=1000)] | UnsetType = UNSET
    hand: HandWish | UnsetType = UNSET


class RunLine(Struct, frozen=True):
    """A run in this Redis."""

    name: str
    at: float
    """When it was last heard of."""
    under_way: bool


class State(Struct, frozen=True):
    """Everything but pictures, at one moment."""

    box: Box
    cars: dict[str, CarView]


class CarReport(Struct, frozen=True):
    """All about one car."""

    name: str
    role: Literal["explorer", "evaluator"] | None
    """None: not known."""
    driver: str
    """The process that decides for it; empty: not known."""
    state: CarState | None
    telemetry: Telemetry | None
    frame_at: float | None
    line: LapLine | None
    outline: Outline | None


class Curves(Struct, frozen=True):
    """The learning curves, at most 2,000 points of each kind, evenly spread."""

    points: list[Point]


class Status(Struct, frozen=True):
    """Whether the monitor itself goes on."""

    status: Literal["ok"]


class Readiness(Struct, frozen=True):
    """Whether a run can be relied on."""

    ready: bool
    reasons: list[str]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """``{}``."""


class PolicyWish(Struct, frozen=True, forbid_unknown_fields=True):
    """What the evaluators are to drive."""

    policy: Annotated[str, Meta(max_length=500)]
    """Of the shelf's policies; empty: what is learned."""


class FilmWish(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a car is to be filmed."""

    seconds: FilmSeconds
    """Of simulation time; 0: until it is ended."""


class Done(Struct, frozen=True):
    """What was asked for is done."""

    text: str


class Failure(Struct, frozen=True):
    """What went wrong, in one line."""

    error: str


def from_viewer(text: str) -> FromViewer:
    """What a page sent. Raises UserError unless it is exactly one of the things that it may send."""
    try:
        message = _FROM_VIEWER.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(str(error)) from None
    if sum(part is not UNSET for part in (message.watch, message.token, message.hand)) != 1:
        raise UserError("exactly one of watch, token and hand")
    return message


_FROM_VIEWER = msgspec.json.Decoder(FromViewer)
