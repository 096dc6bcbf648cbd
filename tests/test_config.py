"""Settings: layers, and errors that name the key or the file and say what to do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from robo import config
from robo.config import ROOT, Config
from robo.errors import UserError


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(*sets: str, paths: tuple[Path, ...] = (), environ: dict[str, str] | None = None) -> str:
    with pytest.raises(UserError) as error:
        config.load(paths, sets, environ)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_base_alone_is_a_whole_config() -> None:
    loaded = config.load()
    assert loaded.simulator.embedded
    assert (loaded.cars.explorers, loaded.cars.explorer_processes, loaded.cars.evaluators) == (6, 1, 1)
    assert (ROOT / loaded.track).exists()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yml")), ids=lambda path: path.stem)
def test_the_configs_that_come_along_load(path: Path) -> None:
    if path != config.BASE:
        assert config.load([path], ["policy=somewhere"] if path.stem == "run_policy" else [])


def test_an_exported_policy_is_named_where_one_drives_and_only_there(tmp_path: Path) -> None:
    assert complaint("driver=policy").startswith("policy: name the folder of an exported policy")
    assert complaint("policy=here").startswith("policy: name the folder of an exported policy")


def test_every_key_of_base_says_what_it_is_in_the_right_type() -> None:
    """A default of another type would be changed silently on the way through a run folder."""
    tree = yaml.safe_load(config.BASE.read_text(encoding="utf-8"))
    assert tree["track"] == ""  # stands for the embedded simulator's own
    tree["track"] = config.EMBEDDED_TRACK
    for kind, options in tree.pop("agents").items():
        tree["agent"] = {"type": kind, **options}
        loaded = config.load(sets=[f"agent.type={kind}"])
        assert msgspec.to_builtins(msgspec.convert(tree, Config)) == msgspec.to_builtins(loaded)


def test_an_option_that_the_agent_does_not_have_is_named(tmp_path: Path) -> None:
    said = complaint("agent.type=sac", "agent.noise_damping=0.5")
    assert said.startswith("agent.noise_damping: sac has no such option, ddpg and td3 and rdpg have")
    path = write(tmp_path, "agent: {type: ddpg, lstm: 3}\n")
    assert complaint(paths=(path,)).startswith("agent.lstm: ddpg has no such option, rdpg has")
    assert config.load([path], ["agent.type=rdpg"]).agent.lstm == 3


def test_an_unknown_agent_is_named() -> None:
    assert complaint("agent.type=dqn") == "agent.type: 'dqn' is not known; use one of: ddpg, td3, sac, rdpg"


def test_all_differences_between_two_configs_are_named() -> None:
    one = config.load()
    other = config.load(sets=["agent.type=rdpg", "observation.history=2"])
    said = config.difference(one, other)
    for part in ("observation.history is 2, was 1", "agent.type is 'rdpg', was 'ddpg'", "agent.lstm is 64"):
        assert part in said
    assert config.difference(one, one) is None


def test_later_layers_win(tmp_path: Path) -> None:
    one = write(tmp_path, "seed: 1\nsimulator: {host: filehost, clock: realtime, car_port: 1}\n")
    two = tmp_path / "two.yml"
    two.write_text("simulator:\n  car_port: 2\n")
    loaded = config.load([one, two], ["simulator.host=sethost"], {"SIMULATOR_HOST": "envhost"})
    assert loaded.seed == 1
    assert loaded.simulator.host == "sethost"
    assert loaded.simulator.clock == "realtime"
    assert loaded.simulator.car_port == 2
    assert loaded.simulator.segments == config.load().simulator.segments
    assert config.load([one], [], {"SIMULATOR_HOST": "envhost"}).simulator.host == "envhost"


def test_of_two_sets_the_last_wins() -> None:
    assert config.load(sets=["seed=1", "seed=2"]).seed == 2


def test_the_environment_names_a_simulator_and_a_redis_that_must_be_there() -> None:
    environ = {"SIMULATOR_HOST": "192.0.2.7", "REDIS_URL": "redis://192.0.2.8:6379/1", "OTHER": "x"}
    loaded = config.load(environ=environ)
    assert not loaded.simulator.embedded
    assert loaded.simulator.connect_host == "192.0.2.7"
    assert loaded.redis == config.Redis("redis://192.0.2.8:6379/1", start_if_missing=False)


def test_an_empty_environment_variable_is_as_none() -> None:
    assert config.load(environ={"SIMULATOR_HOST": "", "REDIS_URL": ""}) == config.load()


def test_an_embedded_simulator_that_listens_everywhere_is_reached_here() -> None:
    assert config.load(sets=["simulator.bind=0.0.0.0"]).simulator.connect_host == "127.0.0.1"
    assert config.load(sets=["simulator.bind=127.0.0.2"]).simulator.connect_host == "127.0.0.2"


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("agent.actor_learning_rate=3e-4", 3e-4),
        ("agent.actor_learning_rate=0.001", 0.001),
        ("agent.actor_layers=[64, 32]", (64, 32)),
        ("redis.start_if_missing=false", False),
        ("redis.url=redis://h:1/0", "redis://h:1/0"),
        ("episode.max_seconds=5", 5.0),
        ("simulator.host=", ""),
        ("cars.team=a=b", None),
    ],
)
def test_a_set_value_is_read_as_yaml(item: str, value: object) -> None:
    section, _, key = item.partition("=")[0].partition(".")
    if value is None:
        assert complaint(item).startswith("cars.team: ")
    else:
        assert getattr(getattr(config.load(sets=[item]), section), key) == value


@pytest.mark.parametrize(
    ("item", "named", "suggested"),
    [
        ("cars.explorer=2", "'cars.explorer'", "did you mean 'explorers'?"),
        ("sed=1", "'sed'", "did you mean 'seed'?"),
        ("simulatr.clock=realtime", "'simulatr'", "did you mean 'simulator'?"),
        ("simulator.clok=realtime", "'simulator.clok'", "did you mean 'clock'?"),
        ("qqqq=1", "'qqqq'", "configs/base.yml"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    tmp_path: Path, item: str, named: str, suggested: str
) -> None:
    message = complaint(item)
    assert message.startswith("--set")
    assert named in message
    assert suggested in message
    key, _, value = item.partition("=")
    for part in reversed(key.split(".")):
        value = f"{{{part}: {value}}}"
    path = write(tmp_path, value)
    message = complaint(paths=(path,))
    assert message.startswith(str(path))
    assert named in message
    assert suggested in message


@pytest.mark.parametrize(
    ("item", "key"),
    [
        ("cars.explorers=three", "cars.explorers"),
        ("cars.explorers=1.5", "cars.explorers"),
        ("seed=true", "seed"),
        ("seed=null", "seed"),
        ("seed.x=1", "seed"),
        ("track={a: 1}", "track"),
        ("agent.actor_layers=64", "agent.actor_layers"),
        ("agent.actor_layers=[64, x]", "agent.actor_layers[1]"),
        ("redis.start_if_missing=maybe", "redis.start_if_missing"),
    ],
)
def test_a_wrong_type_is_named_by_its_key(item: str, key: str) -> None:
    assert complaint(item).startswith(f"{key}: Expected")


@pytest.mark.parametrize(
    "item",
    [
        "simulator.car_port=65536",
        "simulator.car_port=-1",
        "simulator.clock=fast",
        "simulator.segments=2",
        "simulator.answer_limit_s=0",
        "cars.team=a b",
        "cars.team=",
        "cars.image_width=7",
        "cars.image_width=129",
        "cars.groups=0",
        "observation.history=0",
        "action.repeat=0",
        "action.throttle_max=1.1",
        "action.throttle_min=.nan",
        "reward.crash=.nan",
        "reward.per_metre=.inf",
        "episode.max_seconds=0",
        "episode.stuck_seconds=.nan",
        "agent.type=dqn",
        "agent.discount=1.01",
        "agent.actor_layers=[0]",
        "replay.capacity=0",
        "limits.env_steps=-1",
        "driver=human",
    ],
)
def test_a_value_out_of_range_is_named_by_its_key(item: str) -> None:
    assert complaint(item).startswith(item.partition("=")[0])


@pytest.mark.parametrize(
    ("sets", "key"),
    [
        (["action.throttle_min=0.1"], "action.throttle_min"),
        (["cars.explorer_processes=7"], "cars.explorer_processes"),
        (["cars.explorer_processes=0"], "cars.explorer_processes"),
        (["cars.explorers=0", "cars.evaluators=0"], "cars.explorers"),
        (["cars.groups=4"], "cars.groups"),
        (["track=", "simulator.host=h", "reward.kind=progress"], "reward.kind"),
        (["simulator.car_port=11001"], "simulator.spectator_port"),
    ],
)
def test_settings_that_do_not_go_together_are_named(sets: list[str], key: str) -> None:
    assert complaint(*sets).startswith(f"{key}: ")


def test_settings_that_go_together_after_all() -> None:
    assert config.load(sets=["cars.explorers=0"]).cars.evaluators == 1
    assert config.load(sets=["track=", "simulator.host=h"]).track == ""
    assert config.load(sets=["simulator.host=h"]).track == ""  # which track it drives on, nobody knows
    assert config.load(sets=["track="]).track == config.EMBEDDED_TRACK
    assert config.load(sets=["simulator.car_port=0", "simulator.spectator_port=0"])


@pytest.mark.parametrize("item", ["seed", "", "cars.explorers"])
def test_a_set_without_a_value_shows_how_to_write_one(item: str) -> None:
    assert "key=value" in complaint(item)


@pytest.mark.parametrize("text", ["[1", "{", "'a", "2024-13-45"])
def test_a_set_value_that_is_no_yaml_is_named(text: str) -> None:
    assert complaint(f"cars.team={text}").startswith("--set cars.team: ")


def test_a_section_is_not_a_value() -> None:
    assert "cars.explorers" in complaint("cars=5")


@pytest.mark.parametrize("text", ["cars: [1\n", "- 1\n", "five", "seed: \t1\n\tx: 2", "a: 2024-13-45"])
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert complaint(paths=(path,)).startswith(str(path))


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_bytes(b"seed: \xff\xfe\n")
    assert complaint(paths=(path,)).startswith(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yml"
    assert complaint(paths=(path,)).startswith(str(path))
    assert complaint(paths=(tmp_path,)).startswith(str(tmp_path))


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert config.load([write(tmp_path, "# nothing yet\n")]) == config.load()


def test_what_is_dumped_is_read_back_the_same(tmp_path: Path) -> None:
    before = config.load(
        sets=["agent.actor_learning_rate=1e-5", "agent.actor_layers=[64]", "simulator.host='0x10'", "seed=7"]
    )
    path = write(tmp_path, config.dump(before))
    assert config.read(path) == before
    assert config.load([path]) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tree: tree.pop("seed"), "seed"),
        (lambda tree: tree["cars"].update(wheels=4), "wheels"),
        (lambda tree: tree["cars"].update(explorers="many"), "cars.explorers"),
    ],
)
def test_a_saved_config_that_was_tampered_with_is_named(tmp_path: Path, change: object, named: str) -> None:
    tree = yaml.safe_load(config.dump(config.load()))
    change(tree)
    path = write(tmp_path, yaml.safe_dump(tree))
    with pytest.raises(UserError, match=named) as error:
        config.read(path)
    assert str(error.value).startswith(str(path))


def test_a_config_is_frozen() -> None:
    with pytest.raises(AttributeError):
        config.load().cars.explorers = 3


@pytest.mark.parametrize(
    ("sets", "named"),
    [
        ("track=other.json", "track is 'other.json'"),
        ("driver=debug observation.kind=color_mass", "driver is 'debug', was 'agent'"),
        ("observation.motion=false", "observation.motion is False, was True"),
        ("observation.history=4", "observation.history is 4, was 1"),
        ("action.repeat=2", "action.repeat is 2, was 3"),
        ("reward.crash=-1", "reward.crash is -1.0, was -2.0"),
        ("agent.actor_layers=[64]", "agent.actor_layers"),
    ],
)
def test_what_was_learned_under_must_stay(sets: str, named: str) -> None:
    assert named in config.difference(config.load(), config.load(sets=sets.split()))


@pytest.mark.parametrize(
    "item", ["seed=3", "cars.explorers=4", "simulator.clock=realtime", "limits.env_steps=5", "replay.chunk=8"]
)
def test_the_rest_may_change_when_a_run_is_resumed(item: str) -> None:
    assert config.difference(config.load(), config.load(sets=[item])) is None


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["tracks.training=8", "simulator.host=there"], "tracks.training: only the embedded simulator"),
        (["tracks.training=8", "simulator.mode=race"], "simulator.mode: no car is put elsewhere in a race"),
    ],
)
def test_many_tracks_need_a_simulator_that_has_them(sets: list[str], said: str) -> None:
    assert complaint(*sets).startswith(said)


def test_a_kind_of_observation_says_what_it_needs() -> None:
    assert complaint("cars.image_width=47").startswith("cars.image_width: color_grid needs 48 or more")
    config.load(sets=["cars.image_width=8", "observation.kind=color_mass"])
    assert complaint("driver=debug").startswith("observation.kind: the hand-written policy drives by")


def test_cars_begin_anywhere_only_where_the_simulator_can_be_told() -> None:
    assert config.load(sets=["start.anywhere=true"]).restarts
    assert not config.load(sets=["start.anywhere=true", "simulator.host=there"]).restarts


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://h/0?ssl_ca_certs=/a/b.pem&db=1", "rediss://h/0?ssl_ca_certs=/a/b.pem&db=1"),
        ("unix:///run/user@1000/redis.sock?db=1", "unix:///run/user@1000/redis.sock?db=1"),
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("rediss://me:secret@h:1/0?db=2", "rediss://me:***@h:1/0?db=2"),
        ("unix://:secret@/run/redis.sock", "unix://:***@/run/redis.sock"),
        ("redis://h/0?password=secret&db=1", "redis://h/0?password=***&db=1"),
        ("rediss://h?db=1&ssl_password=secret", "rediss://h?db=1&ssl_password=***"),
        ("redis://secret@h:1/0", "redis://***@h:1/0"),  # where a name belongs, but who knows
        # Malformed, as people write them:
        ("redis://:a/secret@h:1/0", "redis://:***@h:1/0"),
        ("redis://:12?secret#@h:1/0", "redis://:***@h:1/0"),
        ("redis://:a@secret@h", "redis://:***@h"),
        ("redis://:a\nsecret@h", "redis://:***@h"),
        ("redis:/:secret@h", "redis:/:***@h"),
        (":secret@h:1", ":***@h:1"),
        ("me:secret@h:1", "me:***@h:1"),
        ("", ""),
    ],
)
def test_a_url_is_told_without_its_passwords(url: str, told: str) -> None:
    assert config.without_password(url) == told


def test_a_password_is_written_to_no_file_and_read_back_by_nobody(tmp_path: Path) -> None:
    environ = {"REDIS_URL": "redis://me:secret@192.0.2.8:6379/1"}
    now = config.load(environ=environ)
    path = write(tmp_path, config.dump(now))
    assert "secret" not in path.read_text()
    saved = config.read(path)
    assert saved.redis == config.Redis("redis://me:***@192.0.2.8:6379/1", start_if_missing=False)
    assert config.difference(saved, now) is None
    assert config.load(environ=environ).redis.url == environ["REDIS_URL"]


@pytest.mark.parametrize(
    "item",
    ["redis.url redis://:secret@h/0", "redis.url='redis://:secret@h/0", "redis.url=[redis://:secret@h/0"],
)
def test_no_complaint_about_a_set_tells_a_password(item: str) -> None:
    said = complaint(item)
    assert said.startswith("--set redis.url")
    assert "secret" not in said
