"""Starts a monitor in the event loop that runs."""

from __future__ import annotations

import errno
import logging

from aiohttp import web

from monitor.app import make_app
from monitor.settings import Settings
from robo.access import page_url

STOP_SECONDS = 0.3
"""How long requests under way are waited for at the end."""
LINGER_SECONDS = 1.0
"""How long what is left of a refused body is read, so that the refusal is."""


async def start(settings: Settings, port: int, *, tries: int = 1) -> web.AppRunner:
    """Serve the page at ``settings.host`` and a port; 0: any.

    Where the port is in use, the next ones are tried, ``tries`` in all. ``await runner.cleanup()`` ends it
    within a second, whoever watches. Raises UserError for bad settings, and OSError when it can't listen.
    """
    quiet = logging.getLogger("robo.monitor.http")  # what clients do wrong is told to them
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    runner = web.AppRunner(
        make_app(settings),
        access_log=None,
        logger=quiet,
        shutdown_timeout=STOP_SECONDS,
        lingering_time=LINGER_SECONDS,
    )
    await runner.setup()
    try:
        await _listen(runner, settings.host, port, tries)
    except BaseException:
        await runner.cleanup()
        raise
    return runner


def url(settings: Settings, runner: web.AppRunner) -> str:
    """Where the page is."""
    return page_url(settings.host, port(runner))


def port(runner: web.AppRunner) -> int:
    """The port that it listens on."""
    return runner.addresses[0][1]


async def _listen(runner: web.AppRunner, host: str, port: int, tries: int) -> None:
    """Raises OSError when all ports are in use, or there is no such address."""
    last = min(port + tries - 1, 65535) if port else 0
    while True:
        site = web.TCPSite(runner, host or None, port)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            if error.errno != errno.EADDRINUSE or port >= last:
                raise
            port += 1
        else:
            return
