"""A run as the monitor sees it, put into a cache by hand, and a monitor that shows it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import cv2
import numpy as np

from monitor import serve
from monitor.settings import Settings
from robo.cache import Cache
from robo.cache_values import (
    CarInfo,
    FilmStatus,
    Frame,
    LapLine,
    LapRecord,
    Machine,
    Outline,
    Point,
    ProcessHealth,
    Progress,
    RunInfo,
    SavedCheckpoint,
    SavedPolicy,
    Shelf,
    Telemetry,
)
from robo.driving.state import CarState

LIMIT_SECONDS = 20.0
"""Many times what anything here takes."""
RUN = "mine"
EXPLORERS = [f"robo{number}" for number in range(1, 7)]
CARS = [*EXPLORERS, "robo-eval1"]
SQUARE = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
ABOUT = struct.Struct("<dQI")


def png(shade: int = 0) -> bytes:
    """A camera's picture."""
    frame = np.full((80, 128, 3), shade % 256, np.uint8)
    frame[:, 40:60] = (200, 30, shade % 256)
    done, data = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return data.tobytes()


class FakeRun:
    """Writes what a run of seven cars writes."""

    def __init__(self, url: str, name: str = RUN) -> None:
        self.cache = Cache(url, name)
        self.name = name
        self.started_at = time.time() - 60.0
        self.number = 0
        self.info = RunInfo(
            at=time.time(),
            started_at=self.started_at,
            agent="ddpg",
            clock="lockstep",
            simulator="embedded",
            track="esses",
            cars=[
                *(CarInfo(car, "explorer", f"explorer{index % 2}") for index, car in enumerate(EXPLORERS)),
                CarInfo("robo-eval1", "evaluator", "evaluator"),
            ],
            observation="color_grid",
            observation_shape=[2, 48, 3],
            throttle_max=0.12,
            decisions_per_second=20.0,
            control=True,
        )

    def tell(self, **changes: Any) -> None:
        """What the supervisor tells; ``changes`` are the run's."""
        now = time.time()
        values = {name: getattr(self.info, name) for name in RunInfo.__struct_fields__}
        self.info = RunInfo(**{**values, "at": now, "started_at": self.started_at, **changes})
        self.cache.put_box(
            self.info,
            Machine(now, 2, 0.5, 4 * 10**9, 8 * 10**9, 50 * 10**9, 100 * 10**9),
            Shelf(
                [SavedCheckpoint("1000", now, 1000, 200, 5_000_000)],
                [
                    SavedPolicy("policies/tracks", now, 9, 0.9, 8.5, 300.0, "esses", ""),
                    SavedPolicy("policies/other", now, None, None, None, None, "", "sees 8x3"),
                ],
            ),
        )
        names = ("simulator", "explorer0", "explorer1", "evaluator", "learner")
        self.cache.put_processes(
            {
                name: ProcessHealth(now, "running", 100 + index, 0, 0.1, "", {"steps sent": 5}, 0.3, 10**8)
                for index, name in enumerate(names)
            }
        )

    def learn(self) -> None:
        """What the learner tells."""
        self.number += 1
        values = {"loss": 0.5, "return": None}
        self.cache.put_progress(Progress(time.time(), 1000, 200, 1000, 100.0, 50.0, values))
        self.cache.add_point(Point(time.time(), "training", self.number, self.number, values))

    def drive(self, cars: list[str] = CARS, *, pictures: bool = True) -> None:
        """What the cars' drivers, readers and cameras tell."""
        self.number += 1
        now, number = time.time(), self.number
        self.cache.put_cars({car: CarState(1, float(number), (0.1, 0.0, 0.2), 1.5, 2.0, 3) for car in cars})
        self.cache.put_telemetry(
            {
                car: Telemetry(
                    "evaluator" if "eval" in car else "explorer",
                    at=now,
                    decisions=number,
                    observation=bytes(288),
                )
                for car in cars
            }
        )
        if pictures:
            for car in cars:
                self.cache.put_frame(car, Frame(now, number, png(number)))

    def lap(self) -> None:
        """A lap of the scored car."""
        line = LapLine(0, 9.5, True, [(0.5 + x, 0.5 + z, 1.0) for x, z in SQUARE])
        self.cache.add_lap(LapRecord(time.time(), "robo-eval1", "evaluator", 9.5, True, 1))
        self.cache.put_lines({"robo-eval1": line})

    def track(self) -> None:
        """The track that the cars are on."""
        outer = [(3 * x - 1, 3 * z - 1) for x, z in SQUARE]
        self.cache.put_outlines(dict.fromkeys(CARS, Outline(0, "esses", 12.0, outer, SQUARE)))

    def fill(self) -> FakeRun:
        """Everything, once."""
        self.tell()
        self.learn()
        self.track()
        self.drive()
        self.lap()
        self.cache.put_film(FilmStatus(time.time(), "", "robo1", "runs/mine/film.mp4", 3.0, False))
        return self

    @contextlib.contextmanager
    def going_on(self, hertz: float = 20.0) -> Iterator[FakeRun]:
        """Go on by itself meanwhile."""
        ended = threading.Event()

        def go_on() -> None:
            while not ended.wait(1 / hertz):
                self.drive()
                self.tell()
                if self.number % 10 == 0:
                    self.learn()

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments: Any, **options: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **options), 3 * LIMIT_SECONDS))

    return run


