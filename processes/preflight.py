"""What can be known before anything is started: every complaint here leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from msgspec.structs import replace

from processes.connect import connect
from processes.redis_server import find_binary
from processes.table import cars, filmed
from robo.access import TOKEN, check_control
from robo.cache import Cache, Lost
from robo.config import Config, without_password
from robo.errors import UserError
from robo.simulation.track import Track

PAGE_PORTS = 20
"""So many are tried for the page, one after another."""
MOST_PORT = 65535


def check(config: Config) -> Config:
    """Check track and simulator; fill in free ports for an embedded simulator's ports that are 0.

    Raises UserError: a track file that can't be driven, no such car to film, a port in use, a host that
    there is none of.
    """
    if config.track:
        Track.load(Path(config.track))
    if config.film.car and filmed(config) is None:
        names = ", ".join(car.name for car in cars(config))
        raise UserError(f"film.car: no car is called {config.film.car!r}; choose one of: {names}")
    config = _listening_ports(config) if config.simulator.embedded else _known_host(config)
    return _page_port(config) if config.monitor.enabled else config


def _page_port(config: Config) -> Config:
    """Take the next free port where the page's is in use, by another run's page most likely.

    Raises UserError when the page can't be where it is to be, or would do what anybody asks.
    """
    settings = config.monitor
    check_control(settings.bind, control=settings.control, token=os.environ.get(TOKEN, ""))
    for port in range(settings.port, min(settings.port + PAGE_PORTS, MOST_PORT + 1)):
        try:
            probe = listen(settings.bind, port, "monitor.port")
        except UserError as error:
            trouble = error
        else:
            with probe:
                return replace(config, monitor=replace(settings, port=probe.getsockname()[1]))
    raise trouble


def redis_url(config: Config, own: str) -> tuple[str, bool]:
    """The URL of the Redis to use, and whether it is ``own``, one that the run starts itself.

    Raises UserError when none answers at the configured URL and none may, or can, be started.
    """
    settings = config.redis
    told = without_password(settings.url)
    try:
        Cache(settings.url, "preflight").ping()
        return settings.url, False
    except ValueError as error:
        raise UserError(f"redis.url {told}: {error}") from None
    except Lost as error:
        if not settings.start_if_missing:
            what = "Redis with TLS" if settings.url.startswith("rediss:") else "Redis"
            raise UserError(
                f"{told}: no usable {what} there ({error.why}); start it, mend REDIS_URL, or unset it"
            ) from None
    find_binary()
    return own, True


def _listening_ports(config: Config) -> Config:
    simulator = config.simulator
    keys = ("car_port", "spectator_port")
    with contextlib.ExitStack() as held:  # both at once, so that two free ports are not the same one
        probes = [
            held.enter_context(listen(simulator.bind, getattr(simulator, key), f"simulator.{key}"))
            for key in keys
        ]
        ports = {key: probe.getsockname()[1] for key, probe in zip(keys, probes, strict=True)}
    return replace(config, simulator=replace(simulator, **ports))


def listen(host: str, port: int, key: str) -> socket.socket:
    """A socket that listens at the port; any free one for 0. Raises UserError when it can't."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            what = f"port in use; end what runs there, or take any free one: --set {key}=0"
        else:
            bind = f"{key.partition('.')[0]}.bind"
            what = f"{error.strerror or error}; choose an address of this machine with {bind}"
        raise UserError(f"{key}: can't listen at {host}:{port}: {what}") from None


def unanswered(config: Config) -> str:
    """That the simulator does not answer yet, in words; empty: it does, or it is ours to start."""
    simulator = config.simulator
    if simulator.embedded:
        return ""
    for port in (simulator.spectator_port, simulator.car_port):
        try:
            connect(simulator.host, port).close()
        except OSError as error:
            why = error.strerror or "no answer"
            return f"simulator {simulator.host}:{port} does not answer yet ({why}); waiting for it"
    return ""


def _known_host(config: Config) -> Config:
    """A host that is down may come up, but not one that there is none of."""
    host = config.simulator.host
    try:
        socket.getaddrinfo(host, config.simulator.car_port)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) != socket.EAI_AGAIN:
            why = getattr(error, "strerror", None) or "no host's name"
            raise UserError(
                f"simulator.host: {host!r}: {why}; mend SIMULATOR_HOST, "
                "or leave it empty to use the embedded simulator"
            ) from None
    return config
