"""What requests are answered with."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from monitor.messages import Failure
from monitor.settings import Settings
from monitor.watches import Watches

SETTINGS = web.AppKey("settings", Settings)
WATCHES = web.AppKey("watches", Watches)


def json(value: msgspec.Struct | list[msgspec.Struct], status: int = 200) -> web.Response:
    """A value as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def failure(status: int, error: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as JSON, in one line."""
    response = json(Failure(" ".join(error.split())), status)
    response.headers.update(headers or {})
    return response
