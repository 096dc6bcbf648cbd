"""What a run can be asked to do: each request is checked, put into the cache, and waited for."""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from monitor.answers import SETTINGS, WATCHES, json
from monitor.hub import Hub
from monitor.messages import Done, FilmWish, Nothing, PolicyWish
from monitor.refused import Refused
from monitor.settings import Settings
from robo.cache import Cache
from robo.cache_values import Answer, Request

POLL_SECONDS = 0.05
WRONG_SECONDS = 0.3
"""How long a wrong token waits for its answer, so that guessing is slow."""
JSON = "application/json"

T = TypeVar("T", bound=msgspec.Struct)
Command = Callable[[web.Request], Awaitable[web.Response]]


def refusal(settings: Settings, hub: Hub | None) -> str:
    """Why nothing may be asked of a run (of any: None); empty: it may."""
    if not settings.control:
        return "control is off; set monitor.control=true"
    if hub is not None and hub.known.run is not None and not hub.known.run.control:
        return f"{hub.run} takes no commands; start it with monitor.control=true"
    return ""


def matches(token: str, given: str) -> bool:
    """Whether the token is the one that is wanted, found out in the same time whatever is given."""
    return hmac.compare_digest(token.encode(errors="surrogateescape"), given.encode(errors="surrogatepass"))


def simple(what: str) -> Command:
    """Handles requests that have nothing to be told apart by: pause, resume, save, stop, cut."""

    async def handle(request: web.Request) -> web.Response:
        hub, _ = await _admitted(request, Nothing)
        return await _ask(request, hub, what)

    return handle


async def restart(request: web.Request) -> web.Response:
    """End one process and start it again."""
    hub, _ = await _admitted(request, Nothing)
    name = request.match_info["name"]
    if name not in hub.known.processes:
        raise Refused(404, f"{hub.run} has no process {name[:64]}")
    return await _ask(request, hub, "restart", name)


async def policy(request: web.Request) -> web.Response:
    """Have the evaluators drive an exported policy, or what is learned."""
    hub, wish = await _admitted(request, PolicyWish)
    if wish.policy:
        shelf = hub.known.shelf
        saved = next((one for one in shelf.policies if one.name == wish.policy), None) if shelf else None
        if saved is None:
            raise Refused(404, f"there is no policy {wish.policy[:200]} on the run's machine")
        if saved.fits:
            raise Refused(409, f"{saved.name} does not fit: {saved.fits}")
    return await _ask(request, hub, "policy", wish.policy)


async def film(request: web.Request) -> web.Response:
    """Film a car on the run's machine."""
    hub, wish = await _admitted(request, FilmWish)
    car = request.match_info["team"]
    if car not in hub.known.names():
        raise Refused(404, f"{hub.run} has no car {car[:64]}")
    return await _ask(request, hub, "film", car, wish.seconds)


async def _admitted(request: web.Request, body: type[T]) -> tuple[Hub, T]:
    """The run that is asked, and what the body says. Raises Refused, and Lost when Redis is."""
    settings = request.app[SETTINGS]
    if why := refusal(settings, None):
        raise Refused(403, why)
    if settings.token and not _authorized(request, settings.token):
        if "Authorization" in request.headers:
            await asyncio.sleep(WRONG_SECONDS)
        raise Refused(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
    if request.content_type != JSON:
        raise Refused(415, f"the body must be {JSON}")
    try:
        wish = msgspec.json.decode(await request.read(), type=body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"body: {error}") from None
    hub = await request.app[WATCHES].hub(request.query.get("run"))
    if not hub.known.redis.ok:
        raise Refused(503, f"Redis: {hub.known.redis.why}")
    if why := refusal(settings, hub):
        raise Refused(403, why)
    return hub, wish


def _authorized(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and matches(token, given.strip())


async def _ask(
    request: web.Request, hub: Hub, what: str, target: str = "", seconds: float = 0.0
) -> web.Response:
    """Put a request into the cache and wait for what comes of it. Raises Refused, and Lost."""
    asker, number = request.app[WATCHES].asker, uuid.uuid4().hex
    wish = Request(number, what, target, seconds)  # type: ignore[arg-type]

    def put(cache: Cache) -> None:
        cache.ask(wish)

    def look(cache: Cache) -> Answer | None:
        return cache.answer(number)

    await asker.ask(hub.run, put)
    give_up = time.monotonic() + request.app[SETTINGS].answer_seconds
    while (answer := await asker.ask(hub.run, look)) is None:
        if time.monotonic() >= give_up:
            raise Refused(504, "the run does not answer")
        await asyncio.sleep(POLL_SECONDS)
    if not answer.done:
        raise Refused(409, answer.text or "the run refuses")
    return json(Done(answer.text))
