"""Where a monitor listens."""

from __future__ import annotations

import socket

import pytest
from monitoring import in_loop

from monitor import serve
from monitor.settings import Settings

NOWHERE = "redis://127.0.0.1:1/0"


@in_loop
async def test_the_next_free_port_is_taken_where_one_may_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(NOWHERE, "mine")
        with pytest.raises(OSError, match="in use"):
            await serve.start(settings, port)
        runner = await serve.start(settings, port, tries=20)
        try:
            assert port < serve.port(runner) < port + 20
            assert serve.url(settings, runner) == f"http://127.0.0.1:{serve.port(runner)}/"
        finally:
            await runner.cleanup()


@in_loop
async def test_an_address_of_the_sixth_version_is_written_as_browsers_want_it() -> None:
    settings = Settings(NOWHERE, "mine", host="::1")
    try:
        runner = await serve.start(settings, 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert serve.url(settings, runner) == f"http://[::1]:{serve.port(runner)}/"
    finally:
        await runner.cleanup()
