"""The tables that everything is started from fit together, whatever is configured."""

from __future__ import annotations

import importlib
from collections import Counter

import numpy as np
import pytest

from processes.table import Car, Channel, Process, cars, channels, endpoints, picture, processes
from robo import config
from robo.config import Config
from robo.driving.experience import layout

CONFIGS = {
    "default": [],
    "one car": ["cars.explorers=1", "cars.explorer_processes=1", "cars.evaluators=0"],
    "a process a car": ["cars.explorers=4", "cars.explorer_processes=4"],
    "uneven shares": ["cars.explorers=7", "cars.explorer_processes=3", "cars.evaluators=2"],
    "two groups": ["cars.groups=2"],
    "three groups": ["cars.groups=3", "cars.explorers=8", "cars.explorer_processes=4"],
    "as many groups as processes": ["cars.groups=3", "cars.explorer_processes=2"],
    "evaluators only": ["cars.explorers=0", "cars.evaluators=2", "cars.groups=2"],
    "debug": ["driver=debug", "observation.kind=color_mass", "cars.evaluators=0"],
    "a real simulator": ["simulator.host=192.0.2.7"],
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def settings(request: pytest.FixtureRequest) -> Config:
    return config.load(sets=request.param)


@pytest.fixture(params=[True, False], ids=["own redis", "other redis"])
def rows(request: pytest.FixtureRequest, settings: Config) -> list[Process]:
    return processes(settings, managed_redis=request.param)


def names(rows: list[Process]) -> list[str]:
    return [row.name for row in rows]


def readers(joins: list[Channel], name: str) -> tuple[str, ...]:
    return next(join.readers for join in joins if join.name == name)


def test_names_are_unique(settings: Config, rows: list[Process]) -> None:
    for things in (rows, channels(settings), cars(settings)):
        assert max(Counter(thing.name for thing in things).values()) == 1


def test_every_process_has_a_module_with_a_main(rows: list[Process]) -> None:
    for module in {row.module for row in rows}:
        assert callable(importlib.import_module(module).main)


def test_a_process_comes_after_earlier_rows_only(rows: list[Process]) -> None:
    """So starting in order never waits for what is still to come, and the reverse order stops cleanly."""
    for place, row in enumerate(rows):
        assert set(row.after) <= set(names(rows)[:place])


def test_every_process_has_a_limit_to_its_silence(settings: Config, rows: list[Process]) -> None:
    limits = settings.supervision
    for row in rows:
        learns = row.name == "learner"
        assert row.heartbeat_seconds == (
            limits.learner_heartbeat_seconds if learns else limits.heartbeat_seconds
        )


def test_queues_have_room_for_the_chunks_that_are_asked_for_and_an_evaluation() -> None:
    for kind in ("ddpg", "rdpg"):
        few = config.load(sets=[f"agent.type={kind}", "replay.queue_chunks=1"])
        many = config.load(sets=[f"agent.type={kind}", "replay.queue_chunks=101"])
        (small, large), weights = (
            (
                next(join.payload_bytes for join in channels(each) if join.kind == "queue")
                for each in (few, many)
            ),
            next(join.payload_bytes for join in channels(few) if join.name == "weights"),
        )
        chunk = (large - small) / 100
        steps = sum(array.nbytes for array in _rows(few))
        assert steps <= chunk < 2 * steps + 8192
        assert small > weights + chunk


def _rows(settings: Config) -> list[np.ndarray]:
    """The arrays of a chunk."""
    rows = -(-settings.replay.chunk // settings.agent.steps_a_row)
    return [np.zeros((rows, *shape), np.float32) for shape in layout(settings).shapes]


def test_every_end_of_a_channel_is_a_process(settings: Config, rows: list[Process]) -> None:
    for join in channels(settings):
        assert join.writers
        assert join.readers
        # What is asked of a run is for the supervisor to say, which has no row: it runs them.
        ends = {*join.writers, *join.readers} - ({"supervisor"} if join.name == "orders" else set())
        assert ends <= set(names(rows))


def test_orders_reach_everyone_who_acts_on_them(settings: Config, rows: list[Process]) -> None:
    orders = next(join for join in channels(settings) if join.name == "orders")
    acting = ("processes.learner", "processes.frame_processor", "processes.explorer", "processes.recorder")
    assert orders.writers == ("supervisor",)
    assert sorted(orders.readers) == sorted(row.name for row in rows if row.module in acting)


def test_every_process_that_sees_cars_can_be_filmed_from(settings: Config) -> None:
    joins = {join.name: join for join in channels(settings)}
    for car in cars(settings):
        for writer in (f"frame_processor{car.group}", car.driver):
            ring = joins[f"film:{writer}"]
            assert (ring.writers, ring.readers) == ((writer,), ("recorder",))


def test_a_run_goes_on_without_what_only_shows_it_and_nobody_waits_for_that(rows: list[Process]) -> None:
    assert {row.name for row in rows if not row.vital} == {"recorder", "monitor"}
    assert not {"recorder", "monitor"} & {name for row in rows for name in row.after}


def test_the_page_can_be_left_out() -> None:
    without = config.load(sets=["monitor.enabled=false"])
    assert "monitor" not in names(processes(without, managed_redis=True))


def test_a_film_from_the_settings_begins_with_the_first_picture() -> None:
    rows = processes(config.load(sets=["film.car=robo-eval1", "cars.groups=2"]), managed_redis=True)
    readers = [row for row in rows if row.module == "processes.car_reader"]
    assert len(readers) == 2
    assert all("recorder" in row.after for row in readers)


def test_every_channel_that_a_process_is_at_is_handed_to_it(settings: Config, rows: list[Process]) -> None:
    joins = channels(settings)
    built = {join.name: object() for join in joins}
    for row in rows:
        mine = {join.name for join in joins if row.name in (*join.writers, *join.readers)}
        assert endpoints(joins, row.name, built) == {name: built[name] for name in mine}


def test_rings_and_queues_have_one_writer_and_one_reader(settings: Config) -> None:
    for join in channels(settings):
        if join.kind in ("ring", "queue"):
            assert (len(join.writers), len(join.readers)) == (1, 1)


def test_each_car_is_numbered_by_its_place(settings: Config) -> None:
    """Channels have a slot a car, found by this number."""
    fleet = cars(settings)
    assert [car.index for car in fleet] == list(range(len(fleet)))
    roles = Counter(car.role for car in fleet)
    assert roles["explorer"] == settings.cars.explorers
    assert roles["evaluator"] == settings.cars.evaluators


def test_each_car_has_one_driver_one_reader_and_one_processor(settings: Config, rows: list[Process]) -> None:
    """The chain of one car: reader -> frames -> processor -> observations -> driver -> commands -> reader."""
    joins = {join.name: join for join in channels(settings)}
    for car in cars(settings):
        reader, processor = f"car_reader{car.group}", f"frame_processor{car.group}"
        assert {car.driver, reader, processor} <= set(names(rows))
        frames, commands = joins[f"frames{car.group}"], joins[f"commands{car.group}"]
        assert (frames.writers, frames.readers) == ((reader,), (processor,))
        observations = joins[f"observations:{car.driver}"]
        assert (observations.writers, observations.readers) == ((processor,), (car.driver,))
        assert car.driver in commands.writers
        assert commands.readers == (reader,)
        assert car.index < commands.slots
        assert joins[f"states:{car.driver}"].writers == ("spectator_reader",)


def test_no_process_is_without_cars(settings: Config, rows: list[Process]) -> None:
    fleet = cars(settings)
    drivers = {car.driver for car in fleet}
    assert {row.name for row in rows if row.module == "processes.explorer"} == drivers
    for kind in ("car_reader", "frame_processor"):
        of_kind = {row.name for row in rows if row.module == f"processes.{kind}"}
        assert of_kind == {f"{kind}{car.group}" for car in fleet}


def test_a_drivers_cars_are_all_in_one_group(settings: Config) -> None:
    groups: dict[str, set[int]] = {}
    for car in cars(settings):
        groups.setdefault(car.driver, set()).add(car.group)
    assert all(len(group) == 1 for group in groups.values())


def test_cars_are_shared_out_evenly(settings: Config) -> None:
    shares = Counter(car.driver for car in cars(settings) if car.role == "explorer").values()
    if shares:
        assert len(shares) == settings.cars.explorer_processes
        assert max(shares) - min(shares) <= 1


def test_the_default_fleet() -> None:
    fleet = cars(config.load())
    assert fleet[0] == Car(0, "robo1", "explorer", "explorer0", 0)
    assert fleet[5] == Car(5, "robo6", "explorer", "explorer0", 0)
    assert fleet[-1] == Car(6, "robo-eval1", "evaluator", "evaluator", 0)


def test_groups_share_the_work() -> None:
    fleet = cars(config.load(sets=CONFIGS["three groups"]))
    assert {car.driver: car.group for car in fleet} == {
        "explorer0": 0,
        "explorer1": 1,
        "explorer2": 2,
        "explorer3": 0,
        "evaluator": 1,
    }


def test_only_what_is_missing_is_started() -> None:
    own, real = config.load(), config.load(sets=["simulator.host=192.0.2.7"])
    assert names(processes(own, managed_redis=True))[:2] == ["redis", "simulator"]
    for row in processes(real, managed_redis=False):
        assert not {"redis", "simulator"} & {row.name, *row.after}


def test_the_cars_come_on_track_when_all_who_serve_them_are_ready(
    settings: Config, rows: list[Process]
) -> None:
    serving = {"spectator_reader", *(car.driver for car in cars(settings))}
    for row in rows:
        if row.module == "processes.car_reader":
            assert serving <= set(row.after)


def test_without_an_agent_nothing_is_learned() -> None:
    settings = config.load([config.ROOT / "configs" / "debug_policy.yml"])
    assert "learner" not in names(processes(settings, managed_redis=True))
    assert not [join for join in channels(settings) if join.kind == "queue" or join.name == "weights"]


def test_the_learner_hears_from_every_driver_and_all_have_its_weights() -> None:
    settings = config.load(sets=CONFIGS["uneven shares"])
    joins = channels(settings)
    drivers = {"explorer0", "explorer1", "explorer2", "evaluator"}
    assert {join.writers[0] for join in joins if join.kind == "queue"} == drivers
    assert {join.readers for join in joins if join.kind == "queue"} == {("learner",)}
    assert set(readers(joins, "weights")) == drivers
    assert next(join.writers for join in joins if join.name == "weights") == ("learner",)


def test_the_picture_names_every_row(settings: Config, rows: list[Process]) -> None:
    lines = picture(rows, channels(settings)).splitlines()
    expected = [*names(rows), *(join.name for join in channels(settings))]
    assert [line.split()[0] for line in lines] == expected
