import multiprocessing
import os
import signal
import time

import pytest

from processes.channels import Latest, Queue, Ring
from processes.shared import Doorbell

SPAWN = multiprocessing.get_context("spawn")
KILLS = 5


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


def test_queue_gives_every_message_once_and_in_order() -> None:
    queue = Queue(capacity=1000)
    messages = [{"number": number, "data": b"x" * (number % 90)} for number in range(500)]
    got = []
    for message in messages:
        while not queue.put(Queue.pack(message)):
            got += queue.take()
    got += queue.take()
    assert got == messages
    assert (queue.under_way, list(queue.take())) == (0, [])


def test_full_queue_refuses_and_says_when_there_is_room() -> None:
    queue = Queue(capacity=100)
    packed = Queue.pack(b"x" * 40)
    while queue.put(packed):
        pass
    assert not queue.room.wait(0.0)
    assert len(list(queue.take())) == 1
    assert queue.room.wait(1.0)
    assert queue.put(packed)
    with pytest.raises(ValueError, match="in a queue for 100"):
        queue.put(bytes(101))


def test_the_largest_message_fits_into_an_empty_queue() -> None:
    queue = Queue(capacity=1000)
    for size in (1, 500, 999, 1000, 1000):
        packed = Queue.pack(b"")[:-1] + bytes(size)  # whatever follows a pickle's end is passed over
        assert queue.put(packed[:size] if len(packed) > size else packed)
        queue._control[1] = queue._control[0]


def _number(queue: Queue, size: int) -> None:
    """Put numbers from what is there on, each in a message that is as long as it is telling."""
    number = 0
    while True:
        if queue.put(Queue.pack((number, bytes([number % 256]) * size))):
            number += 1
        else:
            queue.room.wait(0.2)


def _follow(queue: Queue, seen: Latest) -> None:
    """Read for ever; ``seen`` has the last number read and whether all came whole, one after another."""
    last = None
    while True:
        queue.bell.wait(0.2)
        for number, data in queue.take():
            whole = data == bytes([number % 256]) * len(data) and last in (None, number - 1)
            seen.put(0, number, bytes([whole]) * 8)
            last = number


@pytest.mark.parametrize("size", [100, 400_000])
def test_a_killed_writer_is_replaced_and_the_reader_goes_on(size: int) -> None:
    """Where a ``multiprocessing.Queue`` leaves its reader waiting for the rest of the message, for ever."""
    queue = Queue(capacity=1_000_000)
    for _ in range(KILLS):
        writer = SPAWN.Process(target=_number, args=(queue, size))
        writer.start()
        expected, deadline = None, time.monotonic() + 30
        while (expected or 0) < 50:
            assert time.monotonic() < deadline
            queue.bell.wait(0.2)
            for number, data in queue.take():
                assert data == bytes([number % 256]) * size
                assert expected is None or number in (expected, 0)
                expected = number + 1
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(10)
    assert all(len(data) == size for _, data in queue.take())
    assert queue.put(Queue.pack("after"))
    assert list(queue.take()) == ["after"]


def test_a_killed_reader_is_replaced_and_the_writer_goes_on() -> None:
    """Where a ``multiprocessing.Queue`` leaves its lock held, for ever."""
    queue, seen = Queue(capacity=1_000_000), Latest(slots=1, payload_bytes=8)
    writer = SPAWN.Process(target=_number, args=(queue, 100_000), daemon=True)
    writer.start()
    last = 0
    for _ in range(KILLS):
        reader = SPAWN.Process(target=_follow, args=(queue, seen))
        reader.start()
        deadline = time.monotonic() + 30
        while (value := seen.get(0)) is None or value[0] < last + 50:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(reader.pid, signal.SIGKILL)
        reader.join(10)
        number, whole = seen.get(0) or (last, b"\1")
        assert whole[0]
        # No more is lost than the one message that it had in its hands, which it may not have told of.
        upcoming = next(queue.take())[0]
        assert upcoming in (number, number + 1, number + 2)
        last = upcoming
    writer.kill()
    writer.join()
