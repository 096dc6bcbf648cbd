"""The monitor's web application: its routes, and what all of them have in common."""

from __future__ import annotations

from aiohttp import web

from monitor import api, control, guards, metrics, openapi, watching
from monitor.answers import SETTINGS, WATCHES
from monitor.settings import Settings
from monitor.watches import Watches


def make_app(settings: Settings) -> web.Application:
    """The application; it begins to read Redis when it is started. Raises UserError for bad settings."""
    settings.check()
    app = web.Application(
        middlewares=[guards.errors, guards.host_guard(settings), guards.body_guard, guards.origin_guard],
        client_max_size=guards.LONGEST_BODY,
    )
    app[SETTINGS] = settings
    app[WATCHES] = Watches(settings)
    app[metrics.REGISTRY] = metrics.registry(app[WATCHES])
    app.on_response_prepare.append(guards.add_headers)
    app.on_startup.append(_start)
    app.on_shutdown.append(_stop_watching)
    app.on_cleanup.append(_stop_asking)
    _add_routes(app)
    return app


def _add_routes(app: web.Application) -> None:
    router = app.router
    router.add_get("/", watching.page)
    router.add_get("/static/{file:.+}", watching.asset)
    router.add_get("/ws", watching.watch, allow_head=False)
    router.add_get("/cars/{team}.jpg", watching.picture)
    router.add_get("/cars/{team}.mjpeg", watching.stream, allow_head=False)
    router.add_get("/api/runs", api.runs)
    router.add_get("/api/state", api.state)
    router.add_get("/api/cars/{team}", api.car)
    router.add_get("/api/curves", api.curves)
    router.add_get("/metrics", metrics.show)
    router.add_get("/healthz", api.alive)
    router.add_get("/readyz", api.ready)
    router.add_get("/openapi.json", openapi.show)
    for what in ("pause", "resume", "save", "stop", "cut"):
        router.add_post(f"/api/control/{what}", control.simple(what))
    router.add_post("/api/control/processes/{name}/restart", control.restart)
    router.add_post("/api/control/policy", control.policy)
    router.add_post("/api/cars/{team}/film", control.film)


async def _start(app: web.Application) -> None:
    await app[WATCHES].start()


async def _stop_watching(app: web.Application) -> None:
    await app[WATCHES].close()


async def _stop_asking(app: web.Application) -> None:
    app[WATCHES].asker.close()
