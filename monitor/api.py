"""Handlers of programs that ask how runs are."""

from __future__ import annotations

import time

from aiohttp import web

from monitor.answers import WATCHES, json
from monitor.hub import Hub
from monitor.messages import Curves, Readiness, State, Status
from monitor.refused import Refused
from robo.cache import Lost
from robo.health import readiness


async def runs(request: web.Request) -> web.Response:
    """All runs in this Redis."""
    return json(await request.app[WATCHES].runs())


async def state(request: web.Request) -> web.Response:
    """Everything about a run but pictures."""
    hub = await _hub(request)
    hub.touch()
    return json(State(hub.known.box(time.time(), hub.viewers), hub.known.views()))


async def car(request: web.Request) -> web.Response:
    """Everything about a car but its picture."""
    hub, name = await _hub(request), request.match_info["team"]
    hub.touch()
    if name not in hub.known.names():
        raise Refused(404, f"{hub.run} has no car {name[:64]}")
    return json(hub.known.report(name))


async def curves(request: web.Request) -> web.Response:
    """The learning curves."""
    hub = await _hub(request)
    hub.touch()
    _, points = hub.curves.since(None)
    return json(Curves(points))


async def alive(_request: web.Request) -> web.Response:
    """Whether the monitor itself goes on."""
    return json(Status("ok"))


async def ready(request: web.Request) -> web.Response:
    """Whether a run can be relied on."""
    try:
        hub = await _hub(request)
    except Lost as error:
        reasons = [str(error)]
    else:
        reasons = readiness(hub.known.look(), time.time())
    return json(Readiness(not reasons, reasons), 503 if reasons else 200)


async def _hub(request: web.Request) -> Hub:
    """The run that is asked for. Raises Refused, and Lost when Redis can't say if it is there."""
    return await request.app[WATCHES].hub(request.query.get("run"))
