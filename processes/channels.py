"""What joins the processes: rings, latest values and doorbells in shared memory, and vital signs.

Shared memory is anonymous (``memfd_create``) and doorbells are event counters (``eventfd``); both are file
descriptors that children inherit when they are spawned. So nothing has a name that could outlive a run:
when its last process is gone, the kernel has freed everything, however that process died.

Every channel has one writer. None has a lock: a reader tells a half-written slot by its sequence number
(odd while it is written, and different afterwards), so a process killed at any moment leaves nothing held.
This relies on stores becoming visible in program order, which x86-64 guarantees and which the kernel calls
between a write and the doorbell give elsewhere.
"""

from __future__ import annotations

import mmap
import os
import queue
import select
import struct
from collections.abc import Iterator
from multiprocessing import reduction
from typing import Any, NamedTuple

_WORD = 8


class _Inherited:
    """A file descriptor that goes with this object to a spawned child (and to nobody else)."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def __getstate__(self) -> dict[str, Any]:
        return {"fd": reduction.DupFd(self._fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._fd = state["fd"].detach()

    def __del__(self) -> None:
        try:
            os.close(self._fd)
        except (AttributeError, OSError, TypeError):  # never opened, or the interpreter is going down
            return


class Doorbell(_Inherited):
    """Wakes a waiting process. Rings add up until they are heard; hearing clears them."""

    def __init__(self) -> None:
        super().__init__(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))

    def ring(self) -> None:
        """Wake whoever waits, now or the next time it waits."""
        os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Forget the rings so far."""
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for a ring, and clear it. Whether there was one."""
        heard = bool(select.select([self._fd], [], [], timeout)[0])
        if heard:
            self.clear()
        return heard


class SharedBlock(_Inherited):
    """``size`` bytes of zeroed memory, shared with the children that are given this object."""

    def __init__(self, size: int) -> None:
        super().__init__(os.memfd_create("robo", os.MFD_CLOEXEC))
        os.ftruncate(self._fd, size)
        self._map(size)

    def _map(self, size: int) -> None:
        self._size = size
        self.bytes = memoryview(mmap.mmap(self._fd, size))

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"size": self._size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._map(state["size"])

    def words(self, offset: int, count: int) -> memoryview:
        """``count`` unsigned 64-bit words from byte ``offset``."""
        return self.bytes[offset : offset + count * _WORD].cast("Q")

    def doubles(self, offset: int, count: int) -> memoryview:
        """``count`` 64-bit floats from byte ``offset``."""
        return self.bytes[offset : offset + count * _WORD].cast("d")


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
        self._stride = (self._TAG.size + payload_bytes + _WORD - 1) // _WORD * _WORD
        self._block = SharedBlock((3 + slots) * _WORD + slots * self._stride)
        self.bell = Doorbell()
        self._attach()

    def _attach(self) -> None:
        words = self._block.words(0, 3 + self._slots)
        self._control = words[:3]  # written, read, lost
        self._sequence = words[3:]
        self._data = self._block.bytes[(3 + self._slots) * _WORD :]

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
        self._block = SharedBlock(slots * (2 * _WORD + self._stride))
        self.bell = Doorbell()
        self._attach()

    @property
    def _stride(self) -> int:
        return (self._size + _WORD - 1) // _WORD * _WORD

    def _attach(self) -> None:
        self._words = self._block.words(0, 2 * self._slots)  # sequence, number of each slot
        self._data = self._block.bytes[2 * self._slots * _WORD :]

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


def arrived(source: Any, most: int) -> Iterator[Any]:
    """What has arrived in a ``multiprocessing.Queue``, oldest first, and at most so many messages."""
    for _ in range(most):
        try:
            yield source.get_nowait()
        except queue.Empty:
            return


def readable(source: Any) -> Any:
    """What to wait on for a ``multiprocessing.Queue`` to have something; the class keeps it to itself."""
    return source._reader


class Vitals:
    """Signs of life of every process: when it last beat, and whether it is ready."""

    def __init__(self, processes: int) -> None:
        self._count = processes
        self._block = SharedBlock(2 * processes * _WORD)
        self._attach()

    def _attach(self) -> None:
        self._beats = self._block.doubles(0, self._count)
        self._ready = self._block.words(self._count * _WORD, self._count)

    def __getstate__(self) -> dict[str, Any]:
        return {"_count": self._count, "_block": self._block}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    def reset(self, index: int, now: float) -> None:
        """Before a start: alive as of ``now`` (monotonic seconds), not ready."""
        self._ready[index] = 0
        self._beats[index] = now

    def beat(self, index: int, now: float) -> None:
        """The process is alive."""
        self._beats[index] = now

    def set_ready(self, index: int) -> None:
        """The process does its work from here on."""
        self._ready[index] = 1

    def last_beat(self, index: int) -> float:
        """When the process last beat, in monotonic seconds."""
        return self._beats[index]

    def ready(self, index: int) -> bool:
        """Whether the process has said that it is ready."""
        return bool(self._ready[index])
