"""The two tables of a run: which processes there are, and which channels join them.

The supervisor, the processes and the documentation all read these; adding a process is adding a row.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, NamedTuple

from robo.config import Config
from robo.driving import actor
from robo.driving.experience import layout
from robo.driving.starts import START_BYTES
from robo.driving.state import STATE_BYTES
from robo.driving.transitions import observation_size
from robo.film.moment import MOMENT_BYTES
from robo.perception import kinds

FRAME_BYTES = 65535
"""The largest picture that the wire's two length bytes can announce."""
RING_SLOTS = 64
COMMAND_BYTES = 12 + START_BYTES
ORDERS_BYTES = 1024
PACKING_BYTES = 4096
"""More than a message's size beyond that of its arrays."""

LEARNING, AVERAGED = 0, 1
"""Slots of the channel of weights: the actor as it learns, which explores; its average, which is scored."""

Role = Literal["explorer", "evaluator"]


class Car(NamedTuple):
    """One car of a run, and who does what for it."""

    index: int
    name: str
    role: Role
    driver: str
    """The explorer or evaluator process that decides for it."""
    group: int
    """Which car_reader holds its socket, and which frame_processor sees its frames."""


class Process(NamedTuple):
    """One row of the process table."""

    name: str
    module: str
    """Its ``main(context)`` is the process."""
    heartbeat_seconds: float
    """It is ended, and started again, when it gives no sign of life for so long."""
    after: tuple[str, ...] = ()
    """Started when these are ready."""
    beats: bool = True
    """Whether it reports heartbeats; a program that is not ours can't, and is asked whether it answers."""
    hurries: bool = False
    """Whether a frame waits for it."""
    vital: bool = True
    """Whether a run that is without it for good is better ended."""


class Channel(NamedTuple):
    """One row of the channel table."""

    name: str
    kind: Literal["ring", "latest", "queue"]
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    slots: int
    """0 for a queue."""
    payload_bytes: int
    """The largest message; of a queue, all that may be under way."""
    carries: str
    hertz: float
    """Messages per second of simulation time."""


def cars(config: Config) -> list[Car]:
    """Every car of the run: the explorers' first, in contiguous shares, then the evaluators'."""
    settings = config.cars
    fleet = []
    for index in range(settings.explorers):
        share = index * settings.explorer_processes // settings.explorers
        name = f"{settings.team}{index + 1}"
        fleet.append(Car(index, name, "explorer", f"explorer{share}", share % settings.groups))
    for number in range(settings.evaluators):
        index = settings.explorers + number
        name = f"{settings.team}-eval{number + 1}"
        fleet.append(
            Car(index, name, "evaluator", "evaluator", settings.explorer_processes % settings.groups)
        )
    return fleet


def filmed(config: Config) -> Car | None:
    """The car that is filmed, if one is."""
    return next((car for car in cars(config) if car.name == config.film.car), None)


def processes(config: Config, *, managed_redis: bool) -> list[Process]:
    """The run's processes, in starting order; stopped in reverse, rows of the same module at once."""
    fleet = cars(config)
    drivers = _drivers(fleet)
    groups = sorted({car.group for car in fleet})
    limits = config.supervision
    row = partial(Process, heartbeat_seconds=limits.heartbeat_seconds)
    rows = []
    if managed_redis:
        rows.append(row("redis", "processes.redis_server", beats=False))
    redis = ("redis",) if managed_redis else ()
    if config.simulator.embedded:
        rows.append(row("simulator", "processes.simulator", hurries=True))
    simulator = ("simulator",) if config.simulator.embedded else ()
    if config.driver == "agent":
        rows.append(Process("learner", "processes.learner", limits.learner_heartbeat_seconds, after=redis))
    rows.append(row("spectator_reader", "processes.spectator_reader", after=redis + simulator, hurries=True))
    processors = tuple(f"frame_processor{group}" for group in groups)
    rows += [row(name, "processes.frame_processor", after=redis, hurries=True) for name in processors]
    rows += [row(name, "processes.explorer", after=redis, hurries=True) for name in drivers]
    # A film that the settings ask for begins with the first picture, and a run without it is better ended.
    rows.append(row("recorder", "processes.recorder", vital=filmed(config) is not None))
    recorder = ("recorder",) if filmed(config) else ()
    ready = (*simulator, "spectator_reader", *processors, *drivers, *recorder)
    readers = [f"car_reader{group}" for group in groups]
    rows += [row(name, "processes.car_reader", after=ready, hurries=True) for name in readers]
    if config.monitor.enabled:
        rows.append(row("monitor", "processes.monitor", after=redis, vital=False))
    return rows


