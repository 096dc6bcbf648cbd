"""Who may tell a run what to do: whoever is on its machine, and whoever knows the token."""

from __future__ import annotations

import pytest

from robo.access import check_control, is_loopback
from robo.errors import UserError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)
    check_control(host, control=True, token="")


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "[::]",
        "192.168.1.5",
        "10.0.0.1",
        "::ffff:192.168.1.5",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "",
    ],
)
def test_where_others_may_reach_control_wants_a_token(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(UserError, match=r"monitor\.control: .*MONITOR_TOKEN") as error:
        check_control(host, control=True, token="")
    assert "\n" not in str(error.value)
    check_control(host, control=True, token="secret")


def test_whoever_only_looks_needs_none() -> None:
    check_control("0.0.0.0", control=False, token="")
