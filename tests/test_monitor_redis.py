"""Redis goes and comes back, full or empty, and so do runs: the page says so, and keeps what it knew."""

from __future__ import annotations

import asyncio
import time

from conftest import RedisServer
from monitoring import CARS, RUN, FakeRun, in_loop, site, until

from robo.cache import Cache


@in_loop
async def test_a_redis_that_is_killed_is_told_and_one_that_is_back_is_used(redis_server: RedisServer) -> None:
    run = FakeRun(redis_server.url).fill()
    async with site(redis_server.url) as monitor, monitor.watching() as page:
        await page.say(watch=["robo1"])
        await page.until(lambda: page.points and "robo1" in page.pictures and page.newest["box"]["laps"])
        before = len(page.points)
        redis_server.stop()
        await page.until(lambda: not page.newest["box"]["redis"]["ok"])
        redis = page.newest["box"]["redis"]
        assert redis["why"]
        assert abs(redis["since"] - time.time()) < 5.0
        assert page.newest["box"]["warnings"] == [{"level": "error", "text": f"Redis: {redis['why']}"}]
        assert page.newest["box"]["run"]["agent"] == "ddpg"  # what was known is not forgotten
        state = await monitor.json("/api/state")
        assert set(state["cars"]) == set(CARS)
        assert (await monitor.json("/readyz", 503))["reasons"] == [f"Redis: {redis['why']}"]
        assert await monitor.json("/healthz") == {"status": "ok"}

        redis_server.start()  # and it is empty
        await page.until(lambda: page.newest["box"]["redis"]["ok"])
        assert page.newest["box"]["redis"] == {"ok": True, "why": "", "since": None}
        assert page.newest["box"]["laps"]
        number = run.number
        run.tell()
        run.drive()
        run.learn()
        await page.until(lambda: page.pictures["robo1"][-1][1] > number)
        await page.until(lambda: len(page.points) == before + 1)
        await page.until(lambda: page.newest["cars"]["cars"]["robo1"]["telemetry"]["decisions"] > number)


@in_loop
async def test_points_that_come_again_are_not_shown_twice(redis_server: RedisServer) -> None:
    run = FakeRun(redis_server.url).fill()
    run.learn()
    async with site(redis_server.url) as monitor, monitor.watching() as page:
        await page.until(lambda: len(page.points) == 2)
        with redis_server.stopped():
            await page.until(lambda: not page.newest["box"]["redis"]["ok"])
        run.learn()
        await page.until(lambda: len(page.points) == 3)
        assert len({point["env_steps"] for point in page.points}) == 3
        assert len((await monitor.json("/api/curves"))["points"]) == 3


@in_loop
async def test_a_redis_that_hangs_holds_nobody_up(redis_server: RedisServer) -> None:
    FakeRun(redis_server.url).fill()
    async with site(redis_server.url) as monitor, monitor.watching() as page:
        await page.until(lambda: page.newest.get("box", {}).get("redis", {}).get("ok"))
        with redis_server.stopped():
            await page.until(lambda: not page.newest["box"]["redis"]["ok"])
            began = time.monotonic()
            await monitor.json("/api/state")
            await monitor.json("/healthz")
            assert time.monotonic() - began < 0.3
        await page.until(lambda: page.newest["box"]["redis"]["ok"])