def channels(config: Config) -> list[Channel]:
    """The run's channels."""
    fleet = cars(config)
    drivers = _drivers(fleet)
    decisions = 60.0 / config.action.repeat
    rows = []
    for group in sorted({car.group for car in fleet}):
        mine = [car for car in fleet if car.group == group]
        reader, processor = f"car_reader{group}", f"frame_processor{group}"
        hertz = decisions * len(mine)
        frames = Channel(
            f"frames{group}",
            "ring",
            (reader,),
            (processor,),
            RING_SLOTS,
            FRAME_BYTES,
            "PNG, or bare pixels",
            hertz,
        )
        commands = Channel(
            f"commands{group}",
            "latest",
            _drivers(mine),
            (reader,),
            len(fleet),
            COMMAND_BYTES,
            "float32 [3]: throttle, turn, brake; a start; a slot a car",
            hertz,
        )
        rows += [frames, commands]
    payload = 4 * kinds.size(config.observation.kind)
    weights = 4 * actor.build(config.agent, observation_size(config.observation)).size
    for driver in drivers:
        mine = [car for car in fleet if car.driver == driver]
        processor = f"frame_processor{mine[0].group}"
        hertz = decisions * len(mine)
        shape = f"float32 {list(kinds.SHAPES[config.observation.kind])}"
        rows.append(
            Channel(
                f"observations:{driver}", "ring", (processor,), (driver,), RING_SLOTS, payload, shape, hertz
            )
        )
        rows.append(
            Channel(
                f"states:{driver}",
                "latest",
                ("spectator_reader",),
                (driver,),
                len(fleet),
                STATE_BYTES,
                "car states; a slot a car",
                60.0,
            )
        )
        if config.driver == "agent":
            size = _queue_bytes(config, weights)
            carries = "Transitions or Sequences; Episode"
            rows.append(
                Channel(f"experience:{driver}", "queue", (driver,), ("learner",), 0, size, carries, hertz)
            )
    processors = tuple(f"frame_processor{group}" for group in sorted({car.group for car in fleet}))
    film = [(name, FRAME_BYTES, "PNG, or bare pixels, of the filmed car") for name in processors]
    film += [(name, MOMENT_BYTES, "the filmed car's state and command") for name in drivers]
    rows += [
        Channel(f"film:{writer}", "ring", (writer,), ("recorder",), RING_SLOTS, size, carries, decisions)
        for writer, size, carries in film
    ]
    readers = ("learner",) if config.driver == "agent" else ()
    rows.append(
        Channel(
            "orders",
            "latest",
            ("supervisor",),
            (*readers, *processors, *drivers, "recorder"),
            1,
            ORDERS_BYTES,
            "what the run was asked to do",
            0.0,
        )
    )
    if config.driver == "agent":
        hertz = 1.0 / config.learner.publish_seconds
        rows.append(
            Channel(
                "weights",
                "latest",
                ("learner",),
                drivers,
                2,
                weights,
                "float32 [P]: the actor; and its average",
                hertz,
            )
        )
    return rows


def _queue_bytes(config: Config, weights: int) -> int:
    """Room for ``replay.queue_chunks`` chunks on their way to the learner, and for the largest message."""
    replay = config.replay
    row = 4 * sum(math.prod(shape) for shape in layout(config).shapes)
    chunk = row * math.ceil(replay.chunk / config.agent.steps_a_row) + PACKING_BYTES
    # Where episodes are short, a chunk has a row a step; an evaluation's result comes with its weights.
    largest = row * (2 * replay.chunk + replay.n_step) + weights + PACKING_BYTES
    return replay.queue_chunks * chunk + largest


def _drivers(fleet: list[Car]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(car.driver for car in fleet))


def picture(rows: list[Process], joins: list[Channel]) -> str:
    """The tables as text: one line a process, then one line a channel."""
    lines = [f"{row.name:18} {row.module:28} after {', '.join(row.after) or '-'}" for row in rows]
    for join in joins:
        ends = f"{', '.join(join.writers)} -> {', '.join(join.readers)}"
        lines.append(f"{join.name:24} {join.kind:9} {join.carries:50} {join.hertz:6.1f} Hz  {ends}")
    return "\n".join(lines)


def endpoints(rows: list[Channel], process: str, built: dict[str, Any]) -> dict[str, Any]:
    """The channels, out of ``built``, that the process reads or writes."""
    return {row.name: built[row.name] for row in rows if process in (*row.writers, *row.readers)}
