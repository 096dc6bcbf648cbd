"""What a run was asked to do is known to every process, whenever it looks."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler

import pytest

from processes.channels import Latest
from processes.orders import Film, OrderBook, Orders, PolicyOrder
from processes.table import ORDERS_BYTES

ALL = Orders(
    paused=True,
    saves=3,
    policy=PolicyOrder("id", "runs/größte/policies/best", "/srv/runs/größte/policies/best"),
    film=Film("id", "robo1", 2.5),
)


def board() -> Latest:
    return Latest(1, ORDERS_BYTES)


def handed_on(board: Latest) -> Latest:
    """The same board as another process has it."""
    return pickle.loads(bytes(ForkingPickler.dumps(board)))


def test_before_anything_was_asked_for_nothing_is() -> None:
    assert OrderBook(board()).now == Orders()


def test_every_process_sees_what_holds_whenever_it_began_to_look() -> None:
    mine = board()
    given, early = OrderBook(mine), OrderBook(handed_on(mine))
    assert early.now == Orders()
    given.give(ALL)
    late = OrderBook(handed_on(mine))
    assert given.now == early.now == late.now == ALL
    given.give(Orders(saves=4))
    assert given.now == early.now == late.now == Orders(saves=4)


def test_what_has_not_changed_is_not_read_again() -> None:
    mine = board()
    given, read = OrderBook(mine), OrderBook(handed_on(mine))
    given.give(ALL)
    assert read.now is read.now


def test_shorter_orders_leave_nothing_of_longer_ones() -> None:
    mine = board()
    given, read = OrderBook(mine), OrderBook(handed_on(mine))
    for orders in (
        ALL,
        Orders(),
        Orders(policy=PolicyOrder("", "x" * 500, "")),
        Orders(policy=PolicyOrder("", "y", "")),
    ):
        given.give(orders)
        assert read.now == orders


def test_orders_that_take_too_many_words_are_refused_and_the_earlier_ones_hold() -> None:
    mine = board()
    given, read = OrderBook(mine), OrderBook(handed_on(mine))
    given.give(ALL)
    with pytest.raises(ValueError, match=f"{ORDERS_BYTES} at most"):
        given.give(Orders(policy=PolicyOrder("", "x" * ORDERS_BYTES, "")))
    assert given.now == read.now == ALL
    given.give(Orders(policy=PolicyOrder("", "x", "")))
    assert read.now == Orders(policy=PolicyOrder("", "x", ""))


def test_orders_half_given_are_not_followed() -> None:
    mine = board()
    given, read = OrderBook(mine), OrderBook(handed_on(mine))
    given.give(ALL)
    assert read.now == ALL
    mine._words[0] |= 1  # as a supervisor leaves it that is in the middle of it
    mine._words[1] += 1
    assert read.now == ALL
    given.give(Orders())
    assert read.now == Orders()
