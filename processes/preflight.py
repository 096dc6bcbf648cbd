"""What can be known before anything is started: every complaint here leaves nothing behind."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec

from processes.connect import connect
from processes.redis_server import find_binary
from robo.cache import Cache
from robo.config import Config
from robo.errors import UserError
from robo.simulation.track import Track


def check(config: Config) -> Config:
    """Check track and simulator; fill in free ports for an embedded simulator's ports that are 0.

    Raises UserError: a track file that can't be driven, a port in use, a host that does not answer.
    """
    if config.track:
        track = Track.load(Path(config.track))
        if config.simulator.embedded and not track.flat:
            raise UserError(
                f"{config.track}: this track is not flat, which the embedded simulator can't do yet; "
                "choose another track, or set simulator.host"
            )
    return _listening_ports(config) if config.simulator.embedded else _answering_host(config)


def redis_url(config: Config, own: str) -> tuple[str, bool]:
    """The URL of the Redis to use, and whether it is ``own``, one that the run starts itself.

    Raises UserError when none answers at the configured URL and none may, or can, be started.
    """
    settings = config.redis
    try:
        answers = Cache(settings.url, "preflight").ping()
    except ValueError:
        raise UserError(f"redis.url {settings.url}: no Redis URL; write redis://host:port/0") from None
    if answers:
        return settings.url, False
    if not settings.start_if_missing:
        raise UserError(f"{settings.url}: no Redis answers there; start it, or leave REDIS_URL empty")
    find_binary()
    return own, True


def _listening_ports(config: Config) -> Config:
    simulator = config.simulator
    taken = [
        free_port(simulator.bind, port, key)
        for key, port in (
            ("simulator.car_port", simulator.car_port),
            ("simulator.spectator_port", simulator.spectator_port),
        )
    ]
    simulator = msgspec.structs.replace(simulator, car_port=taken[0], spectator_port=taken[1])
    return msgspec.structs.replace(config, simulator=simulator)


def free_port(host: str, port: int, key: str) -> int:
    """The port, or any free one for 0. Raises UserError when it can't be listened at."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"{key}: can't listen at {host}:{port} ({error.strerror}); end what runs there, "
                f"or choose another port with --set {key}=0 (any free one)"
            ) from None
        return probe.getsockname()[1]


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
