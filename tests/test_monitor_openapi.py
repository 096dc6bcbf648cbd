"""The OpenAPI document is valid, and true: every answer of a live server is one that it tells of."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from conftest import RedisServer
from jsonschema import Draft202012Validator
from monitoring import RUN, FakeRun, Site, in_loop, site
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from monitor.app import make_app
from monitor.openapi import document
from monitor.settings import Settings

DOCUMENT = document()
TOKEN = "correct horse"
NAMES = {
    "team": ["robo1", "robo-eval1", "nobody", "a b/%", "x" * 300],
    "name": ["explorer0", "nobody"],
    "file": ["index.html", "none.js", "../app.py"],
}
RUNS = ["", f"?run={RUN}", "?run=nobody", "?run=", "?other=1"]
BODIES: list[Any] = [
    {},
    {"policy": "policies/tracks"},
    {"policy": "x"},
    {"seconds": 3},
    {"seconds": -1},
    [],
    None,
]
STREAMS = ("/cars/{team}.mjpeg", "/ws")
"""Not read to their end, which never comes."""


def test_the_document_is_valid() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_it_has_every_route_and_no_other() -> None:
    app = make_app(Settings("redis://127.0.0.1:1/0"))
    routes = set()
    for route in app.router.routes():
        path = route.resource.canonical
        if route.method != "HEAD":  # which is what GET is, without the body
            routes.add((path, route.method.lower()))
    told = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert routes == told


def test_what_it_says_of_our_types_is_what_they_are() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in (
        "Box",
        "CarView",
        "Telemetry",
        "RunInfo",
        "Outline",
        "Point",
        "Failure",
        "FilmWish",
        "Notice",
    ):
        assert name in schemas
    assert set(schemas["Box"]["required"]) >= {"now", "run", "redis", "processes", "warnings", "laps"}
    assert DOCUMENT["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}


@in_loop
async def test_it_is_served(redis_url: str) -> None:
    async with site(redis_url) as monitor:
        assert await monitor.json("/openapi.json") == json.loads(json.dumps(DOCUMENT))


def paths(path: str) -> list[str]:
    """A path with good and bad names in it, for good and bad runs."""
    filled = [path]
    for parameter, names in NAMES.items():
        if f"{{{parameter}}}" in path:
            filled = [
                one.replace(f"{{{parameter}}}", quote(name, safe="")) for one in filled for name in names
            ]
    return [one + run for one in filled for run in RUNS]


async def check(response: aiohttp.ClientResponse, path: str, method: str) -> None:
    """Fail unless the document tells of this answer."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    status = str(response.status)
    assert status in responses, f"{method} {response.url}: {status} {await response.text()}"
    content = responses[status].get("content", {})
    if not content:
        return
    if response.content_type not in content:
        assert "*/*" in content, f"{method} {response.url}: {status} {response.content_type}"
        return
    if response.content_type == "application/json":
        schema = {**content["application/json"]["schema"], "components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(await response.json())


async def walk(monitor: Site, headers: dict[str, str]) -> set[tuple[str, str, int]]:
    """Ask for everything in many ways. Path, method and status of all answers."""
    seen = set()
    for path, methods in DOCUMENT["paths"].items():
        for method in methods:
            bodies = BODIES if method == "post" else [None]
            for filled in paths(path):
                for body in bodies:
                    options: dict[str, Any] = {} if body is None else {"json": body}
                    async with monitor.session.request(
                        method, monitor.url + filled, headers=headers, **options
                    ) as response:
                        seen.add((path, method, response.status))
                        if path in STREAMS and response.status in (101, 200):
                            continue
                        await check(response, path, method)
            for other in ("DELETE", "PATCH"):
                async with monitor.session.request(other, monitor.url + paths(path)[0]) as response:
                    assert response.status == 405
                    await check(response, path, method)
    return seen


@pytest.mark.parametrize("filled", [True, False])
@in_loop
async def test_every_answer_is_told_of(redis_url: str, filled: bool) -> None:
    if filled:
        FakeRun(redis_url).fill()
    async with site(redis_url, control=True, answer_seconds=0.0) as monitor:
        seen = await walk(monitor, {})
    expected = 200 if filled else 404
    assert ("/api/cars/{team}", "get", expected) in seen
    assert ("/readyz", "get", 200 if filled else 503) in seen
    assert ("/api/control/pause", "post", 504) in seen
    assert ("/api/control/policy", "post", 400) in seen
    assert ("/api/control/pause", "post", 415) in seen
    for path in DOCUMENT["paths"]:
        assert not [status for told, _, status in seen if told == path and status == 500]


@in_loop
async def test_every_answer_to_those_who_may_not_ask_is_told_of(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with site(redis_url, control=True, token=TOKEN) as monitor:
        assert ("/api/control/pause", "post", 401) in await walk(monitor, {})
    async with site(redis_url) as monitor:
        assert ("/api/control/pause", "post", 403) in await walk(monitor, {"Origin": "http://evil.example"})
        assert ("/api/state", "get", 403) in await walk(monitor, {"Host": "evil.example"})
        assert ("/api/state", "get", 413) in await walk(monitor, {"Content-Length": "100000"})


@in_loop
async def test_every_answer_without_redis_is_told_of(redis_server: RedisServer) -> None:
    FakeRun(redis_server.url).fill()
    async with site(redis_server.url, control=True) as monitor:
        await monitor.json("/api/state")
        redis_server.stop()
        seen = await walk(monitor, {})
    assert ("/api/state", "get", 200) in seen  # of the run that is watched already
    assert ("/api/state", "get", 503) in seen  # of one of which nobody can say whether it is there
    assert ("/api/control/pause", "post", 503) in seen
    assert ("/readyz", "get", 503) in seen
