"""What can be known before anything is started: every complaint here leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

import msgspec

from processes.connect import connect
from processes.redis_server import find_binary
from processes.table import cars, filmed
from robo.cache import Cache, Lost
from robo.config import Config
from robo.errors import UserError
from robo.simulation.track import Track


def check(config: Config) -> Config:
    """Check track and simulator; fill in free ports for an embedded simulator's ports that are 0.

    Raises UserError: a track file that can't be driven, no such car to film, a port in use, a host that does
    not answer.
    """
    if config.track:
        Track.load(Path(config.track))
    if config.film.car and filmed(config) is None:
        names = ", ".join(car.name for car in cars(config))
        raise UserError(f"film.car: no car is called {config.film.car!r}; choose one of: {names}")
    return _listening_ports(config) if config.simulator.embedded else _answering_host(config)


def redis_url(config: Config, own: str) -> tuple[str, bool]:
    """The URL of the Redis to use, and whether it is ``own``, one that the run starts itself.

    Raises UserError when none answers at the configured URL and none may, or can, be started.
    """
    settings = config.redis
    try:
        Cache(settings.url, "preflight").ping()
        return settings.url, False
    except ValueError:
        raise UserError(f"redis.url {settings.url}: no Redis URL; write redis://host:port/0") from None
    except Lost as error:
        if not settings.start_if_missing:
            raise UserError(
                f"{settings.url}: no usable Redis there ({error.__cause__}); start it, or unset REDIS_URL"
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
    return msgspec.structs.replace(config, simulator=msgspec.structs.replace(simulator, **ports))


def listen(host: str, port: int, key: str) -> socket.socket:
    """A socket that listens at the port; any free one for 0. Raises UserError when it can't."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            what = f"port in use; end what runs there, or take any free one: --set {key}=0"
        else:
            what = f"{error.strerror or error}; choose an address of this machine with simulator.bind"
        raise UserError(f"{key}: can't listen at {host}:{port}: {what}") from None


def _answering_host(config: Config) -> Config:
    simulator = config.simulator
    for port in (simulator.spectator_port, simulator.car_port):
        try:
            connect(simulator.host, port).close()
        except OSError as error:
            why = error.strerror or "no answer"
            raise UserError(
                f"simulator {simulator.host}:{port} does not answer ({why}); start it there, "
                "or leave SIMULATOR_HOST empty to use the embedded one"
            ) from None
    return config
