"""What is found out before anything is started: one line that names what is wrong."""

from __future__ import annotations

import copy
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import preflight
from processes.redis_server import arguments, find_binary
from robo import config
from robo.access import TOKEN
from robo.config import ROOT, Config
from robo.errors import UserError

TRACK = ROOT / "configs" / "tracks" / "esses.json"
OWN = "unix:///run/own.sock"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def settings(*sets: str, car_port: int = 0, spectator_port: int = 0) -> Config:
    """Without the live page, which takes another port where its own is in use."""
    ports = [f"simulator.car_port={car_port}", f"simulator.spectator_port={spectator_port}"]
    return config.load(sets=[f"track={TRACK}", *ports, "monitor.enabled=false", *sets])


def with_page(*sets: str) -> Config:
    return settings("monitor.enabled=true", *sets)


def complaint(settings: Config) -> str:
    with pytest.raises(UserError) as error:
        preflight.check(settings)
    message = str(error.value)
    assert "\n" not in message
    return message


def track_file(folder: Path, **last: object) -> Path:
    nodes = copy.deepcopy(json.loads(TRACK.read_text())["trackNodes"])
    for key, value in last.items():
        nodes[3]["position"][key] = nodes[3]["direction"][key] = value
    path = folder / "mine.json"
    path.write_text(json.dumps({"trackNodes": nodes}))
    return path


def test_free_ports_are_found_for_0() -> None:
    checked = preflight.check(settings())
    ports = {checked.simulator.car_port, checked.simulator.spectator_port}
    assert len(ports) == 2
    assert min(ports) > 0
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_nothing_else_is_changed_and_a_free_port_is_kept() -> None:
    before = settings(car_port=closed_port(), spectator_port=closed_port())
    assert preflight.check(before) == before


@pytest.mark.parametrize("key", ["car_port", "spectator_port"])
def test_a_port_in_use_is_named(listener: socket.socket, key: str) -> None:
    port = listener.getsockname()[1]
    message = complaint(settings(**{key: port}))
    assert message.startswith(f"simulator.{key}: ")
    assert f"127.0.0.1:{port}" in message
    assert f"--set simulator.{key}=0" in message


def test_an_address_that_is_not_this_machines_is_named() -> None:
    assert "192.0.2.1" in complaint(settings("simulator.bind=192.0.2.1"))


def test_a_port_that_was_just_in_use_is_free(listener: socket.socket) -> None:
    """The kernel remembers closed connections for a minute; a run must not wait for it."""
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        server, _ = listener.accept()
        server.close()
        client.recv(1)
    listener.close()
    assert preflight.check(settings(car_port=port)).simulator.car_port == port


def test_a_simulator_that_answers_is_used_as_it_is(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    before = settings("simulator.host=127.0.0.1")
    sim = {"car_port": port, "spectator_port": port}
    before = config.msgspec.structs.replace(
        before, simulator=config.msgspec.structs.replace(before.simulator, **sim)
    )
    assert preflight.check(before) == before


@pytest.mark.parametrize("silent", ["car_port", "spectator_port"])
def test_a_simulator_that_does_not_answer_yet_is_waited_for(listener: socket.socket, silent: str) -> None:
    ports = dict.fromkeys(("car_port", "spectator_port"), listener.getsockname()[1])
    ports[silent] = closed_port()
    config_ = settings("simulator.host=127.0.0.1", **ports)
    assert preflight.check(config_) == config_
    message = preflight.unanswered(config_)
    assert message == (
        f"simulator 127.0.0.1:{ports[silent]} does not answer yet (Connection refused); waiting for it"
    )


def test_a_simulator_that_answers_is_not_waited_for(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = {"car_port": listener.getsockname()[1], "spectator_port": other.getsockname()[1]}
        assert preflight.unanswered(settings("simulator.host=127.0.0.1", **ports)) == ""
    assert preflight.unanswered(settings()) == ""


def test_a_host_without_an_address_is_named() -> None:
    assert "simulator.host: 'no-such-host.invalid'" in complaint(
        settings("simulator.host=no-such-host.invalid", car_port=11000, spectator_port=11001)
    )


def test_a_track_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert complaint(settings(f"track={tmp_path}/no.json")).startswith(f"{tmp_path}/no.json: ")


def test_a_track_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{")
    assert complaint(settings(f"track={path}")).startswith(f"{path}: not JSON")


def test_a_track_that_is_not_closed_is_named(tmp_path: Path) -> None:
    nodes = json.loads(TRACK.read_text())["trackNodes"]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"trackNodes": nodes[:-1]}))
    message = complaint(settings(f"track={path}"))
    assert message.startswith(f"{path}: ")
    assert "not closed" in message


def test_a_track_that_climbs_is_taken(tmp_path: Path) -> None:
    path = track_file(tmp_path, y=0.3)
    assert preflight.check(settings(f"track={path}")).track == str(path)


def test_a_real_simulator_needs_no_track() -> None:
    silent = closed_port()
    real = settings("track=", "simulator.host=127.0.0.1", car_port=silent, spectator_port=silent + 1)
    assert preflight.check(real) == real


def test_the_page_has_a_free_port_for_0() -> None:
    port = preflight.check(with_page("monitor.port=0")).monitor.port
    assert port > 0
    socket.create_server(("127.0.0.1", port)).close()


def test_the_page_keeps_a_port_that_is_free() -> None:
    port = closed_port()
    assert preflight.check(with_page(f"monitor.port={port}")).monitor.port == port


