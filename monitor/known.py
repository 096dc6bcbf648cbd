"""What is known of one run at the moment, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from monitor.messages import LAPS_SHOWN, Box, CarReport, CarView, RedisState
from monitor.pictures import Picture
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
    Shelf,
    Telemetry,
)
from robo.driving.state import CarState
from robo.health import Look, notices

POINTS_SHOWN = 2000
"""Of each kind of the curves."""

T = TypeVar("T")


@dataclass
class Known:
    """Of one run. Values are replaced by newer ones, never changed: who has taken one may keep it."""

    looked_at: float = 0.0
    """When the cache was read last, Unix seconds."""
    redis: RedisState = field(default_factory=lambda: RedisState(ok=False, why="not asked yet"))
    run: RunInfo | None = None
    machine: Machine | None = None
    shelf: Shelf | None = None
    processes: dict[str, ProcessHealth] = field(default_factory=dict)
    progress: Progress | None = None
    film: FilmStatus | None = None
    laps: list[LapRecord] = field(default_factory=list)
    """Newest last."""
    cars: dict[str, CarState] = field(default_factory=dict)
    telemetry: dict[str, Telemetry] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    lines: dict[str, LapLine] = field(default_factory=dict)
    outlines: dict[str, Outline] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Of all cars: as the run tells, or, where it does not, of all that have been seen."""
        if self.run is not None:
            return [car.name for car in self.run.cars]
        return sorted({*self.telemetry, *self.pictures})

    def look(self) -> Look:
        """What is looked at to tell whether all is as it should be."""
        pictures = self.pictures
        return Look(
            at=self.looked_at,
            redis_why="" if self.redis.ok else self.redis.why,
            run=self.run,
            processes=self.processes,
            progress=self.progress,
            machine=self.machine,
            frames={name: pictures[name].at if name in pictures else None for name in self.names()},
        )

    def box(self, now: float, viewers: int) -> Box:
        """All but the cars."""
        return Box(
            now=now,
            run=self.run,
            redis=self.redis,
            processes=self.processes,
            progress=self.progress,
            machine=self.machine,
            shelf=self.shelf,
            warnings=notices(self.look(), now),
            laps=self.laps[-LAPS_SHOWN:],
            film=self.film,
            viewers=viewers,
        )

    def views(self) -> dict[str, CarView]:
        """Every car at the moment."""
        return {name: self.view(name) for name in self.names()}

    def view(self, name: str) -> CarView:
        """A car at the moment."""
        picture = self.pictures.get(name)
        return CarView(self.cars.get(name), self.telemetry.get(name), None if picture is None else picture.at)

    def report(self, name: str) -> CarReport:
        """All about one of the cars."""
        view = self.view(name)
        telemetry = view.telemetry
        info = next((car for car in self.run.cars if car.name == name), None) if self.run else None
        role = info.role if info else telemetry.role if telemetry else None
        return CarReport(
            name=name,
            role=role if role in ("explorer", "evaluator") else None,
            driver=info.driver if info else "",
            state=view.state,
            telemetry=telemetry,
            frame_at=view.frame_at,
            line=self.lines.get(name),
            outline=self.outlines.get(name),
        )


class Curves:
    """The points of the learning curves, and which of them are new to somebody who has seen some."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._points: list[Point] = []
        self._dropped = 0
        """How many were before the oldest one that is kept."""
        self._life = 0
        """Which curves these are: others have begun anew."""

    def add(self, points: Iterable[Point], *, reset: bool) -> None:
        """Take more of them; with ``reset`` instead of all that were known."""
        if reset:
            self._points, self._dropped, self._life = [], 0, self._life + 1
        self._points.extend(points)
        excess = max(0, len(self._points) - self._most)
        del self._points[:excess]
        self._dropped += excess

    @property
    def place(self) -> tuple[int, int]:
        """Where whoever has seen all is."""
        return self._life, self._dropped + len(self._points)

    def since(self, place: tuple[int, int] | None) -> tuple[bool, list[Point]]:
        """Whether to forget what was seen until ``place``, and what came after it."""
        if place is None or place[0] != self._life or place[1] < self._dropped:
            return True, list(thinned(self._points))
        return False, self._points[place[1] - self._dropped :]


def thinned(points: list[Point], most: int = POINTS_SHOWN) -> Iterator[Point]:
    """At most so many points of each kind, evenly spread, the newest among them, in their order."""
    counts: dict[str, int] = {}
    for point in points:
        counts[point.kind] = counts.get(point.kind, 0) + 1
    steps = {kind: -(-count // most) for kind, count in counts.items()}
    for point in points:
        counts[point.kind] -= 1
        if counts[point.kind] % steps[point.kind] == 0:
            yield point
