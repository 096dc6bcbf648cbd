"""Car states from the messages of a spectator stream."""

from __future__ import annotations

import math

import msgspec

from robo.driving.state import CarState
from robo.protocol import spectator as wire


class StreamState:
    """The newest state of every car, as the messages of one connection tell it.

    ``cars``: car name -> CarState, for the cars seen in a GameStatus. ``changed`` collects the names whose
    state is new; the reader takes and clears it. ``ignored`` counts what could not be used.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._segments: int | None = None
        self._departures = 0
        self._tracks: dict[str, int] = {}
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
            self._placed.add(message.car.name)
            self._count(message.car.name, "returns")
        elif isinstance(message, wire.CarBumped):
            self._count(message.car.name, "bumps")
        elif isinstance(message, wire.LapCompleted):
            if math.isfinite(message.last_lap):
                self._count(message.car.name, "laps", last_lap=message.last_lap)
            else:
                self.ignored += 1
        elif isinstance(message, wire.RaceParameters):
            self._segments = message.num_segments
        elif isinstance(message, wire.CarAdded):
            self._tracks[message.car.name] = message.car.track or 0
        elif isinstance(message, wire.CarRemoved):
            self._forget(message.car.name)

    def _move(self, time: float, status: wire.CarStatus) -> None:
        position = (status.position.x, status.position.y, status.position.z)
        velocity = (status.velocity.x, status.velocity.y, status.velocity.z)
        speed = math.hypot(*velocity)
        yaw = status.rotation.yaw
        if not all(map(math.isfinite, (*position, speed, yaw, time, status.track_angle))):
            self.ignored += 1
            return
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
        if before is None:
            track = self._tracks.get(status.name, 0)
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
        """The car left: if it comes back, its counts begin anew, and so must its session."""
        self._departures += 1
        self.cars.pop(name, None)
        self.changed.discard(name)
        self._placed.discard(name)
        self._crossed_at.pop(name, None)

    def _count(self, name: str, field: str, **others: float) -> None:
        state = self.cars.get(name)
        if state is None:  # an event before the car's first status: there is no state that it could change
            self.ignored += 1
            return
        self.cars[name] = msgspec.structs.replace(state, **{field: getattr(state, field) + 1}, **others)
        self.changed.add(name)
