import multiprocessing
import os
import signal
import time

import pytest

from processes.channels import Doorbell, Latest, Ring, Vitals

SPAWN = multiprocessing.get_context("spawn")


def test_ring_gives_pictures_in_order_and_once() -> None:
    ring = Ring(slots=4, payload_bytes=16)
    ring.put(3, 1, 0.5, b"one")
    ring.put(4, 2, 0.75, b"two, longer")
    assert ring.drain() == [(3, 1, 0.5, b"one"), (4, 2, 0.75, b"two, longer")]
    assert ring.drain() == []
    assert ring.lost == 0


def test_slow_reader_loses_the_oldest_and_the_loss_is_exact() -> None:
    ring = Ring(slots=4, payload_bytes=8)
    for number in range(11):
        ring.put(0, number, 0.0, b"x")
    assert [picture.number for picture in ring.drain()] == [7, 8, 9, 10]
    assert ring.lost == 7
    assert ring.written == 11


def test_picture_that_does_not_fit_is_refused_and_spoils_nothing() -> None:
    ring = Ring(slots=2, payload_bytes=4)
    with pytest.raises(ValueError, match="5 bytes"):
        ring.put(0, 1, 0.0, b"12345")
    assert ring.drain() == []


def test_latest_value_wins() -> None:
    latest = Latest(slots=2, payload_bytes=4)
    assert latest.get(1) is None
    assert latest.number(1) is None
    latest.put(1, 7, b"abcd")
    latest.put(1, 9, b"efgh")
    assert latest.get(1) == (9, b"efgh")
    assert latest.get(0) is None
    with pytest.raises(ValueError, match="3 bytes"):
        latest.put(0, 1, b"abc")


def test_value_half_written_by_a_dead_writer_is_not_read_and_heals() -> None:
    latest = Latest(slots=1, payload_bytes=4)
    latest.put(0, 1, b"good")
    latest._words[0] |= 1  # as a writer leaves it that is killed in the middle
    assert latest.get(0) is None
    latest.put(0, 2, b"next")
    assert latest.get(0) == (2, b"next")


def test_doorbell_wakes_once_for_many_rings() -> None:
    bell = Doorbell()
    bell.ring()
    bell.ring()
    assert bell.wait(1.0)
    assert not bell.wait(0.0)


def test_vitals() -> None:
    vitals = Vitals(2)
    vitals.reset(1, 5.0)
    assert not vitals.ready(1)
    vitals.beat(1, 6.5)
    vitals.set_ready(1)
    assert (vitals.ready(1), vitals.last_beat(1), vitals.ready(0)) == (True, 6.5, False)


def _write(ring: Ring, latest: Latest, count: int) -> None:
    for number in range(count):
        ring.put(number % 7, number, float(number), number.to_bytes(4, "little") * 64)
        latest.put(0, number, number.to_bytes(4, "little") * 64)


def _write_for_ever(ring: Ring, latest: Latest) -> None:
    number = 0
    while True:
        number += 1
        _write(ring, latest, number)


def test_no_torn_picture_crosses_to_another_process() -> None:
    """A writer at full speed over a small ring: pictures arrive whole, and every one is accounted for."""
    ring, latest = Ring(slots=8, payload_bytes=256), Latest(slots=1, payload_bytes=256)
    count = 20_000
    writer = SPAWN.Process(target=_write, args=(ring, latest, count))
    writer.start()
    seen, last, deadline = 0, -1, time.monotonic() + 60
    while last < count - 1 and time.monotonic() < deadline:
        ring.bell.wait(0.2)
        for picture in ring.drain():
            assert picture.payload == picture.number.to_bytes(4, "little") * 64
            assert picture.number > last
            seen, last = seen + 1, picture.number
        value = latest.get(0)
        assert value is None or value[1] == value[0].to_bytes(4, "little") * 64
    writer.join(10)
    assert last == count - 1
    assert seen + ring.lost == count


def test_killed_writer_leaves_nothing_held() -> None:
    ring, latest = Ring(slots=8, payload_bytes=256), Latest(slots=1, payload_bytes=256)
    for round_ in range(3):
        before = ring.written
        writer = SPAWN.Process(target=_write_for_ever, args=(ring, latest))
        writer.start()
        deadline = time.monotonic() + 30
        while ring.written < before + 100 * (round_ + 1) and time.monotonic() < deadline:
            ring.bell.wait(0.2)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(10)
        assert ring.written > before
        ring.drain()
    ring.put(1, 2, 3.0, b"after")
    assert ring.drain() == [(1, 2, 3.0, b"after")]
    latest.put(0, 5, b"\1" * 256)
    assert latest.get(0) == (5, b"\1" * 256)
