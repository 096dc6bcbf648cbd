"""What joins the processes: rings, latest values and queues in shared memory.

Every ring, every slot of a board and every queue has one writer. None has a lock: a reader tells a
half-written slot by its sequence number (odd while it is written, and different afterwards), and a queue's
message is there when the count of bytes written says so. So a process killed at any moment leaves nothing
held and nothing torn, and its replacement goes on at the same place, while whoever is at the other end
notices nothing. (A ``multiprocessing.Queue`` does not survive that: its reader waits for ever for the rest
of a message whose writer was killed.)
This relies on stores becoming visible in program order, which x86-64 guarantees and which the kernel calls
between a write and the doorbell give elsewhere.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from processes.shared import WORD, Doorbell, SharedBlock


class Picture(NamedTuple):
    """One message of a ring: a frame, or what was made of it."""

    car: int
    """Index of the car."""
    number: int
    """Frame number: counts the frames of one connection of the car, from 1."""
    received: float
    """When the frame's last byte was read, in seconds of the machine's monotonic clock."""
    payload: bytes


class Ring:
    """The last ``slots`` pictures from one writer to one reader.

    The writer never waits. A reader that falls behind loses the oldest, and ``lost`` counts them exactly.
    The reader's place is kept in the ring, so a restarted reader goes on where the last one was.
    """

    _TAG = struct.Struct("<qQdQ")  # car, number, received, payload length

    def __init__(self, slots: int, payload_bytes: int) -> None:
        self._slots = slots
        self._capacity = payload_bytes
        self._stride = _whole_words(self._TAG.size + payload_bytes)
        self._block = SharedBlock((3 + slots) * WORD + slots * self._stride)
        self.bell = Doorbell()
        self._attach()

    def _attach(self) -> None:
        words = self._block.words(0, 3 + self._slots)
        self._control = words[:3]  # written, read, lost
        self._sequence = words[3:]
        self._data = self._block.bytes[(3 + self._slots) * WORD :]

    def __getstate__(self) -> dict[str, Any]:
        names = ("_slots", "_capacity", "_stride", "_block", "bell")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    @property
    def written(self) -> int:
        """How many pictures were ever put."""
        return self._control[0]

    @property
    def lost(self) -> int:
        """How many pictures were overwritten before they were read."""
        return self._control[2]

    def put(self, car: int, number: int, received: float, payload: bytes | memoryview) -> None:
        """Write one picture over the oldest and ring. Raises ValueError when the payload is too large."""
        size = len(payload)
        if size > self._capacity:
            raise ValueError(f"payload of {size} bytes in a ring for {self._capacity}")
        count = self._control[0]
        slot = count % self._slots
        start = slot * self._stride
        self._sequence[slot] = 2 * count + 1
        self._TAG.pack_into(self._data, start, car, number, received, size)
        start += self._TAG.size
        self._data[start : start + size] = payload
        self._sequence[slot] = 2 * count + 2
        self._control[0] = count + 1
        self.bell.ring()

    def drain(self) -> list[Picture]:
        """Every picture not read yet, oldest first."""
        pictures = []
        place = self._control[1]
        while place < (written := self._control[0]):
            oldest = written - self._slots
            if place < oldest:
                self._control[2] += oldest - place
                place = oldest
            picture = self._read(place)
            if picture is None:
                self._control[2] += 1
            else:
                pictures.append(picture)
            place += 1
        self._control[1] = place
        return pictures

    def _read(self, place: int) -> Picture | None:
        slot = place % self._slots
        if self._sequence[slot] != 2 * place + 2:
            return None
        start = slot * self._stride
        car, number, received, size = self._TAG.unpack_from(self._data, start)
        start += self._TAG.size
        payload = bytes(self._data[start : start + min(size, self._capacity)])
        if self._sequence[slot] != 2 * place + 2:  # the writer came round while we copied
            return None
        return Picture(car, number, received, payload)


class Latest:
    """``slots`` values of which only the newest counts, each with one writer and any number of readers.

    One reader may wait on ``bell``, which rings at every put to any slot.
    """

    _TRIES = 100

    def __init__(self, slots: int, payload_bytes: int) -> None:
        self._slots = slots
        self._size = payload_bytes
        self._block = SharedBlock(slots * (2 * WORD + self._stride))
        self.bell = Doorbell()
        self._attach()

    @property
    def _stride(self) -> int:
        return _whole_words(self._size)

    def _attach(self) -> None:
        self._words = self._block.words(0, 2 * self._slots)  # sequence, number of each slot
        self._data = self._block.bytes[2 * self._slots * WORD :]

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("_slots", "_size", "_block", "bell")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    def put(self, slot: int, number: int, payload: bytes | memoryview, *, ring: bool = True) -> None:
        """Replace the slot's value. ``number`` says which value it is; it need not grow.

        Whoever puts several values at once rings with the last one alone.
        """
        if len(payload) != self._size:
            raise ValueError(f"payload of {len(payload)} bytes, expected {self._size}")
        start = slot * self._stride
        sequence = self._words[2 * slot] | 1  # also right after a writer that was killed in the middle
        self._words[2 * slot] = sequence
        self._words[2 * slot + 1] = number
        self._data[start : start + self._size] = payload
        self._words[2 * slot] = sequence + 1
        if ring:
            self.bell.ring()

    def number(self, slot: int) -> int | None:
        """The number of the slot's value; None while there is none."""
        return self._words[2 * slot + 1] if self._words[2 * slot] else None

    def get(self, slot: int) -> tuple[int, bytes] | None:
        """The slot's number and value; None while there is none or its writer died while writing it."""
        start = slot * self._stride
        for _ in range(self._TRIES):
            before = self._words[2 * slot]
            if before == 0:
                return None
            number = self._words[2 * slot + 1]
            payload = bytes(self._data[start : start + self._size])
            if before % 2 == 0 and self._words[2 * slot] == before:
                return number, payload
        return None


