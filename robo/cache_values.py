"""What is in the car-state cache: the types of its values. Nothing here knows of Redis."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Turn = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]


class Telemetry(msgspec.Struct, frozen=True):
    """What one car's driver sees and does."""

    role: str
    """explorer or evaluator."""
    at: float = 0.0
    """Unix time, seconds."""
    decisions: int = 0
    throttle: float = 0.0
    turn: float = 0.0
    episode_reward: float = 0.0
    last_episode_reward: float | None = None
    last_episode_end: str = ""
    episodes: int = 0
    laps: int = 0
    clean_laps: int = 0
    clean_laps_in_a_row: int = 0
    best_lap: float | None = None
    """Simulation seconds, of the clean laps."""
    weights_version: int = 0
    late_states: int = 0
    """Observations whose car state was not yet known."""
    crashes: int = 0
    """Walls touched since the process began."""
    reward_terms: dict[str, float] = {}
    """What ``episode_reward`` is made of, by name."""
    driven_by: str = ""
    """``hand``, ``paused``, or an exported policy's name; empty: the driver that is configured."""
    observation: bytes = b""
    """The newest frame's, uint8: 0 to 255 for 0.0 to 1.0, in the observation's own order."""


class ProcessHealth(msgspec.Struct, frozen=True):
    """One process as the supervisor sees it."""

    at: float
    """Unix time, seconds, of this look at it."""
    state: str
    pid: int | None
    restarts: int
    beat_age_s: float | None
    """Seconds since it last gave a sign of life; None while it does not run."""
    complaint: str = ""
    """What it says is not as it should be."""
    counts: dict[str, int] = {}
    """What it has counted, of all its lives together."""
    cpu: float | None = None
    """Share of one core that it has used since the last look; None while not known."""
    memory: int | None = None
    """Bytes in memory, without the files that it shares."""


class Progress(msgspec.Struct, frozen=True):
    """How far the learner is."""

    at: float
    env_steps: int
    train_steps: int
    replay: int
    env_steps_per_s: float
    train_steps_per_s: float
    values: dict[str, float | None]
    """Losses and the like."""


class LapRecord(msgspec.Struct, frozen=True):
    """One lap that a car completed."""

    at: float
    car: str
    role: str
    seconds: float
    clean: bool
    clean_in_a_row: int


class Frame(NamedTuple):
    """A car's picture."""

    at: float
    """Unix time, seconds, when its last byte had come from the simulator."""
    number: int
    """Counts the frames of one connection of the car."""
    png: bytes


class LapLine(msgspec.Struct, frozen=True):
    """The line of a car's last complete lap."""

    track: int
    seconds: float
    clean: bool
    points: list[tuple[float, float, float]]
    """x and z, metres, and speed, m/s, at each decision."""


class Outline(msgspec.Struct, frozen=True):
    """A track from above, x and z in metres."""

    track: int
    """Its number in the run."""
    name: str
    length: float
    left: list[tuple[float, float]]
    """The edge of the floor, once round, without its first point again at the end."""
    right: list[tuple[float, float]]
    obstacles: list[list[tuple[float, float]]] = []
    """The corners of each."""


class Point(msgspec.Struct, frozen=True):
    """A point of the learning curves, as in the run's metrics."""

    at: float
    """Unix time, seconds."""
    kind: Literal["collection", "training", "evaluation"]
    env_steps: int
    train_steps: int
    values: dict[str, float | None]


class CarInfo(msgspec.Struct, frozen=True):
    """A car of a run."""

    name: str
    role: Literal["explorer", "evaluator"]
    driver: str
    """The process that decides for it."""


class RunInfo(msgspec.Struct, frozen=True):
    """What a run is."""

    at: float
    """Unix time, seconds, when the supervisor last told this."""
    started_at: float
    agent: str
    """ddpg, td3, sac, rdpg; what drives, where nothing is learned: debug, policy."""
    clock: Literal["lockstep", "realtime"]
    simulator: str
    """``embedded``, or host and port."""
    track: str
    """Its file's name without the ending; empty: not known."""
    cars: list[CarInfo]
    observation: str
    """Its kind: color_grid, color_mass."""
    observation_shape: list[int]
    throttle_max: float
    """What full throttle of the policies is, 0..1."""
    decisions_per_second: float
    """Of simulation time."""
    control: bool
    """Whether the run does what it is asked to from a page."""
    paused: bool = False
    policy: str = ""
    """The exported policy that the evaluators drive; empty: what is learned."""


class Machine(msgspec.Struct, frozen=True):
    """The machine that a run is on."""

    at: float
    cores: int
    cpu: float
    """Share of all cores that is busy, 0..1."""
    memory_used: int
    """Bytes, as the rest."""
    memory_total: int
    disk_free: int
    """Where the run's folder is."""
    disk_total: int


class SavedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint of the run."""

    name: str
    at: float
    env_steps: int
    train_steps: int
    bytes: int


class SavedPolicy(msgspec.Struct, frozen=True):
    """An exported policy on the run's machine."""

    name: str
    """Its folder, from the project's."""
    at: float
    train_step: int | None
    clean_lap_rate: float | None
    lap_time: float | None
    """Seconds, mean of the clean laps of its evaluation."""
    metres: float | None
    """Mean of its evaluation's episodes."""
    track: str
    """What it was scored on; empty: not known."""
    fits: str
    """Why the run's cars can't be driven by it; empty: they can."""


class Shelf(msgspec.Struct, frozen=True):
    """What a run can be resumed from, and what cars can be driven by; newest first."""

    checkpoints: list[SavedCheckpoint]
    policies: list[SavedPolicy]


class FilmStatus(msgspec.Struct, frozen=True):
    """The film that is being made, or was the last one."""

    at: float
    id: str
    """Of the request; empty: it is of the run's settings."""
    car: str
    path: str
    """From the project's folder, where it is in there."""
    seconds: float
    """Of simulation time, so far."""
    over: bool
    trouble: str = ""


class Request(msgspec.Struct, frozen=True):
    """Something that a run is asked to do."""

    id: str
    what: Literal["pause", "resume", "stop", "save", "restart", "policy", "film", "cut"]
    target: str = ""
    """The process to restart; the policy's name, empty for what is learned; the car to film; to cut, the
    request that the film is of, empty for any."""
    seconds: float = 0.0
    """Of film, in simulation time; 0: until ``cut``."""


class Answer(msgspec.Struct, frozen=True):
    """What came of a request."""

    done: bool
    text: str


class Hand(msgspec.Struct, frozen=True):
    """What somebody who drives a car by hand wants of it."""

    throttle: Share = 0.0
    """0..1, as the simulator takes it."""
    turn: Turn = 0.0
    """-1..1, positive to the left."""
    brake: Share = 0.0
    """0..1."""
