"""What every request passes: who may ask, how much may be sent, and what errors look like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import PurePath
from urllib.parse import urlsplit

from aiohttp import web

from monitor.answers import failure
from monitor.refused import Refused
from monitor.settings import Settings
from robo import log
from robo.access import is_loopback
from robo.cache import Lost

LONGEST_BODY = 64 * 1024
BODY_SECONDS = 10.0
"""A body that takes longer is not waited for."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "robo",
}
PAGE_PATHS = ("/", "/static/")
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Of files of the page, by their endings; not every machine knows them, and browsers want no others."""
PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make one line of JSON of whatever goes wrong."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return failure(405, f"{request.path[:64]} takes {allowed}", {"Allow": allowed})
    except web.HTTPNotFound:
        return failure(404, f"there is no {request.path[:64]}")
    except web.HTTPException as error:
        return failure(error.status, error.text or error.reason)
    except (Refused, Lost) as error:
        status, headers = (error.status, error.headers) if isinstance(error, Refused) else (503, {})
        return failure(status, str(error), headers)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        log.get().exception("a request failed", path=request.path[:200])
        return failure(500, "internal error")


def host_guard(settings: Settings) -> Handler:
    """A middleware: where only this machine can ask, refuse pages that got here by a name of their own.

    Such a name may be made to mean this machine while the page is open, which then passes for ours.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if settings.on_loopback:
            given = _HOST.fullmatch(request.headers.get("Host", ""))
            if given is None or not is_loopback(given[1].strip("[]")):
                return failure(403, "only names of this machine are answered to: use 127.0.0.1 or localhost")
        return await handler(request)

    return guard


@web.middleware
async def body_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a body that is too long, whether or not anybody wants it, before it is taken in."""
    too_long = f"the body may have {LONGEST_BODY} bytes"
    if (request.content_length or 0) > LONGEST_BODY:
        return failure(413, too_long, {"Connection": "close"})
    if request.can_read_body:
        try:
            await asyncio.wait_for(request.read(), BODY_SECONDS)
        except web.HTTPRequestEntityTooLarge:
            return failure(413, too_long, {"Connection": "close"})
        except asyncio.TimeoutError:
            return failure(408, f"the body did not come within {BODY_SECONDS:g} s", {"Connection": "close"})
    return await handler(request)


@web.middleware
async def origin_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what another site's page sends: it is only to be asked by its own."""
    asks = request.method not in ("GET", "HEAD") or request.path == "/ws"
    if asks and not same_origin(request.headers.get("Origin"), request.scheme, request.headers.get("Host")):
        return failure(403, "pages of another origin may not ask for this")
    return await handler(request)


def same_origin(origin: str | None, scheme: str, host: str | None) -> bool:
    """Whether the page that asks is this server's own; so is a program, which tells no origin."""
    if origin is None:
        return True
    try:
        page, here = urlsplit(origin), urlsplit(f"{scheme}://{host or ''}")
        theirs = (page.scheme, page.hostname, page.port or PORTS.get(page.scheme))
        ours = (here.scheme, here.hostname, here.port or PORTS.get(here.scheme))
    except ValueError:  # a port that is none
        return False
    return bool(page.hostname) and theirs == ours


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Before a response goes: what browsers may do with it."""
    response.headers.update(HEADERS)
    path = request.path
    of_page = path == PAGE_PATHS[0] or path.startswith(PAGE_PATHS[1])
    if isinstance(response, web.FileResponse) and (kind := TYPES.get(PurePath(path).suffix)):
        response.content_type = kind
    response.headers["Cache-Control"] = "no-cache" if of_page else "no-store"
