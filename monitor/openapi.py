"""The OpenAPI document: every endpoint, with types that are those that are sent."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from monitor.messages import (
    VERSION,
    CarReport,
    Curves,
    Done,
    Failure,
    FilmWish,
    Nothing,
    PolicyWish,
    Readiness,
    RunLine,
    State,
    Status,
)

JSON = "application/json"
ANY_TEXT = {"type": "string"}
ANY_BYTES: dict[str, Any] = {}
FAILURES = {
    400: "what was sent makes no sense",
    401: "a token is needed",
    403: "control is off, or it was asked from a place that may not",
    404: "no such run, car, process, policy or file",
    405: "the method is not taken; Allow tells which are",
    408: "the body did not come in time",
    409: "the run refuses",
    413: "the body is too long",
    415: "the body must be application/json",
    500: "an error of the monitor's own",
    503: "Redis is lost, or there is nothing to show yet",
    504: "the run does not answer",
}
ALWAYS = (400, 403, 405, 408, 413, 500)
"""What any request may be answered with."""
WS = """A WebSocket. The server sends text frames, one JSON object each, with the fields of /api/state and
more, told apart by `topic`: hello (once, first), box, cars, outlines, lines, curves, hand; and binary frames
of camera pictures, one or more, each: u8 n, n bytes car name (ASCII), f64 at (Unix seconds), u64 number,
u32 size, `size` bytes JPEG, little endian. The client sends {"watch": [car, ...]}, {"token": "..."},
{"hand": {"car", "throttle", "turn", "brake"}} or {"hand": {"car", "release": true}}; anything else closes the
socket with 1008, and so does a wrong token ("not the token"). 1013: too many viewers; 1001: the monitor
stops, or watches this run no more."""


class _Answer(NamedTuple):
    """What an operation is answered with when all is well."""

    text: str
    kind: str = JSON
    schema: Any = None
    """A type of ours, or a JSON schema."""
    status: int = 200


class _Parameter(NamedTuple):
    """A part of paths."""

    text: str
    example: str


class _Operation(NamedTuple):
    """One method of one path."""

    path: str
    text: str
    answers: tuple[_Answer, ...]
    failures: tuple[int, ...] = ()
    body: Any = None
    """The type of the body of a POST; None: a GET."""
    of_run: bool = True


def _get(path: str, text: str, schema: Any, *failures: int, of_run: bool = True) -> _Operation:
    failures = (*failures, 404, 503) if of_run else failures
    return _Operation(path, text, (_Answer(text, JSON, schema),), failures, None, of_run)


def _post(path: str, text: str, body: Any = Nothing) -> _Operation:
    answers = (_Answer("done; in the run's own words", JSON, Done),)
    return _Operation(path, text, answers, (401, 404, 409, 415, 503, 504), body)


_OF_FILES = (
    _Answer("the part that was asked for", "*/*", ANY_BYTES, 206),
    _Answer("it is as it was", "", None, 304),
    _Answer("a condition in the request's headers does not hold", "", None, 412),
    _Answer("it has no such part", "", None, 416),
)
OPERATIONS = (
    _Operation("/", "The page.", (_Answer("it", "text/html", ANY_TEXT), *_OF_FILES), (404,), of_run=False),
    _Operation(
        "/static/{file}",
        "A file of the page.",
        (_Answer("it", "*/*", ANY_BYTES), *_OF_FILES),
        (404,),
        of_run=False,
    ),
    _Operation("/ws", WS, (_Answer("switched to WebSocket", "", None, 101),), (404, 503)),
    _Operation(
        "/cars/{team}.jpg", "A car's newest picture.", (_Answer("it", "image/jpeg", ANY_BYTES),), (404, 503)
    ),
    _Operation(
        "/cars/{team}.mjpeg",
        "A car's pictures, one after the other, for as long as the connection is open.",
        (_Answer("they", "multipart/x-mixed-replace", ANY_BYTES),),
        (404, 503),
    ),
    _get("/api/runs", "All runs in this Redis, newest first.", list[RunLine], 503, of_run=False),
    _get("/api/state", "Everything about a run but pictures.", State),
    _get("/api/cars/{team}", "Everything about a car but its picture.", CarReport),
    _get("/api/curves", "The learning curves.", Curves),
    _Operation(
        "/metrics",
        "Figures of all runs that are watched, for Prometheus.",
        (_Answer("they", CONTENT_TYPE_LATEST.partition(";")[0], ANY_TEXT),),
        of_run=False,
    ),
    _get("/healthz", "Whether the monitor itself goes on.", Status, of_run=False),
    _Operation(
        "/readyz",
        "Whether a run can be relied on, and why not.",
        (_Answer("it can", JSON, Readiness), _Answer("it can't", JSON, Readiness, 503)),
        (404,),
    ),
    _get("/openapi.json", "This document.", {"type": "object"}, of_run=False),
    _post("/api/control/pause", "Have the cars stand still and nothing be learned."),
    _post("/api/control/resume", "Go on after a pause."),
    _post("/api/control/save", "Save a checkpoint now."),
    _post("/api/control/stop", "Stop the run as Ctrl-C does."),
    _post("/api/control/cut", "End the film that is being made."),
    _post("/api/control/processes/{name}/restart", "End a process and start it again."),
    _post(
        "/api/control/policy", "Have the evaluators drive an exported policy, or what is learned.", PolicyWish
    ),
    _post("/api/cars/{team}/film", "Film a car, on the run's machine: camera and figures, an MP4.", FilmWish),
)
PARAMETERS = {
    "team": _Parameter("the car's name", "robo1"),
    "name": _Parameter("the process's name", "learner"),
    "file": _Parameter("its path", "style.css"),
}


async def show(_request: web.Request) -> web.Response:
    """The document."""
    return web.Response(body=_encoded(), content_type=JSON)


def document() -> dict[str, Any]:
    """OpenAPI 3.1, as JSON values."""
    types: list[Any] = [Failure]
    for operation in OPERATIONS:
        types += [answer.schema for answer in operation.answers if _is_type(answer.schema)]
        types += [operation.body] if operation.body is not None else []
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    of_type = dict(zip(map(repr, types), schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "robo monitor",
            "version": f"{VERSION}.0",
            "description": "How runs are, read from Redis; and, with control on, what they are asked to do. "
            "Times are Unix seconds.",
        },
        "paths": {
            operation.path: {"get" if operation.body is None else "post": _described(operation, of_type)}
            for operation in OPERATIONS
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


@functools.cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())


def _is_type(schema: Any) -> bool:
    return schema is not None and not isinstance(schema, dict)


def _described(operation: _Operation, of_type: dict[str, Any]) -> dict[str, Any]:
    """One operation."""
    responses: dict[str, Any] = {}
    for status in sorted({*operation.failures, *ALWAYS}):
        responses[str(status)] = _content(FAILURES[status], JSON, of_type[repr(Failure)])
    responses["405"]["headers"] = {"Allow": {"schema": ANY_TEXT}}
    if "401" in responses:
        responses["401"]["headers"] = {"WWW-Authenticate": {"schema": ANY_TEXT}}
    for answer in operation.answers:
        schema = of_type[repr(answer.schema)] if _is_type(answer.schema) else answer.schema
        responses[str(answer.status)] = _content(answer.text, answer.kind, schema)
    described: dict[str, Any] = {
        "summary": operation.text.partition(".")[0],
        "description": operation.text,
        "parameters": _parameters(operation),
        "responses": responses,
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": of_type[repr(operation.body)]}},
        }
        described["security"] = [{"token": []}, {}]  # only where the monitor wants one
    return described


def _content(text: str, kind: str, schema: Any) -> dict[str, Any]:
    content = {kind: {"schema": schema}} if schema is not None else {}
    return {"description": text, "content": content} if content else {"description": text}


def _parameters(operation: _Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PARAMETERS[name].text,
            "schema": ANY_TEXT,
            "example": PARAMETERS[name].example,
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.of_run:
        text = "the run; the one that the monitor shows by default where none is named"
        found.append({"name": "run", "in": "query", "description": text, "schema": ANY_TEXT})
    return found