def test_the_page_takes_another_port_where_its_own_is_in_use(listener: socket.socket) -> None:
    """By the page of another run, most likely: that is no reason not to train."""
    taken = listener.getsockname()[1]
    checked = preflight.check(with_page(f"monitor.port={taken}"))
    assert taken < checked.monitor.port < taken + preflight.PAGE_PORTS
    socket.create_server(("127.0.0.1", checked.monitor.port)).close()
    assert checked.monitor.bind == "127.0.0.1"


def test_where_no_port_is_free_for_the_page_one_is_named(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = listener.getsockname()[1]
    monkeypatch.setattr(preflight, "PAGE_PORTS", 1)
    assert complaint(with_page(f"monitor.port={taken}")).startswith(
        f"monitor.port: can't listen at 127.0.0.1:{taken}: port in use"
    )


def test_there_are_no_ports_beyond_the_last() -> None:
    with socket.create_server(("127.0.0.1", preflight.MOST_PORT)):
        assert "65535: port in use" in complaint(with_page(f"monitor.port={preflight.MOST_PORT}"))


def test_an_address_for_the_page_that_is_not_this_machines_is_named() -> None:
    message = complaint(with_page("monitor.bind=192.0.2.1"))
    assert message.startswith("monitor.port: can't listen at 192.0.2.1:")
    assert message.endswith("choose an address of this machine with monitor.bind")


def test_a_run_without_a_page_needs_no_port_for_it(listener: socket.socket) -> None:
    before = settings(f"monitor.port={listener.getsockname()[1]}", "monitor.bind=192.0.2.1")
    assert preflight.check(before).monitor == before.monitor


@pytest.mark.parametrize("bind", ["0.0.0.0", "''"])
def test_control_for_everyone_who_reaches_this_machine_wants_a_token(
    monkeypatch: pytest.MonkeyPatch, bind: str
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    page = with_page("monitor.control=true", f"monitor.bind={bind}", "monitor.port=0")
    assert TOKEN in complaint(page)
    monkeypatch.setenv(TOKEN, "")
    assert TOKEN in complaint(page)
    monkeypatch.setenv(TOKEN, "secret")
    assert preflight.check(page).monitor.control


def test_control_from_this_machine_and_looking_from_elsewhere_want_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert preflight.check(with_page("monitor.control=true", "monitor.port=0")).monitor.control
    assert preflight.check(with_page("monitor.bind=0.0.0.0", "monitor.port=0")).monitor.port > 0


def with_redis(url: str, *, start: bool) -> Config:
    return config.load(sets=[f"redis.url={url}", f"redis.start_if_missing={str(start).lower()}"])


@pytest.mark.parametrize("start", [True, False])
def test_a_redis_that_answers_is_used(redis_url: str, start: bool) -> None:
    assert preflight.redis_url(with_redis(redis_url, start=start), OWN) == (redis_url, False)


def test_a_missing_redis_is_started() -> None:
    url = f"redis://127.0.0.1:{closed_port()}/0"
    assert preflight.redis_url(with_redis(url, start=True), OWN) == (OWN, True)


def test_a_missing_redis_that_was_asked_for_is_named() -> None:
    url = f"redis://127.0.0.1:{closed_port()}/0"
    with pytest.raises(UserError, match="REDIS_URL") as error:
        preflight.redis_url(with_redis(url, start=False), OWN)
    assert str(error.value).startswith(url)


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1/", "redis://127.0.0.1:port/0", "::"])
@pytest.mark.parametrize("start", [True, False])
def test_a_url_that_is_no_redis_url_is_named(url: str, start: bool) -> None:
    with pytest.raises(UserError) as error:
        preflight.redis_url(with_redis(f"'{url}'", start=start), OWN)
    assert str(error.value).startswith(f"redis.url {url}: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret@h/",
        "redis://:secret@h:port/0",
        "redis://:a/secret@h:1/0",
        "redis://:secret@h:99999/0",
        "redis://:secret@h:1/0?ssl_ca_certs=/a",  # TLS is rediss://
        "rediss://:secret@h:1/0?colour=red",
        "rediss://:secret@h:1/0?ssl_cert_reqs=perhaps",
        "redis://:secret@h:1/0?protocol=7",
        "redis://:secret@h:1/0?connection_class=x",
        "redis://h:1/0?db=a&password=secret",
    ],
)
@pytest.mark.parametrize("start", [True, False])
def test_a_url_or_option_that_there_is_not_is_told_without_the_password(url: str, start: bool) -> None:
    with pytest.raises(UserError) as error:
        preflight.redis_url(with_redis(f"'{url}'", start=start), OWN)
    message = str(error.value)
    assert message.startswith(
        f"redis.url {config.without_password(url)}: no Redis URL, or one with an option"
    )
    assert "secret" not in message
    assert "\n" not in message


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path"])
def test_a_certificate_that_is_not_there_is_named(tmp_path: Path, option: str) -> None:
    with pytest.raises(UserError) as error:
        preflight.redis_url(with_redis(f"rediss://:secret@h/0?{option}={tmp_path}/no.pem", start=True), OWN)
    assert str(error.value).endswith(f": {option}: there is no {tmp_path}/no.pem")
    assert "secret" not in str(error.value)


def test_a_redis_server_comes_with_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert os.access(find_binary(), os.X_OK)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_redis_server_on_the_path_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    program = tmp_path / name
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == str(program)


def test_our_redis_writes_nothing_to_disk() -> None:
    command = arguments("server", ["--port", "0"])
    assert command[:3] == ["server", "--port", "0"]
    assert command[command.index("--save") + 1] == ""
    assert command[command.index("--appendonly") + 1] == "no"
    assert command[command.index("--protected-mode") + 1] == "yes"