@in_loop
async def test_another_session_of_a_run_begins_anew(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.until(lambda: page.points and page.newest["box"]["laps"] and page.newest["lines"]["lines"])
        run.cache.clear()
        run.started_at = time.time()
        run.tell()
        await page.until(lambda: not page.newest["box"]["laps"])
        await page.until(lambda: not page.points)
        run.learn()
        await page.until(lambda: len(page.points) == 1)


@in_loop
async def test_a_monitor_may_come_before_its_redis(redis_server: RedisServer) -> None:
    redis_server.stop()
    async with site(redis_server.url) as monitor, monitor.watching() as page:
        await page.until(lambda: "box" in page.newest)
        assert page.newest["box"]["run"] is None
        assert not page.newest["box"]["redis"]["ok"]
        redis_server.start()
        FakeRun(redis_server.url).fill()
        await page.until(lambda: page.newest["box"]["run"])


@in_loop
async def test_where_redis_is_may_change(redis_server: RedisServer) -> None:
    FakeRun(redis_server.url).fill()
    urls = ["redis://127.0.0.1:1/0"]
    async with site(lambda: urls[-1]) as monitor, monitor.watching() as page:
        await page.until(lambda: page.newest.get("box", {}).get("redis", {}).get("since"))
        urls.append(redis_server.url)
        await page.until(lambda: page.newest["box"]["run"])


@in_loop
async def test_every_run_in_a_redis_is_shown(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    other = FakeRun(redis_url, "other").fill()
    async with site(redis_url, unused_seconds=0.5) as monitor:
        runs = await monitor.json("/api/runs")
        assert {run["name"]: run["under_way"] for run in runs} == {"other": True, RUN: True}
        assert (await monitor.json("/api/state"))["box"]["run"] is not None
        other.tell(agent="sac")
        async with monitor.watching("/ws?run=other") as page:
            await page.until(lambda: page.newest.get("box", {}).get("run"))
            assert page.hello["run"] == "other"
            assert page.newest["box"]["run"]["agent"] == "sac"
            text = await (await monitor.get("/metrics")).text()
            assert 'run="other"' in text
        assert (await monitor.json("/api/state?run=nobody", 404)) == {
            "error": "there is no run nobody in this Redis"
        }
        for path in (
            "/ws",
            "/cars/robo1.jpg",
            "/cars/robo1.mjpeg",
            "/readyz",
            "/api/curves",
            "/api/cars/robo1",
        ):
            await monitor.json(f"{path}?run=nobody", 404)

        async def unused() -> bool:
            return 'run="other"' not in await (await monitor.get("/metrics")).text()

        await until(unused)
        assert 'run="mine"' in await (await monitor.get("/metrics")).text()


@in_loop
async def test_only_so_many_runs_are_watched_at_a_time(redis_url: str) -> None:
    for name in (RUN, "second", "third"):
        FakeRun(redis_url, name).tell()
    async with site(redis_url, most_runs=2) as monitor:
        await monitor.json("/api/state?run=second")
        await monitor.json("/api/state?run=third", 503)
        await monitor.json("/api/state")


@in_loop
async def test_without_a_name_the_newest_run_is_shown(redis_url: str) -> None:
    async with site(redis_url, run=None) as monitor:
        async with monitor.watching() as page:
            await page.until(lambda: page.newest.get("box", {}).get("redis", {}).get("ok"))
            assert page.hello["run"] == ""
            assert page.newest["box"]["run"] is None
            assert (await monitor.json("/readyz", 503))["reasons"] == ["nothing is known of this run"]
            first = FakeRun(redis_url, "first").fill()
            assert await page.end() == 1001  # and comes again
        async with monitor.watching() as page:
            await page.until(lambda: page.newest.get("box", {}).get("run"))
            assert page.hello["run"] == "first"
            FakeRun(redis_url, "second").fill()
            assert (await monitor.json("/api/state"))["box"]["run"]["agent"] == "ddpg"
            first.tell(agent="sac", at=time.time() - 60.0)  # it has not been heard of for a while

            async def newest() -> bool:
                async with monitor.watching() as another:
                    await another.until(lambda: another.hello)
                    return another.hello["run"] == "second"

            await until(newest)
            await page.until(lambda: page.newest["box"]["run"])  # who watches goes on watching


@in_loop
async def test_while_nobody_watches_little_is_read(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor:
        await monitor.json("/readyz")  # does not count as watching

        def asked() -> int:
            return run.cache._redis.info("stats")["total_commands_processed"]

        before = asked()
        await asyncio.sleep(2.0)
        assert asked() - before < 60
        assert run.cache.watched(CARS) == set()
        run.drive()
        ready = await monitor.json("/readyz")
        assert ready == {"ready": True, "reasons": []}


@in_loop
async def test_what_was_not_written_by_us_is_told_not_believed(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.until(lambda: page.newest.get("box", {}).get("run"))
        run.cache._redis.hset(f"robo:{RUN}:telemetry", "robo1", b"\xff{")
        await page.until(lambda: not page.newest["box"]["redis"]["ok"])
        assert "makes no sense" in page.newest["box"]["redis"]["why"]
        run.drive()
        await page.until(lambda: page.newest["box"]["redis"]["ok"])
        assert Cache(redis_url, RUN).answers()
