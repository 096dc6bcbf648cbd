"""Figures for Prometheus."""

from __future__ import annotations

from typing import Any

from conftest import RedisServer
from monitoring import FakeRun, Site, in_loop, site, until
from prometheus_client.parser import text_string_to_metric_families

from robo.cache_values import ProcessHealth


async def samples(monitor: Site) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Name -> labels -> value."""
    async with monitor.get("/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        found: dict[str, Any] = {}
        for family in text_string_to_metric_families(await response.text()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found


@in_loop
async def test_what_a_run_comes_to_can_be_scraped(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    complaining = {
        "learner": ProcessHealth(
            1.0, "backing off", None, 3, None, 'no "room"\n', {"rollbacks": 2}, None, None
        )
    }
    run.cache.put_processes(complaining)
    async with site(redis_url) as monitor, monitor.watching():
        found = await samples(monitor)
    mine = (("run", "mine"),)
    assert found["robo_redis_up"] == {mine: 1.0}
    assert found["robo_viewers"] == {mine: 1.0}
    assert found["robo_env_steps_total"] == {mine: 1000.0}
    assert found["robo_train_steps_total"] == {mine: 200.0}
    assert found["robo_env_steps_per_second"] == {mine: 100.0}
    assert found["robo_disk_free_bytes"] == {mine: 5e10}
    assert found["robo_learner_value"] == {(("name", "loss"), ("run", "mine")): 0.5}
    learner, explorer = (("process", "learner"), *mine), (("process", "explorer0"), *mine)
    assert (found["robo_process_up"][learner], found["robo_process_up"][explorer]) == (0.0, 1.0)
    assert found["robo_process_restarts_total"][learner] == 3.0
    assert learner not in found["robo_process_beat_age_seconds"]
    assert found["robo_process_cpu_ratio"][explorer] == 0.3
    assert found["robo_process_memory_bytes"][explorer] == 1e8
    assert found["robo_counts_total"][(*learner, ("what", "rollbacks"))] == 2.0
    car = (("car", "robo1"), *mine)
    assert found["robo_car_speed_metres_per_second"][car] == 1.5
    assert 0.0 <= found["robo_car_frame_age_seconds"][car] < 10.0
    assert "robo_car_best_lap_seconds" not in found
    assert found["process_cpu_seconds_total"]


@in_loop
async def test_two_monitors_in_one_process_do_not_meet(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    FakeRun(redis_url, "other").fill()
    async with site(redis_url) as first, site(redis_url, run="other") as second:
        assert set((await samples(first))["robo_redis_up"]) == {(("run", "mine"),)}
        assert set((await samples(second))["robo_redis_up"]) == {(("run", "other"),)}


@in_loop
async def test_a_redis_that_is_lost_can_be_scraped_too(redis_server: RedisServer) -> None:
    FakeRun(redis_server.url).fill()
    async with site(redis_server.url) as monitor:
        await samples(monitor)
        redis_server.stop()

        async def lost() -> bool:
            return (await samples(monitor))["robo_redis_up"] == {(("run", "mine"),): 0.0}

        await until(lost)
    async with site(redis_server.url, run=None) as monitor:
        assert (await samples(monitor))["robo_redis_up"] == {(("run", ""),): 0.0}
