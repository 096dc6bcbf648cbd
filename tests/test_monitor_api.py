"""What programs ask the monitor: good answers, and one line for whatever they do wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from monitoring import CARS, FakeRun, Site, in_loop, site

from monitor.guards import LONGEST_BODY, same_origin
from robo.cache_values import Frame


@in_loop
async def test_the_state_of_a_run(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url) as monitor:
        state = await monitor.json("/api/state")
        assert set(state) == {"box", "cars"}
        assert "topic" not in state["box"]
        assert state["box"]["progress"]["train_steps"] == 200
        assert set(state["cars"]) == set(CARS)
        assert (await monitor.json("/api/state?run=mine"))["box"]["run"] == state["box"]["run"]


@in_loop
async def test_all_about_a_car(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url) as monitor:
        car = await monitor.json("/api/cars/robo-eval1")
        assert (car["name"], car["role"], car["driver"]) == ("robo-eval1", "evaluator", "evaluator")
        assert car["line"]["points"][0] == [0.5, 0.5, 1.0]
        assert car["outline"]["name"] == "esses"
        assert car["frame_at"] is not None
        assert (await monitor.json("/api/cars/robo1"))["line"] is None
        assert await monitor.json("/api/cars/nobody", 404) == {"error": "mine has no car nobody"}


@in_loop
async def test_a_run_that_tells_nothing_of_itself_is_shown_by_its_cars(redis_url: str) -> None:
    run = FakeRun(redis_url)
    run.drive(["robo1"])
    async with site(redis_url) as monitor:
        assert set((await monitor.json("/api/state"))["cars"]) == {"robo1"}
        assert (await monitor.json("/api/cars/robo1"))["role"] == "explorer"


@in_loop
async def test_the_learning_curves(redis_url: str) -> None:
    run = FakeRun(redis_url)
    run.learn()
    async with site(redis_url) as monitor:
        (point,) = (await monitor.json("/api/curves"))["points"]
        assert (point["kind"], point["values"]) == ("training", {"loss": 0.5, "return": None})


@in_loop
async def test_whether_a_run_is_ready(redis_url: str) -> None:
    run = FakeRun(redis_url)
    async with site(redis_url) as monitor:
        answer = await monitor.json("/readyz", 503)
        assert answer == {"ready": False, "reasons": ["nothing is known of this run"]}
    run.fill()
    async with site(redis_url) as monitor:
        assert await monitor.json("/readyz") == {"ready": True, "reasons": []}
    for car in CARS:
        run.cache.put_frame(car, Frame(1.0, 1, b""))
    async with site(redis_url) as monitor:
        (reason,) = (await monitor.json("/readyz", 503))["reasons"]
        assert reason.startswith("no car has had a frame for ")


@in_loop
async def test_what_there_is_not_is_said_in_one_line(redis_url: str) -> None:
    async with site(redis_url) as monitor:
        for path in (
            "/nothing",
            "/api",
            "/api/cars/",
            "/api/cars/a/b",
            "/cars/robo1.png",
            "//",
            "/%00",
            "/ws/",
        ):
            error = await monitor.json(path, 404)
            assert set(error) == {"error"}
            assert "\n" not in error["error"]


@in_loop
async def test_other_methods_are_told_which_are_taken(redis_url: str) -> None:
    async with site(redis_url, control=True) as monitor:
        for path, method, allowed in (
            ("/api/state", "POST", "GET, HEAD"),
            ("/api/state", "OPTIONS", "GET, HEAD"),
            ("/ws", "POST", "GET"),
            ("/metrics", "DELETE", "GET, HEAD"),
            ("/api/control/pause", "GET", "POST"),
            ("/api/cars/robo1/film", "PUT", "POST"),
        ):
            async with monitor.session.request(method, monitor.url + path) as response:
                assert response.status == 405
                assert response.headers["Allow"] == allowed
                assert (await response.json())["error"] == f"{path} takes {allowed}"


@in_loop
async def test_a_head_is_answered_as_a_get_is(redis_url: str) -> None:
    async with site(redis_url) as monitor, monitor.session.head(monitor.url + "/healthz") as response:
        assert response.status == 200
        assert await response.read() == b""


async def forever(piece: bytes) -> None:  # type: ignore[misc]
    while True:
        yield piece
        await asyncio.sleep(0)


@pytest.mark.parametrize("path", ["/api/control/pause", "/api/state", "/healthz", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@in_loop
async def test_bodies_that_are_too_long_are_refused(redis_url: str, method: str, path: str) -> None:
    async with site(redis_url, control=True) as monitor:
        status = await raw(
            monitor,
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n".encode(),
        )
        assert status == 413
        begin = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        chunks = b"1000\r\n" + bytes(4096) + b"\r\n"
        assert await raw(monitor, begin + chunks * (LONGEST_BODY // 4096 + 1)) == 413


async def raw(monitor: Site, data: bytes) -> int:
    """The status of the answer to these bytes."""
    address = urlsplit(monitor.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(data)
    line = await asyncio.wait_for(reader.readline(), 10.0)
    writer.close()
    return int(line.split()[1])


@in_loop
async def test_what_is_no_http_is_refused(redis_url: str) -> None:
    async with site(redis_url) as monitor:
        assert await raw(monitor, b"hello\r\n\r\n") == 400
        assert (
            await raw(monitor, b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 100_000 + b"\r\n\r\n")
            == 400
        )
        assert await raw(monitor, b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n") == 400
        assert await monitor.json("/healthz") == {"status": "ok"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:8080", 200),
        ("127.1.2.3", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
@in_loop
async def test_only_names_of_this_machine_are_answered_to(redis_url: str, host: str, status: int) -> None:
    async with site(redis_url) as monitor:
        for path in ("/healthz", "/api/runs"):
            async with monitor.get(path, headers={"Host": host}) as response:
                assert response.status == status
    async with (
        site(redis_url, host="0.0.0.0") as monitor,
        monitor.get("/healthz", headers={"Host": host}) as response,
    ):
        assert response.status == 200


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        (None, True),
        ("http://localhost:8080", True),
        ("http://LOCALHOST:8080", True),
        ("https://localhost:8080", False),
        ("http://localhost", False),
        ("http://localhost:8081", False),
        ("http://evil.example:8080", False),
        ("http://localhost:8080.evil.example", False),
        ("null", False),
        ("", False),
        ("http://localhost:99999", False),
    ],
)
def test_pages_of_other_origins_are_told_apart(origin: str | None, same: bool) -> None:
    assert same_origin(origin, "http", "localhost:8080") is same


def test_a_port_that_need_not_be_named_may_be() -> None:
    assert same_origin("http://box", "http", "box:80")
    assert same_origin("https://box:443", "https", "box")
    assert not same_origin("http://box", "http", None)


@in_loop
async def test_pages_of_another_origin_may_not_watch(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url) as monitor:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with monitor.watching(headers={"Origin": "http://evil.example"}):
                pass
        async with monitor.watching(headers={"Origin": monitor.url}) as page:
            await page.until(lambda: page.hello)


@pytest.fixture
def page_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "parts").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>here")
    (folder / "page.js").write_text("export {}")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


@in_loop
async def test_the_page_and_its_files(redis_url: str, page_folder: Path) -> None:
    async with site(redis_url, page=page_folder) as monitor:
        async with monitor.get("/") as response:
            assert (response.status, response.content_type) == (200, "text/html")
            assert await response.text() == "<!doctype html>here"
            assert response.headers["Cache-Control"] == "no-cache"
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"
        async with monitor.get("/static/page.js") as response:
            assert (response.status, response.content_type) == (200, "text/javascript")
            tag = response.headers["ETag"]
        async with monitor.get("/static/page.js", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        async with monitor.get("/static/page.js", headers={"Range": "bytes=99-"}) as response:
            assert response.status == 416
        async with monitor.get("/healthz") as response:
            assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/..%2fsecret",
        "/static/%2e%2e%2fsecret",
        "/static/....//secret",
        "/static/..\\secret",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/parts/../../secret",
        "/static/link",
        "/static/page.js/../../secret",
        "/static/%00",
        "/../secret",
        "/static/",
        "/static/parts",
        "/static/parts/",
    ],
)
@in_loop
async def test_nothing_but_the_pages_files_is_served(redis_url: str, page_folder: Path, path: str) -> None:
    async with site(redis_url, page=page_folder) as monitor:
        status = await raw(monitor, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert status in (400, 403, 404)


@in_loop
async def test_without_its_files_there_is_no_page(redis_url: str, tmp_path: Path) -> None:
    async with site(redis_url, page=tmp_path / "none") as monitor:
        await monitor.json("/", 404)
        await monitor.json("/static/page.js", 404)
