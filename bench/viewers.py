"""People who watch a run's page, without browsers: python -m bench.viewers URL --viewers 10 --seconds 20."""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp

SETTLE_SECONDS = 2.0
"""After all are connected, until what they get counts."""
_TAG = struct.Struct("<dQI")


def main() -> int:
    """The command line: one JSON line with the age of every picture that came, milliseconds."""
    parser = argparse.ArgumentParser(description="Watch all cars of a run, as many viewers at once.")
    parser.add_argument("url", help="of the page, such as http://127.0.0.1:8080")
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(watch(options.url, options.viewers, options.seconds))), flush=True)
    return 0


async def watch(url: str, viewers: int, seconds: float) -> list[float]:
    """Ages of all pictures that came within ``seconds``, milliseconds, to all viewers together."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/state") as answer:
            cars = [car["name"] for car in (await answer.json())["box"]["run"]["cars"]]
        begin = time.monotonic() + SETTLE_SECONDS

        async def view() -> list[float]:
            async with session.ws_connect(f"{url}/ws", max_msg_size=1 << 22) as socket:
                await socket.send_json({"watch": cars})
                return [age async for age in _ages(socket, begin, begin + seconds)]

        seen = await asyncio.gather(*(view() for _ in range(viewers)))
    return [age for ages in seen for age in ages]


async def _ages(socket: aiohttp.ClientWebSocketResponse, begin: float, end: float) -> AsyncIterator[float]:
    """Of the pictures that come between two moments of the monotonic clock."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY:
            continue
        now, at = time.monotonic(), time.time()
        if now >= end:
            return
        if now >= begin:
            for taken in taken_at(message.data):
                yield 1000.0 * (at - taken)


def taken_at(message: bytes) -> Iterator[float]:
    """When each of a message's pictures left the simulator, Unix seconds."""
    place = 0
    while place < len(message):
        place += 1 + message[place]
        at, _, size = _TAG.unpack_from(message, place)
        place += _TAG.size + size
        yield at


if __name__ == "__main__":
    sys.exit(main())
