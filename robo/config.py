"""Settings: frozen, typed, layered from YAML files and ``--set a.b=c``; unknown keys are named.

``configs/base.yml`` holds every key with its default and what it means; the structs here say which type
each has and are checked against it. Layers, later ones win: base, the run's file, the environment
(``SIMULATOR_HOST``, ``REDIS_URL``), ``--set``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import yaml

from robo.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "configs" / "base.yml"
GRID_WIDTH = 48
"""The least width of pictures in which each row of a color_grid's cells has a row of pixels."""
EMBEDDED_TRACK = "configs/tracks/esses.json"
"""What the embedded simulator drives on unless told otherwise."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Spread = Annotated[float, msgspec.Meta(ge=1, le=100)]
Amount = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]  # bounds refuse NaN, too

Grip = Annotated[float, msgspec.Meta(ge=0.05, le=1.5)]  # more is too stiff for the physics' step
Share = Annotated[float, msgspec.Meta(ge=0.05, le=5)]
Raised = Annotated[float, msgspec.Meta(ge=-0.04, le=0.07)]  # above the floor, under the walls' tops
Tilt = Annotated[float, msgspec.Meta(ge=-0.15, le=0.5)]
Delay = Annotated[int, msgspec.Meta(ge=0, le=60)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every section has in common: immutable, and no key that is not declared."""


class Race(Settings):
    """The rules of a race in the embedded simulator."""

    lap_count: Count
    auto_start_qualifying_seconds: Count
    qualifying_seconds: Count
    auto_start_race_seconds: Count
    timeout_seconds: Count
    timeout_after_winner_seconds: Count
    results_file: str


class Simulator(Settings):
    """The simulator that the cars drive in: the embedded one (host empty) or one that runs elsewhere."""

    host: str
    car_port: Port
    spectator_port: Port
    bind: str
    clock: Literal["lockstep", "realtime"]
    answer_limit_s: Positive
    silence_s: NonNegative
    segments: Annotated[int, msgspec.Meta(ge=3, le=1000)]  # of 2, the next one is also the one before
    segments_between_cars: NonNegativeInt
    antialias: bool
    ghosts: bool
    spare_frames: bool
    mode: Literal["development", "race"]
    race_log: str
    race: Race

    @property
    def embedded(self) -> bool:
        """Whether the simulator is ours to start."""
        return not self.host

    @property
    def lockstep(self) -> bool:
        """Whether the simulator waits for the cars' answers; a real one never does."""
        return self.embedded and self.clock == "lockstep"

    @property
    def silence_limit_s(self) -> float | None:
        """Wall seconds after which a silent connection is taken for dead; None: never."""
        return self.silence_s if self.silence_s and self.mode == "development" else None

    @property
    def connect_host(self) -> str:
        """The host that cars and spectators connect to."""
        if self.host:
            return self.host
        return "127.0.0.1" if self.bind == "0.0.0.0" else self.bind


class Randomisation(Settings):
    """Ranges from which a car of the embedded simulator gets its own at every placement; None: nominal."""

    friction: tuple[Grip, Grip] | None = None
    motor: tuple[Share, Share] | None = None
    camera_height: tuple[Raised, Raised] | None = None
    camera_pitch: tuple[Tilt, Tilt] | None = None
    light: tuple[Share, Share] | None = None
    colours: tuple[Share, Share] | None = None
    latency: tuple[Delay, Delay] | None = None


class Tracks(Settings):
    """Random tracks of the embedded simulator."""

    training: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    evaluation: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=10**9)]
    min_radius: Positive
    length: Positive | None


class Start(Settings):
    """Where an exploring car's episode begins in the embedded simulator."""

    anywhere: bool
    lateral: Annotated[float, msgspec.Meta(ge=0, le=0.3)]
    heading: Annotated[float, msgspec.Meta(ge=0, le=1.5)]
    speed: Annotated[float, msgspec.Meta(ge=0, le=4)]


class Redis(Settings):
    """Where the car-state cache is."""

    url: str
    start_if_missing: bool


class Cars(Settings):
    """How many cars drive, and in how many processes."""

    explorers: NonNegativeInt
    explorer_processes: NonNegativeInt
    evaluators: NonNegativeInt
    groups: Count
    team: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    image_width: Annotated[int, msgspec.Meta(ge=8, le=128)]


class Observation(Settings):
    """What a policy sees."""

    kind: Literal["color_mass", "color_grid"]
    history: Count
    action_history: NonNegativeInt
    motion: bool


