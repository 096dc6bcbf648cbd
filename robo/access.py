"""Who may tell a run what to do."""

from __future__ import annotations

import ipaddress
import socket

from robo.errors import UserError

TOKEN = "MONITOR_TOKEN"
"""The environment variable that holds the secret which commands from elsewhere must bring."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_control(bind: str, *, control: bool, token: str | None) -> None:
    """Raise UserError when whoever reaches an address could tell a run what to do."""
    if control and not token and not is_loopback(bind):
        raise UserError(
            f"monitor.control: on {bind or '*'} a token is needed; set {TOKEN} to a secret, "
            "or listen at 127.0.0.1 alone"
        )


def page_url(host: str, port: int) -> str:
    """Where a page that listens there is opened: everywhere, for one, by this machine's name."""
    name = socket.gethostname() if host in ("", "0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"
