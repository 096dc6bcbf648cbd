"""Serves the run's live page; see monitor/. It reads the cache as any other monitor does."""

from __future__ import annotations

import asyncio
import os

from monitor import serve
from monitor.settings import Settings
from processes.launch import Context
from robo import log
from robo.access import TOKEN

BEAT_SECONDS = 0.2
"""How often it gives a sign of life, and looks whether it is to stop."""
NICENESS = 10
"""Whoever drives or learns comes first."""


def main(context: Context) -> None:
    """Serve, until told to stop."""
    os.nice(NICENESS)
    asyncio.run(_serve(context))


async def _serve(context: Context) -> None:
    monitor = context.config.monitor
    settings = Settings(
        redis_url=context.run.redis_url,
        run=context.run.name,
        host=monitor.bind,
        control=monitor.control,
        token=os.environ.get(TOKEN) or None,
    )
    runner = await serve.start(settings, monitor.port)
    log.get().info("page", url=serve.url(settings, runner))
    context.ready()
    try:
        while not context.stopping:
            context.beat()
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        await runner.cleanup()