class Queue:
    """Messages from one writer to one reader, in order and each once; when full, the writer has to wait.

    ``capacity``: bytes of all messages under way, packed; the largest one that can be put is that long.
    What its reader had not copied when it was killed is read by the next one.
    """

    _LENGTH = struct.Struct("<Q")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._size = _whole_words(self._LENGTH.size + capacity)
        self._block = SharedBlock(2 * WORD + self._size)
        self.bell = Doorbell()
        """Rings when there is something to read."""
        self.room = Doorbell()
        """Rings when something was read, so that there is room again."""
        self._attach()

    def _attach(self) -> None:
        self._control = self._block.words(0, 2)  # bytes written, bytes read
        self._data = self._block.bytes[2 * WORD :]

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("capacity", "_size", "_block", "bell", "room")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    @staticmethod
    def pack(message: object) -> bytes:
        """What ``put`` takes. Both ends are processes of one run, so it may be any object."""
        return pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)

    @property
    def under_way(self) -> int:
        """Bytes that were put and not yet read."""
        return self._control[0] - self._control[1]

    def put(self, packed: bytes) -> bool:
        """Put a message, if there is room for it. Whether there was.

        Raises ValueError for one that there can never be room for.
        """
        if len(packed) > self.capacity:
            raise ValueError(f"message of {len(packed)} bytes in a queue for {self.capacity}")
        needed = _whole_words(self._LENGTH.size + len(packed))
        if self.under_way + needed > self._size:
            return False
        written = self._control[0]
        self._copy_in(written, self._LENGTH.pack(len(packed)))
        self._copy_in(written + self._LENGTH.size, packed)
        self._control[0] = written + needed
        self.bell.ring()
        return True

    def take(self) -> Iterator[Any]:
        """Every message that is there now, oldest first."""
        until = self._control[0]
        while (read := self._control[1]) < until:
            (length,) = self._LENGTH.unpack(self._copy_out(read, self._LENGTH.size))
            packed = self._copy_out(read + self._LENGTH.size, length)
            self._control[1] = read + _whole_words(self._LENGTH.size + length)
            self.room.ring()
            yield pickle.loads(packed)

    def _copy_in(self, at: int, data: bytes) -> None:
        start = at % self._size
        fits = min(len(data), self._size - start)
        self._data[start : start + fits] = data[:fits]
        self._data[: len(data) - fits] = data[fits:]

    def _copy_out(self, at: int, count: int) -> bytes:
        start = at % self._size
        fits = min(count, self._size - start)
        return bytes(self._data[start : start + fits]) + bytes(self._data[: count - fits])


def _whole_words(size: int) -> int:
    return (size + WORD - 1) // WORD * WORD
