"""Car states from the messages of a spectator stream."""

from __future__ import annotations

import math
from collections.abc import Collection

import msgspec

from robo.driving.state import CarState
from robo.protocol import spectator as wire
from robo.protocol.car import is_text

MOST_CARS = 256
"""So many cars are followed, and the reader's own; a stream that names others goes on without them."""
LARGEST = 10_000.0
"""What no car's position (m), velocity (m/s) or angle (degrees) comes to."""
LATEST = 1e9
"""Seconds of simulation time; what no timestamp and no lap time comes to."""
MOST_SEGMENTS = MOST_TRACKS = 1_000_000


class StreamState:
    """The newest state of every car, as the messages of one connection tell it, whatever they say.

    ``cars``: car name -> CarState, for the cars seen in a GameStatus; each can be packed, and is of finite
    numbers. ``changed`` collects the names whose state is new; the reader takes and clears it. ``ignored``
    counts what could not be used: numbers that can't be, names that are none or are too many, events of cars
    without a state.

    Where a car's time goes back, a session of its own begins: the simulator has begun anew, or what was said
    before was wrong, and whoever waits for a later state would never see one.
    """

    def __init__(self, session: int, own: Collection[str] = ()) -> None:
        """``own``: names of cars that are followed however many others there are."""
        self._session = session
        self._own = frozenset(own)
        self._segments: int | None = None
        self._departures = 0
        self._tracks: dict[str, int] = {}  # of every car that is followed
        self._placed: set[str] = set()  # cars put elsewhere, whose next crossing tells where they are
        self._crossed_at: dict[str, float] = {}  # simulation time of each car's last crossing
        self.cars: dict[str, CarState] = {}
        self.changed: set[str] = set()
        self.ignored = 0

    def apply(self, message: wire.Message) -> None:
        """Take the stream's next message."""
        if isinstance(message, wire.GameStatus):
            for status in message.cars:
                self._move(message.timestamp, status)
        elif isinstance(message, wire.CarCrashed):
            self._count(message.car.name, "crashes")
        elif isinstance(message, wire.CarReturnedToTrack):
            self._return(message.car.name)
        elif isinstance(message, wire.CarBumped):
            self._count(message.car.name, "bumps")
        elif isinstance(message, wire.LapCompleted):
            self._complete_lap(message.car.name, message.last_lap)
        elif isinstance(message, wire.RaceParameters):
            self._divide(message.num_segments)
        elif isinstance(message, wire.CarAdded):
            self._add(message.car)
        elif isinstance(message, wire.CarRemoved):
            self._forget(message.car.name)

    def _return(self, name: str) -> None:
        if name in self._tracks:
            self._placed.add(name)
        self._count(name, "returns")

    def _complete_lap(self, name: str, seconds: float) -> None:
        if 0.0 <= seconds < LATEST:
            self._count(name, "laps", last_lap=seconds)
        else:
            self.ignored += 1

    def _divide(self, segments: int) -> None:
        if 0 < segments <= MOST_SEGMENTS:
            self._segments = segments
        else:
            self.ignored += 1

    def _add(self, car: wire.CarInfo) -> None:
        track = car.track or 0
        if 0 <= track < MOST_TRACKS and self._follows(car.name):
            self._tracks[car.name] = track
        else:
            self.ignored += 1

    def _follows(self, name: str) -> bool:
        """Whether this car is followed, from now on if it was not."""
        if name in self._tracks:
            return True
        if not is_text(name) or (len(self._tracks) >= MOST_CARS and name not in self._own):
            return False
        self._tracks[name] = 0
        return True

    def _move(self, time: float, status: wire.CarStatus) -> None:
        if not _can_be(time, status) or not self._follows(status.name):
            self.ignored += 1
            return
        position = (status.position.x, status.position.y, status.position.z)
        velocity = (status.velocity.x, status.velocity.y, status.velocity.z)
        speed, yaw = math.hypot(*velocity), status.rotation.yaw
        sine, cosine = math.sin(yaw), math.cos(yaw)
        now = {
            "time": time,
            "position": position,
            "speed": speed,
            "track_angle": status.track_angle,
            "segment": status.track_segment,
            "forward": velocity[0] * sine + velocity[2] * cosine,
            "left": velocity[2] * sine - velocity[0] * cosine,
            "yaw": yaw,
        }
        before = self.cars.get(status.name)
        if before is not None and time < before.time:
            self._begin_anew(status.name)
            before = None
        if before is None:
            track = self._tracks[status.name]
            state = CarState(session=self._session + self._departures, **now, track=track)
        else:
            state = msgspec.structs.replace(before, **now, **self._crossed(before, time, status))
        self.cars[status.name] = state
        self.changed.add(status.name)

    def _crossed(self, before: CarState, time: float, status: wire.CarStatus) -> dict[str, float]:
        """The counts that a newly crossed segment trigger changes.

        None after a jump over several, nor after a return to the track: the stream keeps the old segment
        until the next trigger, which can then be any.
        """
        after, count = status.track_segment, self._segments
        if after == before.segment:
            return {}
        crossed_before = self._crossed_at.get(status.name)
        self._crossed_at[status.name] = time
        placed = status.name in self._placed
        self._placed.discard(status.name)
        if placed or count is None:
            return {}
        if after == (before.segment + 1) % count:
            seconds = 0.0 if crossed_before is None else time - crossed_before
            return {"segments_in_order": before.segments_in_order + 1, "segment_seconds": seconds}
        if before.segment >= 0 and after == (before.segment - 1) % count:
            return {"segments_backwards": before.segments_backwards + 1}
        return {}

    def _forget(self, name: str) -> None:
        """The car left the track."""
        self._begin_anew(name)
        self._tracks.pop(name, None)

    def _begin_anew(self, name: str) -> None:
        """The car's counts begin anew, should it be seen again, and so must its session."""
        self._departures += 1
        self.cars.pop(name, None)
        self.changed.discard(name)
        self._placed.discard(name)
        self._crossed_at.pop(name, None)

    def _count(self, name: str, field: str, **others: float) -> None:
        state = self.cars.get(name)
        if state is None:  # an event before the car's first status: there is no state that it could change
            return
        self.cars[name] = msgspec.structs.replace(state, **{field: getattr(state, field) + 1}, **others)
        self.changed.add(name)


def _can_be(time: float, status: wire.CarStatus) -> bool:
    """Whether a simulator can mean this; numbers that are not finite can't be."""
    place, velocity, rotation = status.position, status.velocity, status.rotation
    return (
        0.0 <= time < LATEST
        and -1 <= status.track_segment < MOST_SEGMENTS
        # One call for all of them, many times a frame: where any is NaN or infinite, so is the result.
        and math.hypot(
            *(place.x, place.y, place.z, velocity.x, velocity.y, velocity.z),
            *(rotation.x, rotation.y, rotation.z, rotation.w, status.track_angle),
        )
        < LARGEST
    )