class Action(Settings):
    """What a policy's outputs in -1..1 become."""

    repeat: Count
    throttle_min: Fraction
    throttle_max: Fraction
    throttle_curve: Annotated[float, msgspec.Meta(ge=0.2, le=5)]
    turn_max: Fraction


class Reward(Settings):
    """What is paid for."""

    kind: Literal["auto", "progress", "segments"]
    per_metre: Amount
    crash: Amount
    stuck: Amount


class Episode(Settings):
    """When an exploring car's episode ends."""

    laps: Count
    max_seconds: Positive
    stuck_seconds: Positive
    stuck_metres: Positive
    end_on_crash: bool


class Evaluation(Settings):
    """How long evaluation goes on; being stuck is as for exploration."""

    episodes: Count
    laps: Count
    max_seconds: Positive


class Agent(Settings, tag_field="type"):
    """What all learning algorithms have in common."""

    batch_size: Count
    discount: Fraction
    target_update: Fraction
    actor_learning_rate: Positive
    critic_learning_rate: Positive

    @property
    def type(self) -> str:
        """The algorithm's name, as the configuration has it."""
        return str(self.__struct_config__.tag)

    @property
    def recurrent(self) -> bool:
        """Whether it learns from sequences of steps, with a memory."""
        return isinstance(self, Rdpg)

    @property
    def steps_a_row(self) -> int:
        """Steps that count in one row of its replay."""
        return self.sequence_length if isinstance(self, Rdpg) else 1


class FeedForward(Agent):
    """Networks without a memory."""

    actor_layers: tuple[Count, ...]
    critic_layers: tuple[Count, ...]


class Ddpg(FeedForward, tag="ddpg"):
    """Deep deterministic policy gradients."""

    noise_stddev: NonNegative
    noise_damping: Fraction
    noise_spread: Spread


class Td3(FeedForward, tag="td3"):
    """Twin delayed deep deterministic policy gradients."""

    noise_stddev: NonNegative
    noise_damping: Fraction
    noise_spread: Spread
    actor_update_period: Count
    target_noise_stddev: NonNegative
    target_noise_most: NonNegative


class Sac(FeedForward, tag="sac"):
    """Soft actor-critic with a learned temperature."""

    temperature_learning_rate: Positive
    temperature: Positive
    target_entropy: Amount
    noise_spread: Spread


class Rdpg(Agent, tag="rdpg"):
    """Recurrent deterministic policy gradients."""

    input_layers: tuple[Count, ...]
    lstm: Count
    output_layers: tuple[Count, ...]
    sequence_length: Count
    burn_in: NonNegativeInt
    noise_stddev: NonNegative
    noise_damping: Fraction
    noise_spread: Spread


class Replay(Settings):
    """Transitions on their way to the learner, and there."""

    capacity: Count
    random_transitions: NonNegativeInt
    max_samples_per_insert: Positive
    n_step: Count
    priority: Fraction
    importance: Fraction
    chunk: Count
    queue_chunks: Count


class Learner(Settings):
    """How often the learner publishes, logs and saves."""

    threads: NonNegativeInt
    own_cores: bool
    publish_seconds: Positive
    average_steps: NonNegative
    log_seconds: Positive
    checkpoint_seconds: Positive
    checkpoints_kept: Count


class Limits(Settings):
    """When a run ends by itself."""

    env_steps: NonNegativeInt
    clean_laps: NonNegativeInt
    laps: NonNegativeInt
    wall_seconds: NonNegative


class Film(Settings):
    """Which car is filmed, and for how long."""

    car: str
    seconds: NonNegative


class Monitor(Settings):
    """The live page of a run."""

    enabled: bool
    bind: str
    port: Port
    control: bool


class Supervision(Settings):
    """How processes are watched, restarted and stopped."""

    ready_seconds: Positive
    heartbeat_seconds: Positive
    learner_heartbeat_seconds: Positive
    stop_seconds: Positive
    backoff_seconds: Positive
    backoff_max_seconds: Positive
    max_restarts: Count
    max_restarts_seconds: Positive
    realtime_priority: bool
    trace: bool


class Config(Settings):
    """Everything a run is configured by."""

    track: str
    seed: int
    driver: Literal["agent", "debug", "policy"]
    policy: str
    simulator: Simulator
    randomisation: Randomisation
    tracks: Tracks
    start: Start
    redis: Redis
    cars: Cars
    observation: Observation
    action: Action
    reward: Reward
    episode: Episode
    evaluation: Evaluation
    agent: Ddpg | Td3 | Sac | Rdpg
    replay: Replay
    learner: Learner
    limits: Limits
    film: Film
    monitor: Monitor
    supervision: Supervision

    @property
    def restarts(self) -> bool:
        """Whether exploring cars are put somewhere else when an episode has ended; no real simulator can."""
        return self.simulator.embedded and (self.start.anywhere or self.tracks.training > 0)


