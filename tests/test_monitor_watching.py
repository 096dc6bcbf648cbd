"""Pages that watch a run: what they get, what they do not get, and what becomes of those that are slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest
from monitoring import CARS, LIMIT_SECONDS, RUN, FakeRun, Site, in_loop, png, site, until

from monitor import serve
from monitor.hub import Hub
from monitor.settings import Settings
from monitor.watch import STIR_SECONDS, Watch
from robo.cache import Cache
from robo.cache_values import Frame


@in_loop
async def test_a_page_gets_everything_of_a_run(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.until(
            lambda: {"hello", "box", "cars", "outlines", "lines", "curves"} <= page.newest.keys()
        )
        assert page.hello == {
            "topic": "hello",
            "version": 1,
            "run": RUN,
            "control": {"enabled": False, "token": False},
        }
        await page.until(lambda: page.newest["box"]["redis"]["ok"] and page.newest["box"]["laps"])
        box = page.newest["box"]
        assert box["run"]["agent"] == "ddpg"
        assert box["processes"]["learner"]["state"] == "running"
        assert box["progress"]["env_steps"] == 1000
        assert box["machine"]["cores"] == 2
        assert [policy["name"] for policy in box["shelf"]["policies"]] == [
            "policies/tracks",
            "policies/other",
        ]
        assert box["laps"][0]["seconds"] == 9.5
        assert box["film"]["car"] == "robo1"
        assert box["viewers"] == 1
        await page.until(lambda: set(page.newest["cars"]["cars"]) == set(CARS))
        car = page.newest["cars"]["cars"]["robo1"]
        assert car["state"]["speed"] == 1.5
        assert car["telemetry"]["decisions"] == run.number
        await page.until(lambda: page.newest["outlines"]["outlines"])
        await page.until(lambda: page.newest["lines"]["lines"])
        await page.until(lambda: page.points)
        assert page.points[0]["kind"] == "training"


@in_loop
async def test_only_pictures_of_watched_cars_come_and_the_run_is_told_of_these(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        with run.going_on():
            await page.until(lambda: len(page.newest.get("cars", {}).get("cars", {})) == len(CARS))
            assert page.pictures == {}
            await page.say(watch=["robo1", "robo-eval1", "nobody"])
            await page.until(lambda: len(page.pictures.get("robo-eval1", [])) > 3)
            assert set(page.pictures) == {"robo1", "robo-eval1"}
            assert run.cache.watched([*CARS, "nobody"]) == {"robo1", "robo-eval1"}
            await page.say(watch=["robo2"])
            await page.until(lambda: "robo2" in page.pictures)
            before = len(page.pictures["robo1"])
            await page.until(lambda: len(page.pictures["robo2"]) > 5)
            assert len(page.pictures["robo1"]) == before
            await page.say(watch=[])
            await page.until(lambda: run.cache.watched(CARS) == set())  # 3 s after the last renewal


@in_loop
async def test_a_page_that_wants_what_it_has_already_costs_nothing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeRun(redis_url).fill()
    changes: list[frozenset[str]] = []
    rewatch = Hub.rewatch

    def counted(hub: Hub) -> None:
        rewatch(hub)
        changes.append(hub.wanted)

    monkeypatch.setattr(Hub, "rewatch", counted)
    async with site(redis_url) as monitor, monitor.watching() as page:
        for cars in (["robo1", "robo2"], ["robo2", "robo1"], ["robo1", "robo2", "robo1"], []):
            for _ in range(20):
                await page.say(watch=cars)
        await page.say(watch=["robo3"])
        await page.until(lambda: "robo3" in page.pictures)
        nothing: frozenset[str] = frozenset()
        assert changes == [nothing, frozenset(("robo1", "robo2")), nothing, frozenset(("robo3",))]


@in_loop
async def test_who_wants_more_again_and_again_is_heeded_now_and_then(redis_url: str) -> None:
    looks: list[float] = []

    class Counted(Watch):
        def _look(self, now: float) -> None:
            looks.append(now)
            super()._look(now)

    watch = Counted(Hub(RUN), asyncio.get_running_loop(), lambda: Cache(redis_url, RUN))
    watch.start()
    began = time.monotonic()
    while (now := time.monotonic()) - began < 1.0:
        watch.stir()
        await asyncio.sleep(0.001)
    watch.end()
    # Nobody watches: by itself it would look once or twice.
    assert 10 <= len(looks) <= (now - began) / STIR_SECONDS + 10


@in_loop
async def test_pictures_are_the_newest_each_once_and_in_order(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.say(watch=["robo1"])
        with run.going_on(hertz=50.0):
            began = time.monotonic()
            await page.until(lambda: time.monotonic() - began > 3.0)
    numbers = [number for _, number, _ in page.pictures["robo1"]]
    assert numbers == sorted(set(numbers))
    assert 30 <= len(numbers) <= 63  # 20 a second, and the one that was there
    assert all(jpeg.startswith(b"\xff\xd8\xff") for _, _, jpeg in page.pictures["robo1"])
    newest = run.cache.frame("robo1")
    assert newest is not None
    assert newest.number - numbers[-1] <= 10


@in_loop
async def test_a_picture_that_is_none_is_left_out(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    run.cache.put_frame("robo1", Frame(time.time(), 1, b"\x89PNG but not really"))
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.say(watch=["robo1", "robo2"])
        await page.until(lambda: "robo2" in page.pictures)
        assert "robo1" not in page.pictures
        run.cache.put_frame("robo1", Frame(time.time(), 2, png()))
        await page.until(lambda: "robo1" in page.pictures)


@in_loop
async def test_curves_come_once_and_then_only_what_is_new(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.until(lambda: page.points)
        run.learn()
        run.learn()
        await page.until(lambda: len(page.points) == 3)
        assert page.resets <= 2  # one may be of before the cache was looked at
        steps = [point["env_steps"] for point in page.points]
        assert steps == sorted(set(steps))
        async with monitor.watching() as second:
            await second.until(lambda: len(second.points) == 3)


@in_loop
async def test_a_page_that_reads_nothing_gets_less_and_costs_nobody_anything(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    process = psutil.Process()
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.say(watch=CARS)
        with run.going_on(), stalled_page(monitor) as slow:
            await page.until(lambda: "robo1" in page.pictures and page.newest["box"]["viewers"] == 2)
            before, began = process.memory_info().rss, time.monotonic()
            seen = len(page.pictures["robo1"])
            await page.until(lambda: time.monotonic() - began > 5.0)
            assert len(page.pictures["robo1"]) - seen > 60
            assert (
                process.memory_info().rss - before < 15_000_000
            )  # what `page` itself has kept is in it, too
            slow.setblocking(False)
            received = await asyncio.get_running_loop().run_in_executor(None, drained, slow)
            # What it reads now was on its way through the kernel; others got 600 KB a second meanwhile.
            assert received < 300_000


@in_loop
async def test_a_page_that_reads_nothing_for_too_long_is_dropped(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, stalled_seconds=1.0) as monitor, monitor.watching() as page:
        with run.going_on(), stalled_page(monitor):
            await page.until(lambda: page.newest.get("box", {}).get("viewers") == 2)
            await page.until(lambda: page.newest["box"]["viewers"] == 1)


@contextlib.contextmanager
def stalled_page(monitor: Site) -> Iterator[socket.socket]:
    """A page that watches all cars and reads nothing."""
    address = urlsplit(monitor.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.hostname, address.port))
        client.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        text = json.dumps({"watch": CARS}).encode()
        client.sendall(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
        yield client


def drained(client: socket.socket) -> int:
    """How many bytes there are to be read for a tenth of a second."""
    total, give_up = 0, time.monotonic() + 0.1
    while time.monotonic() < give_up:
        with contextlib.suppress(BlockingIOError):
            total += len(client.recv(65536))
    return total


@in_loop
async def test_too_many_viewers_are_told_to_come_again(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url, most_viewers=2) as monitor, monitor.watching() as page:
        await page.until(lambda: page.hello)
        async with monitor.get("/cars/robo1.mjpeg") as stream:
            assert stream.status == 200
            async with monitor.watching() as third:
                assert await third.end() == 1013
            async with monitor.get("/cars/robo1.mjpeg") as second:
                assert second.status == 503
            await page.until(lambda: page.newest.get("box", {}).get("viewers") == 2)
        await page.until(lambda: page.newest.get("box", {}).get("viewers") == 1)
        async with monitor.watching() as third:
            await third.until(lambda: third.hello)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"watch": "robo1"}',
        '{"watch": [1]}',
        '{"watch": [], "token": "x"}',
        '{"other": 1}',
        '{"watch": ["' + "x" * 65 + '"]}',
        '{"hand": {}}',
        '{"hand": {"car": "robo1", "throttle": 1.1}}',
        '{"hand": {"car": "robo1", "throttle": NaN}}',
        '{"hand": {"car": "robo1", "turn": -2}}',
        '{"hand": {"car": "robo1", "turn": 1e999}}',
        '{"hand": {"car": "robo1", "brake": "1"}}',
        '{"hand": {"car": "robo1", "boost": 1}}',
        "[" * 4000,
        '{"watch":' + "[" * 4000,
    ],
)
@in_loop
async def test_a_page_that_makes_no_sense_is_closed(redis_url: str, message: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor, monitor.watching() as page:
        await page.socket.send_str(message)
        assert await page.end() == 1008
        assert await monitor.json("/healthz") == {"status": "ok"}


@in_loop
async def test_pages_that_say_too_much_are_closed(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url) as monitor:
        async with monitor.watching() as page:
            await page.socket.send_bytes(b"{}")
            assert await page.end() == 1008
        async with monitor.watching() as page:
            await page.socket.send_str('{"watch": ["' + "x" * 5000 + '"]}')
            assert await page.end() == 1009
        async with monitor.watching() as page:
            for _ in range(500):
                await page.say(watch=[])
            assert await page.end() == 1008


@in_loop
async def test_a_monitor_that_stops_says_so_to_all_pages_within_a_second(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with contextlib.AsyncExitStack() as pages, aiohttp.ClientSession() as session:
        runner = await serve.start(Settings(redis_url, RUN), 0)
        monitor = Site(f"http://127.0.0.1:{serve.port(runner)}", session)
        page = await pages.enter_async_context(monitor.watching())
        await page.say(watch=CARS)
        stream = await pages.enter_async_context(monitor.get("/cars/robo1.mjpeg"))
        pages.enter_context(run.going_on())
        pages.enter_context(stalled_page(monitor))
        await page.until(lambda: page.newest.get("box", {}).get("viewers") == 3 and page.pictures)
        began = time.monotonic()
        ended = asyncio.create_task(page.end())
        await runner.cleanup()
        assert time.monotonic() - began < 1.0
        assert await ended == 1001
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await asyncio.wait_for(stream.read(), LIMIT_SECONDS)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


@in_loop
async def test_a_stream_of_pictures_is_what_browsers_show(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.get("/cars/robo1.mjpeg") as response:
        assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
        with run.going_on():
            for _ in range(5):
                assert await response.content.readline() == b"--picture\r\n"
                assert await response.content.readline() == b"Content-Type: image/jpeg\r\n"
                size = int((await response.content.readline()).partition(b": ")[2])
                assert await response.content.readline() == b"\r\n"
                assert (await response.content.readexactly(size)).startswith(b"\xff\xd8\xff")
                assert await response.content.readline() == b"\r\n"
            assert run.cache.watched(CARS) == {"robo1"}


@in_loop
async def test_a_stream_that_is_left_is_noticed(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        async with monitor.get("/cars/robo1.mjpeg"):
            await page.until(lambda: page.newest.get("box", {}).get("viewers") == 2)
        await page.until(lambda: page.newest["box"]["viewers"] == 1)  # though there are no new pictures


@in_loop
async def test_a_single_picture_is_the_newest(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    run.cache.put_frame("robo2", Frame(time.time(), 1, b"none"))
    async with site(redis_url) as monitor:
        async with monitor.get("/cars/robo1.jpg") as response:
            assert (response.status, response.content_type) == (200, "image/jpeg")
            first = await response.read()
            assert first.startswith(b"\xff\xd8\xff")
        assert await monitor.json("/cars/robo2.jpg", 503) == {"error": "robo2: no picture yet"}
        assert await monitor.json("/cars/nobody.jpg", 404) == {"error": "mine has no car nobody"}
        run.cache.put_frame("robo1", Frame(time.time(), 2, png(200)))

        async def newer() -> bool:
            async with monitor.get("/cars/robo1.jpg") as response:
                return await response.read() != first

        await until(newer)
