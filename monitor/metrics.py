"""Figures for Prometheus, of all runs that are watched and of the monitor itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.answers import WATCHES
from monitor.hub import Hub
from monitor.watches import Watches

REGISTRY = web.AppKey("registry", CollectorRegistry)


def registry(watches: Watches) -> CollectorRegistry:
    """What one application tells; nothing is shared with another one in the same process."""
    made = CollectorRegistry(auto_describe=False)
    made.register(_Runs(watches))
    ProcessCollector(registry=made)
    return made


async def show(request: web.Request) -> web.Response:
    """Everything, as Prometheus reads it."""
    await request.app[WATCHES].hub(None)  # a scrape that is the first to ask waits until something is known
    body = generate_latest(request.app[REGISTRY])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Runs(Collector):
    """Made anew at every scrape from what is known then."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        tables = _Families()
        now = time.time()
        for hub in self._watches.hubs:
            _add_run(tables, hub, now)
        return tables.all()


class _Families:
    """Samples, gathered by what they are of."""

    def __init__(self) -> None:
        self._families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}

    def gauge(self, name: str, text: str, labels: tuple[tuple[str, str], ...], value: float | None) -> None:
        """A value at the moment; None, of which there is no sample: not known."""
        self._add(GaugeMetricFamily, name, text, labels, value)

    def counter(self, name: str, text: str, labels: tuple[tuple[str, str], ...], value: float | None) -> None:
        """A value that only grows, but for when what counts begins anew."""
        self._add(CounterMetricFamily, name, text, labels, value)

    def all(self) -> Iterator[Metric]:
        """Every family."""
        return iter(self._families.values())

    def _add(
        self,
        kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
        name: str,
        text: str,
        labels: tuple[tuple[str, str], ...],
        value: float | None,
    ) -> None:
        if name not in self._families:
            self._families[name] = kind(f"robo_{name}", text, labels=[label for label, _ in labels])
        if value is not None:
            self._families[name].add_metric([value_ for _, value_ in labels], value)


def _add_run(tables: _Families, hub: Hub, now: float) -> None:
    known, run = hub.known, (("run", hub.run),)
    tables.gauge("redis_up", "Whether Redis answers.", run, float(known.redis.ok))
    tables.gauge("viewers", "Pages and streams that watch.", run, hub.viewers)
    told = known.run.at if known.run else None
    tables.gauge("run_told_age_seconds", "Since the run last told what it is.", run, _age(told, now))
    if progress := known.progress:
        tables.counter("env_steps", "Decisions of the explorers.", run, progress.env_steps)
        tables.counter("train_steps", "Train steps of the learner.", run, progress.train_steps)
        tables.gauge("env_steps_per_second", "Decisions a second.", run, progress.env_steps_per_s)
        tables.gauge("train_steps_per_second", "Train steps a second.", run, progress.train_steps_per_s)
        tables.gauge("replay_transitions", "In the replay.", run, progress.replay)
        tables.gauge("progress_age_seconds", "Since the learner told of it.", run, _age(progress.at, now))
        for name, value in progress.values.items():
            tables.gauge("learner_value", "Losses and the like.", (*run, ("name", name)), value)
    if machine := known.machine:
        tables.gauge("machine_cpu_ratio", "Share of all cores that is busy.", run, machine.cpu)
        tables.gauge("machine_memory_used_bytes", "Of the run's machine.", run, machine.memory_used)
        tables.gauge("machine_memory_total_bytes", "Of the run's machine.", run, machine.memory_total)
        tables.gauge("disk_free_bytes", "Where the run's folder is.", run, machine.disk_free)
        tables.gauge("disk_total_bytes", "Where the run's folder is.", run, machine.disk_total)
    _add_processes(tables, hub)
    _add_cars(tables, hub, now)


def _add_processes(tables: _Families, hub: Hub) -> None:
    for name, process in hub.known.processes.items():
        labels = (("run", hub.run), ("process", name))
        tables.gauge("process_up", "Whether it does its work.", labels, float(process.state == "running"))
        tables.counter("process_restarts", "How often it was started again.", labels, process.restarts)
        tables.gauge(
            "process_beat_age_seconds", "Since it last gave a sign of life.", labels, process.beat_age_s
        )
        tables.gauge("process_cpu_ratio", "Share of one core.", labels, process.cpu)
        tables.gauge("process_memory_bytes", "Without files that it shares.", labels, process.memory)
        for what, count in process.counts.items():
            tables.counter("counts", "What it has counted.", (*labels, ("what", what)), count)


def _add_cars(tables: _Families, hub: Hub, now: float) -> None:
    known = hub.known
    for name in known.names():
        labels = (("run", hub.run), ("car", name))
        view = known.view(name)
        tables.gauge(
            "car_frame_age_seconds", "Of its newest picture.", labels, _age(view.frame_at, known.looked_at)
        )
        if view.state:
            tables.gauge("car_speed_metres_per_second", "Its speed.", labels, view.state.speed)
        if telemetry := view.telemetry:
            tables.counter("car_laps", "Laps completed.", labels, telemetry.laps)
            tables.counter("car_clean_laps", "Laps without touching a wall.", labels, telemetry.clean_laps)
            tables.counter("car_crashes", "Walls touched.", labels, telemetry.crashes)
            tables.counter("car_episodes", "Episodes ended.", labels, telemetry.episodes)
            tables.counter("car_late_states", "Observations without a state.", labels, telemetry.late_states)
            tables.gauge("car_best_lap_seconds", "Its best clean lap.", labels, telemetry.best_lap)
            tables.gauge(
                "car_last_episode_reward", "Of the last episode.", labels, telemetry.last_episode_reward
            )
            age = _age(telemetry.at, known.looked_at)
            tables.gauge("car_telemetry_age_seconds", "Since its driver told of it.", labels, age)


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)