class Site:
    """A monitor that listens, and a client of it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self.session = session

    def get(self, path: str, **options: Any) -> Any:
        """``async with`` it for the response."""
        return self.session.get(self.url + path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """The same, with a body of JSON."""
        return self.session.post(self.url + path, json={} if body is None else body, **options)

    async def json(self, path: str, status: int = 200, **options: Any) -> Any:
        """What a GET is answered with."""
        async with self.get(path, **options) as response:
            assert response.status == status, await response.text()
            return await response.json()

    @contextlib.asynccontextmanager
    async def watching(self, path: str = "/ws", **options: Any) -> AsyncIterator[Page]:
        """A page that watches."""
        async with self.session.ws_connect(self.url + path, autoclose=True, **options) as socket:
            yield Page(socket)


class Page:
    """What a page in a browser does, as far as the server can tell."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.hello: dict[str, Any] = {}
        self.newest: dict[str, dict[str, Any]] = {}
        """Of each topic."""
        self.points: list[dict[str, Any]] = []
        self.resets = 0
        self.pictures: dict[str, list[tuple[float, int, bytes]]] = {}
        self.hands: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        """Send something."""
        await self.socket.send_str(json.dumps(message))

    async def until(self, what: Callable[[], object]) -> None:
        """Read until something is so."""
        give_up = time.monotonic() + LIMIT_SECONDS
        while not what():
            assert time.monotonic() < give_up, "not within the limit"
            assert await self.read(), f"closed with {self.socket.close_code}"

    async def end(self) -> int | None:
        """Read until the other side closes. The code."""
        give_up = time.monotonic() + LIMIT_SECONDS
        while await self.read():
            assert time.monotonic() < give_up, "not closed within the limit"
        return self.socket.close_code

    async def read(self) -> bool:
        """Read a message. Whether there was one."""
        message = await self.socket.receive(LIMIT_SECONDS)
        if message.type is aiohttp.WSMsgType.BINARY:
            for car, at, number, jpeg in unpacked(message.data):
                self.pictures.setdefault(car, []).append((at, number, jpeg))
        elif message.type is aiohttp.WSMsgType.TEXT:
            self._take(json.loads(message.data))
        else:
            return False
        return True

    def _take(self, value: dict[str, Any]) -> None:
        topic = value["topic"]
        if topic == "hello":
            assert not self.newest
            self.hello = value
        elif topic == "hand":
            self.hands.append(value)
        elif topic == "curves":
            if value["reset"]:
                self.points, self.resets = [], self.resets + 1
            self.points += value["points"]
        self.newest[topic] = value


def unpacked(data: bytes) -> Iterator[tuple[str, float, int, bytes]]:
    """The pictures in a binary message, as the protocol tells it."""
    place = 0
    while place < len(data):
        length = data[place]
        car = data[place + 1 : place + 1 + length].decode("ascii")
        place += 1 + length
        at, number, size = ABOUT.unpack_from(data, place)
        place += ABOUT.size
        yield car, at, number, data[place : place + size]
        place += size
    assert place == len(data)


@contextlib.asynccontextmanager
async def site(redis_url: str | Callable[[], str], **options: Any) -> AsyncIterator[Site]:
    """A monitor of the run ``mine``, on a free port, unless told otherwise."""
    settings = Settings(redis_url, **{"run": RUN, **options})
    runner = await serve.start(settings, 0)
    try:
        async with aiohttp.ClientSession() as session:
            yield Site(f"http://127.0.0.1:{serve.port(runner)}", session)
    finally:
        await runner.cleanup()


async def until(what: Callable[[], Awaitable[object]]) -> None:
    """Ask until it is so."""
    give_up = time.monotonic() + LIMIT_SECONDS
    while not await what():
        assert time.monotonic() < give_up, "not within the limit"
        await asyncio.sleep(0.02)
