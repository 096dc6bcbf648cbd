"""What a run was asked to do while it goes on: the supervisor says it, the processes look when they like."""

from __future__ import annotations

import msgspec

from processes.channels import Latest
from processes.table import ORDERS_BYTES

LONGEST_FILM = 1e6
"""Seconds; as good as for ever, and a number that can be told."""
_SLOT = 0


class Film(msgspec.Struct, frozen=True):
    """A car to film."""

    id: str
    """Another one begins another film."""
    car: str
    seconds: float
    """Of simulation time; 0: until it is no longer asked for."""


def film(request: str, car: str, seconds: float) -> Film:
    """A film of a length that can be made, whatever is asked for."""
    return Film(request, car, min(max(0.0, seconds), LONGEST_FILM))


class PolicyOrder(msgspec.Struct, frozen=True):
    """An exported policy to drive."""

    id: str
    """Another one asks for it anew."""
    name: str
    folder: str


class Orders(msgspec.Struct, frozen=True):
    """All that holds at the moment."""

    paused: bool = False
    """Cars stand still and nothing is learned."""
    saves: int = 0
    """How often a checkpoint was asked for."""
    policy: PolicyOrder | None = None
    """What evaluators drive; None: what is learned."""
    film: Film | None = None


class OrderBook:
    """One process's view of the orders; the supervisor's, which alone gives any."""

    def __init__(self, board: Latest) -> None:
        self._board = board
        self._number: int | None = None
        self._orders = Orders()

    @property
    def now(self) -> Orders:
        """What holds; quick where nothing has changed."""
        if self._board.number(_SLOT) != self._number:
            value = self._board.get(_SLOT)
            if value is not None:
                self._number, data = value
                self._orders = msgspec.json.decode(data.rstrip(b"\0"), type=Orders)
        return self._orders

    def give(self, orders: Orders) -> None:
        """Say what holds from now on. Raises ValueError when that takes too many words."""
        data = msgspec.json.encode(orders)
        if len(data) > ORDERS_BYTES:
            raise ValueError(f"orders of {len(data)} bytes, {ORDERS_BYTES} at most")
        self._number = (self._number or 0) + 1
        self._board.put(_SLOT, self._number, data.ljust(ORDERS_BYTES, b"\0"), ring=False)
        self._orders = orders