_PASSWORD = re.compile(r"\A(?!unix:///)((?:\w+:)?/*(?:[^/?#@:]*:)?).*@", re.DOTALL)
"""All from behind the user's name to the last @; a name without a password may be a password itself."""
_PASSWORD_OPTION = re.compile(r"(?<=password=)[^&#]*")
LEARNED_UNDER = ("track", "tracks", "start", "driver", "observation", "action", "reward", "agent")
"""The parts of a config that a run's weights and replay depend on: a resumed run must have the same."""


def load(
    paths: Iterable[Path] = (), sets: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> Config:
    """Layer ``configs/base.yml``, ``paths`` (YAML), ``environ`` and ``sets`` (``"a.b=c"``) into a config.

    Raises UserError that names the key or file.
    """
    layers = [(str(path), _read_yaml(path)) for path in paths]
    layers += [("the environment", _nested(*item)) for item in _from_environment(environ or {})]
    layers += [("--set", _parse_set(item)) for item in sets]
    tree = _base([layer for _, layer in layers])
    for where, layer in layers:
        _merge(tree, layer, where)
    config = _convert(tree)
    if config.simulator.embedded and not config.track:
        config = msgspec.structs.replace(config, track=EMBEDDED_TRACK)
    return _check(config)


def dump(config: Config) -> str:
    """The config as YAML that ``read`` takes back, but for the password of a Redis: it is in no file."""
    tree = msgspec.to_builtins(config)
    tree["redis"]["url"] = without_password(config.redis.url)
    return yaml.safe_dump(tree, sort_keys=False)


def without_password(url: str) -> str:
    """A URL as it may be told: ``***`` in place of every password in it.

    Of one that is malformed, as by a bare / or ? in its password, rather too much is hidden than too little.
    """
    return _PASSWORD_OPTION.sub("***", _PASSWORD.sub(r"\1***@", url, count=1))


def read(path: Path) -> Config:
    """Read a resolved config that a run wrote. Raises UserError that names file and key."""
    try:
        return _convert(_read_yaml(path))
    except UserError as error:
        raise UserError(
            f"{path}: {error}; this run is of another version: choose another RUN=name, or --restart"
        ) from None


def difference(saved: Config, now: Config) -> str | None:
    """On which keys two configs disagree such that one can't go on learning for the other; None: on none."""
    a, b = _flat(saved), _flat(now)
    keys = [key for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]
    return ", ".join(f"{key} is {b.get(key)!r}, was {a.get(key)!r}" for key in keys) or None


def _flat(config: Config) -> dict[str, Any]:
    """The values that learning depends on, by dotted key."""
    tree = msgspec.to_builtins(config)
    values: dict[str, Any] = {}
    for section in LEARNED_UNDER:
        if isinstance(tree[section], dict):
            values |= {f"{section}.{key}": value for key, value in tree[section].items()}
        else:
            values[section] = tree[section]
    return values


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
    if environ.get("SIMULATOR_HOST"):
        yield "simulator.host", environ["SIMULATOR_HOST"]
    if environ.get("REDIS_URL"):
        yield "redis.url", environ["REDIS_URL"]
        yield "redis.start_if_missing", False


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a config file, such as configs/ddpg.yml") from None
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        raise UserError(f"{path}{line}: not YAML; mend or replace the file") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected keys and values; see configs/base.yml")
    return tree


def _merge(tree: dict[str, Any], layer: Mapping[str, Any], where: str, prefix: str = "") -> None:
    for key, value in layer.items():
        name = f"{prefix}{key}"
        if key not in tree:
            raise UserError(f"{where}: unknown key {name!r}{_suggest(str(key), tree)}; see configs/base.yml")
        if isinstance(tree[key], dict):
            if not isinstance(value, Mapping):
                raise UserError(
                    f"{where}: {name!r} is a section; set a key in it, such as {name}.{next(iter(tree[key]))}"
                )
            _merge(tree[key], value, where, f"{name}.")
        else:
            tree[key] = value


def _base(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``configs/base.yml`` with the options, and their defaults, of the agent that the layers ask for."""
    tree = _read_yaml(BASE)
    agents = tree.pop("agents")
    for layer in layers:
        agent = layer.get("agent")
        if isinstance(agent, Mapping) and "type" in agent:
            tree["agent"]["type"] = agent["type"]
    kind = tree["agent"]["type"]
    if kind not in agents:
        raise UserError(f"agent.type: {kind!r} is not known; use one of: {', '.join(agents)}")
    for layer in layers:
        agent = layer.get("agent")
        for key in agent if isinstance(agent, Mapping) else ():
            having = [name for name, options in agents.items() if key in options]
            if having and kind not in having:
                raise UserError(
                    f"agent.{key}: {kind} has no such option, {' and '.join(having)} {_have(having)}; "
                    "leave it out, or choose another agent.type"
                )
    tree["agent"] |= agents[kind]
    return tree


def _have(names: Sequence[str]) -> str:
    return "have" if len(names) > 1 else "has"


def _parse_set(item: str) -> dict[str, Any]:
    """A ``--set`` item, such as ``a.b=c``, as a layer."""
    key, equals, text = item.partition("=")
    if not equals:
        raise UserError(
            f"--set {without_password(item)}: write it as key=value, such as --set simulator.clock=realtime"
        )
    try:
        return _nested(key, yaml.safe_load(text) if text else "")
    except (yaml.YAMLError, ValueError):  # ValueError: a date that no calendar has
        raise UserError(f"--set {key}: {without_password(text)!r} is not a YAML value; quote it") from None


def _nested(dotted: str, value: Any) -> dict[str, Any]:
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


def _suggest(key: str, tree: Mapping[str, Any]) -> str:
    import difflib  # noqa: PLC0415 only on the way to an error

    near = difflib.get_close_matches(key, [str(k) for k in tree], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _convert(tree: Mapping[str, Any]) -> Config:
    try:
        return msgspec.convert(tree, Config, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        key = path.rstrip("`") or "a top-level key"
        raise UserError(f"{key}: {message}{_choices(key)}; see configs/base.yml") from None


def _choices(key: str) -> str:
    """What may be chosen from, to add to a sentence about a key that takes one of a few words."""
    type_: Any = Config
    for part in key.split("."):
        type_ = get_type_hints(type_).get(part) if isinstance(type_, type) else None
    words = get_args(type_) if get_origin(type_) is Literal else ()
    return f", choose one of: {', '.join(words)}" if words else ""


def _check(config: Config) -> Config:
    """Check what no single key shows."""
    if config.action.throttle_min >= config.action.throttle_max:
        raise UserError("action.throttle_min: must be below action.throttle_max")
    if not config.cars.explorers and not config.cars.evaluators:
        raise UserError("cars.explorers: 0, and so is cars.evaluators; set one of them to 1 or more")
    if not 0 < config.cars.explorer_processes <= config.cars.explorers and config.cars.explorers:
        raise UserError("cars.explorer_processes: must be from 1 to cars.explorers")
    simulator = config.simulator
    if 0 < simulator.car_port == simulator.spectator_port:
        raise UserError(
            f"simulator.spectator_port: {simulator.car_port} is simulator.car_port; choose another"
        )
    for key, interval in msgspec.structs.asdict(config.randomisation).items():
        if interval is not None and interval[0] > interval[1]:
            raise UserError(f"randomisation.{key}: {list(interval)}; write the lower one first")
    drivers = config.cars.explorer_processes + (config.cars.evaluators > 0)
    if config.cars.groups > drivers:
        raise UserError(
            f"cars.groups: {config.cars.groups} is more than there are driving processes, {drivers}"
        )
    if config.tracks.training and not simulator.embedded:
        raise UserError("tracks.training: only the embedded simulator has them; leave simulator.host empty")
    if config.restarts and simulator.mode == "race":
        raise UserError("simulator.mode: no car is put elsewhere in a race; set it to development")
    if config.agent.recurrent and config.replay.n_step > 1:
        raise UserError(f"replay.n_step: {config.agent.type} learns from single steps; set it to 1")
    if not config.track and config.reward.kind == "progress":
        raise UserError("reward.kind: progress needs the track's file; set track, or reward.kind=segments")
    if config.observation.kind == "color_grid" and config.cars.image_width < GRID_WIDTH:
        raise UserError(f"cars.image_width: color_grid needs {GRID_WIDTH} or more; or set observation.kind")
    _check_driver(config)
    return config


def _check_driver(config: Config) -> None:
    if config.driver == "debug" and config.observation.kind != "color_mass":
        raise UserError("observation.kind: the hand-written policy drives by color_mass; set it to that")
    if (config.driver == "policy") != bool(config.policy):
        raise UserError("policy: name the folder of an exported policy, with driver=policy and only then")
