"""A Redis behind a password or TLS, what our own allows, and that nothing from outside is run or told."""

from __future__ import annotations

import ast
import datetime
import ipaddress
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import redis

from processes import preflight, redis_server
from processes.redis_server import arguments, find_binary
from robo import config
from robo.cache import Cache, Lost
from robo.cache_values import Frame, Progress
from robo.config import ROOT, Config
from robo.errors import UserError
from scripts import audit
from tests.running import FREE_PORTS

PASSWORD = "p:w/d?#%@ä"
ESCAPED = "p%3Aw%2Fd%3F%23%25%40%C3%A4"
PROGRESS = Progress(1.0, 2, 3, 4, 5.5, 6.5, {})
START_SECONDS = 20.0
MEGABYTE = 1_000_000


def until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> object:
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"{what} did not come in time"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[int]:
    """The port of a server that wants PASSWORD."""
    port = free_port()
    listen = ["--bind", "127.0.0.1", "--port", str(port), "--requirepass", PASSWORD]
    process = subprocess.Popen(arguments(find_binary(), listen), cwd=tmp_path)
    try:
        until(Cache(f"redis://:{ESCAPED}@127.0.0.1:{port}/0", "test").answers, "the server")
        yield port
    finally:
        process.kill()
        process.wait()


def certificate(folder: Path) -> Path:
    """A file with a new key and a certificate by itself for 127.0.0.1."""
    x509 = pytest.importorskip("cryptography.x509", reason="makes the certificates")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "test")])
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    made = made.add_extension(address, critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{x509.random_serial_number()}.pem"
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


class TlsFront:
    """Takes TLS on a port of its own and speaks to a server without, for the one of pip knows no TLS."""

    def __init__(self, pem: Path, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._behind = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        """One connection; redis-py asks and waits, so that one direction at a time is enough."""
        plain.settimeout(START_SECONDS)
        try:
            with (
                self._context.wrap_socket(plain, server_side=True) as client,
                socket.create_connection(self._behind, timeout=START_SECONDS) as server,
            ):
                while request := client.recv(1 << 16):
                    server.sendall(request)
                    client.sendall(server.recv(1 << 16))
        except OSError:
            plain.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path)


@pytest.fixture
def secure(locked: int, pem: Path) -> Iterator[int]:
    """The port at which the same server takes TLS."""
    front = TlsFront(pem, locked)
    yield front.port
    front.close()


def settings(url: str) -> Config:
    return config.load(environ={"REDIS_URL": url})


def complaint(url: str) -> str:
    """What is said of a Redis that can't be used."""
    began = time.monotonic()
    with pytest.raises(UserError) as error:
        preflight.redis_url(settings(url), "unix:///own")
    assert time.monotonic() - began < 3
    message = str(error.value)
    assert message.isprintable()
    for secret in (PASSWORD, ESCAPED, "hunter2"):
        assert secret not in message
    return message


def used(url: str) -> None:
    """Check that a Redis is taken, and works."""
    assert preflight.redis_url(settings(url), "unix:///own") == (url, False)
    cache = Cache(url, "mine")
    cache.put_progress(PROGRESS)
    assert cache.progress() == PROGRESS


@pytest.mark.parametrize("user", ["", "default"])
def test_a_password_is_taken_from_the_url(locked: int, user: str) -> None:
    used(f"redis://{user}:{ESCAPED}@127.0.0.1:{locked}/0")
    used(f"redis://127.0.0.1:{locked}/0?password={ESCAPED}")


def test_a_user_of_the_servers_is_taken_from_the_url(locked: int) -> None:
    with redis.Redis(port=locked, password=PASSWORD) as server:
        server.acl_setuser("driver", enabled=True, passwords=["+drive"], keys=["robo:*"], commands=["+@all"])
    used(f"redis://driver:drive@127.0.0.1:{locked}/0")
    assert complaint(f"redis://driver:hunter2@127.0.0.1:{locked}/0").startswith(
        "redis://driver:***@127.0.0.1:"
    )


@pytest.mark.parametrize("userinfo", [":hunter2@", "default:hunter2@", "nobody:hunter2@", "hunter2@", ""])
def test_a_wrong_password_is_one_clear_line(locked: int, userinfo: str) -> None:
    message = complaint(f"redis://{userinfo}127.0.0.1:{locked}/0")
    assert f"127.0.0.1:{locked}/0: no usable Redis there (" in message
    assert "password" in message or "AUTH" in message


def test_a_wrong_password_ends_a_command_with_2_and_leaves_nothing(locked: int, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    done = command(runs, f"redis://:hunter2@127.0.0.1:{locked}/0").communicate(timeout=60)
    assert done[1].startswith("error: redis://:***@127.0.0.1:")
    assert done[1].count("\n") == 1
    assert done[0] == ""
    assert not runs.exists()


def test_tls_with_a_certificate_that_one_names(secure: int, pem: Path) -> None:
    used(f"rediss://:{ESCAPED}@127.0.0.1:{secure}/0?ssl_ca_certs={pem}")
    used(f"rediss://default:{ESCAPED}@127.0.0.1:{secure}/0?ssl_cert_reqs=none")


def test_tls_with_the_name_of_another_host(secure: int, pem: Path) -> None:
    url = f"rediss://:{ESCAPED}@localhost:{secure}/0?ssl_ca_certs={pem}"
    assert "certificate" in complaint(url)
    used(f"{url}&ssl_check_hostname=no")


def test_a_certificate_that_is_not_trusted_is_one_clear_line(secure: int, tmp_path: Path) -> None:
    for option in ("", f"?ssl_ca_certs={certificate(tmp_path)}"):
        message = complaint(f"rediss://:{ESCAPED}@127.0.0.1:{secure}/0{option}")
        assert "no usable Redis with TLS there" in message
        assert "certificate verify failed" in message


def test_tls_with_the_wrong_password_is_one_clear_line(secure: int, pem: Path) -> None:
    assert "password" in complaint(f"rediss://:hunter2@127.0.0.1:{secure}/0?ssl_ca_certs={pem}")


def test_tls_at_a_server_without_it_is_one_clear_line(locked: int) -> None:
    assert "no usable Redis with TLS there" in complaint(f"rediss://:{ESCAPED}@127.0.0.1:{locked}/0")


def test_a_server_with_tls_that_is_asked_without_it_is_one_clear_line(secure: int) -> None:
    assert "no usable Redis there" in complaint(f"redis://:{ESCAPED}@127.0.0.1:{secure}/0")


def test_a_file_that_is_no_certificate_is_one_clear_line(secure: int, tmp_path: Path) -> None:
    path = tmp_path / "no.pem"
    path.write_text("nothing")
    assert "no usable Redis" in complaint(f"rediss://:{ESCAPED}@127.0.0.1:{secure}/0?ssl_ca_certs={path}")


def test_a_cache_finds_its_way_back_through_tls(secure: int, pem: Path, locked: int) -> None:
    cache = Cache(f"rediss://:{ESCAPED}@127.0.0.1:{secure}/0?ssl_ca_certs={pem}", "mine")
    cache.put_progress(PROGRESS)
    with redis.Redis(port=locked, password=PASSWORD) as server:
        server.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(Lost):  # through TLS, that a connection was closed shows when it is used
        cache.progress()
    assert cache.progress() == PROGRESS


def command(runs: Path, url: str) -> subprocess.Popen[str]:
    """The hand-written policy on its way, in a folder of its own."""
    line = [sys.executable, "-m", "scripts.debug_policy", "--runs", runs, "--run", "mine", *FREE_PORTS]
    line += ["--set", "cars.explorers=1", "--set", "cars.evaluators=1"]
    return subprocess.Popen(
        line,
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def titles(process: subprocess.Popen[str]) -> list[str]:
    """What ps shows of a command and all that it started."""
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    return [" ".join([member.name(), *member.cmdline()]) for member in family]


def test_a_run_shows_and_keeps_no_password(locked: int, tmp_path: Path) -> None:
    """Also not when the server takes the password no more, and when the run is resumed."""
    url = f"redis://:{ESCAPED}@127.0.0.1:{locked}/0"
    cache, told = Cache(url, "mine"), []

    def drives() -> bool:
        return any(car.decisions > 10 for car in cache.telemetry().values())

    for _ in range(2):
        cache.clear()
        process = command(tmp_path, url)
        try:
            until(drives, "the cars", 60)
            told += titles(process)
            with redis.Redis(port=locked, password=PASSWORD) as server:
                server.config_set("requirepass", "another")
                server.client_kill_filter(_type="normal", skipme=True)
                time.sleep(1.5)
                server.config_set("requirepass", PASSWORD)
            until(cache.answers, "the server")
        finally:
            process.terminate()
            told += process.communicate(timeout=60)
        assert process.returncode == 0, told[-1]
    files = [path for path in (tmp_path / "mine").rglob("*") if path.is_file()]
    logged = "".join(path.read_text(errors="replace") for path in files if path.suffix == ".log")
    assert "Redis: invalid username-password pair" in logged
    assert "resuming" in "".join(told)
    assert any("robo mine" in text for text in told)
    held = [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets())]
    assert not held
    assert not [text for text in told if any(secret in text for secret in secrets())]
    assert f"redis://:***@127.0.0.1:{locked}/0" in (tmp_path / "mine" / "config.yml").read_text()


def secrets() -> tuple[str, ...]:
    return PASSWORD, ESCAPED, json.dumps(PASSWORD).strip('"')


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The server that a run starts for itself, at ``redis.sock`` in the test's folder."""
    lines: list[list[str]] = []
    monkeypatch.setattr(redis_server.os, "execv", lambda _, line: lines.append(line))
    url = f"unix://{tmp_path}/redis.sock"
    redis_server.main(SimpleNamespace(run=SimpleNamespace(redis_url=url)))
    process = subprocess.Popen(lines[0], cwd=tmp_path)
    try:
        until(Cache(url, "test").answers, "the server")
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_runs_own_server_is_its_users_alone(own: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "redis.sock").stat().st_mode) == 0o700
    assert psutil.Process(own.pid).net_connections("inet") == []
    server = redis.Redis.from_url(f"unix://{tmp_path}/redis.sock")
    assert server.config_get("protected-mode") == {"protected-mode": "yes"}
    for key in ("dir", "dbfilename"):  # by which a client could have it write a file of its choice
        with pytest.raises(redis.ResponseError):
            server.config_set(key, "elsewhere")


def flood(own: subprocess.Popen[bytes], folder: Path, request: bytes, serve: Callable[[], object]) -> int:
    """Ask without ever reading until the server has had enough. The most memory that it took, in bytes."""
    most, before = 0, psutil.Process(own.pid).memory_info().rss
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/redis.sock")
        client.setblocking(False)
        limit = time.monotonic() + 15
        while time.monotonic() < limit:
            try:
                client.send(request)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                return most
            serve()
            most = max(most, psutil.Process(own.pid).memory_info().rss - before)
    raise AssertionError("the server served a client that does not read")


def test_a_client_that_does_not_read_is_cut_off_while_others_are_served(
    own: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    cache = Cache(f"unix://{tmp_path}/redis.sock", "mine")
    for number in range(100):
        cache.put_frame(f"robo{number}", Frame(1.0, number, bytes(10_000)))
    ask = b"*2\r\n$7\r\nHGETALL\r\n$16\r\nrobo:mine:frames\r\n"
    assert flood(own, tmp_path, ask, lambda: cache.put_progress(PROGRESS)) < 80 * MEGABYTE
    assert cache.progress() == PROGRESS


def test_a_subscriber_that_does_not_read_is_cut_off_while_others_are_served(
    own: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    server = redis.Redis.from_url(f"unix://{tmp_path}/redis.sock")
    subscribe = b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"

    def publish() -> None:
        for _ in range(100):
            server.publish("a", bytes(10_000))

    assert flood(own, tmp_path, subscribe, publish) < 80 * MEGABYTE


UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}
FORBIDDEN = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"}
MAY_UNPICKLE = {"processes/channels.py"}
"""What one process of a run writes for another, in memory that nobody else can write to."""
LOADERS = {"np.load", "np.save", "np.savez", "np.savez_compressed"}
PARTS = ("robo", "processes", "scripts", "monitor")
MODULES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What in a module could run what it reads."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (f"line {node.lineno}: {name}" for name in names if name.partition(".")[0] in UNPICKLERS)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN or (called in LOADERS and not refuses_pickles(node)):
                yield f"line {node.lineno}: {called}"


def refuses_pickles(call: ast.Call) -> bool:
    return any(
        word.arg == "allow_pickle" and isinstance(word.value, ast.Constant) and word.value.value is False
        for word in call.keywords
    )


def test_nothing_that_is_read_is_run() -> None:
    found = []
    for path in MODULES:
        name = str(path.relative_to(ROOT))
        for what in unsafe(ast.parse(path.read_text(encoding="utf-8"))):
            if not (name in MAY_UNPICKLE and what.endswith(": pickle")):
                found.append(f"{name} {what}")
    assert found == []
    assert len(MODULES) > 100


@pytest.mark.parametrize(
    "text", ["import pickle", "from pickle import loads", "np.load(path)", "yaml.load(text)", "eval(text)"]
)
def test_what_would_run_what_it_reads_is_seen(text: str) -> None:
    assert len(list(unsafe(ast.parse(text)))) == 1


def fake_tool(folder: Path, output: str, complaint: str = "", code: int = 0) -> Path:
    path = folder / "pip-audit"
    lines = [f"import sys\nprint({output!r})", f"print({complaint!r}, file=sys.stderr)", f"sys.exit({code})"]
    path.write_text(f"#!{sys.executable}\n" + "\n".join(lines))
    path.chmod(0o755)
    return path


KNOWN = {
    "name": "a",
    "version": "1",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2"]}],
}
FINE = {"name": "b", "version": "1", "vulns": []}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code"),
    [([FINE], 0), ([KNOWN, FINE], 1), ([KNOWN, SKIPPED], 1), ([FINE, SKIPPED], 3), ([SKIPPED], 3), ([], 3)],
)
def test_an_audit_tells_found_from_not_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: list[dict[str, object]], code: int
) -> None:
    tool = fake_tool(tmp_path, json.dumps({"dependencies": packages}), code=int(code == 1))
    monkeypatch.setattr(audit, "TOOL", tool)
    monkeypatch.setattr(sys, "argv", ["audit"])
    assert audit.main() == code


def test_an_audit_of_which_nothing_came_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "TOOL", fake_tool(tmp_path, "", "Traceback\nConnectionError: nobody", code=1))
    monkeypatch.setattr(sys, "argv", ["audit"])
    assert audit.main() == audit.UNKNOWN
    assert capsys.readouterr().err == "not audited: pypi can't be asked: ConnectionError: nobody\n"
