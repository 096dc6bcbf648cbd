"""Signs of life of every process: when it last beat, whether it is ready, what it counts and complains of.

They are in shared memory, so that what a process counted stays when it is killed and its replacement counts
on, and so that they are known to the supervisor, and through it to whoever watches, without Redis too.
"""

from __future__ import annotations

import enum
from typing import Any

from processes.shared import WORD, SharedBlock

COMPLAINT_BYTES = 256


class Count(enum.Enum):
    """What can go wrong and is made up for, and how often it did; the value is its name for people."""

    CONNECTIONS = "connections lost"
    """To the simulator: closed by it, or silent for too long."""
    MESSAGES = "messages dropped"
    """From the simulator: frames and lines that could not be understood."""
    FRAMES = "frames lost"
    """Frames and observations that were overwritten before their reader came."""
    INTERRUPTED = "episodes interrupted"
    """Cut short because frames or states were missing."""
    LATE_STATES = "states late"
    """Observations whose car state did not come in time."""
    STEPS = "steps sent"
    """Environment steps that went to the learner."""
    HELD = "times held by a full queue"
    """Messages to the learner that had to wait for room."""
    EXPERIENCE = "steps lost at the end"
    """Steps that the learner's queue had no room for when the run ended."""
    ROWS = "rows rejected"
    """Of experience, because a number in them was not finite."""
    CACHE = "cache errors"
    """Writes that Redis did not take; what was to be written is written when it does again."""
    ROLLBACKS = "rollbacks"
    """Of weights, because a loss was not finite."""
    WRITES = "writes failed"
    """Of checkpoints, metrics and policies."""
    LOG_LINES = "log lines lost"


_PLACES = {what: place for place, what in enumerate(Count)}


class Vitals:
    """The vital signs of ``processes`` processes; each writes its own, the supervisor reads all of them."""

    def __init__(self, processes: int) -> None:
        self._count = processes
        self._block = SharedBlock(processes * ((2 + len(Count)) * WORD + COMPLAINT_BYTES))
        self._attach()

    def _attach(self) -> None:
        count = self._count
        self._beats = self._block.doubles(0, count)
        self._ready = self._block.words(count * WORD, count)
        self._counts = self._block.words(2 * count * WORD, count * len(Count))
        self._complaints = self._block.bytes[(2 + len(Count)) * count * WORD :]

    def __getstate__(self) -> dict[str, Any]:
        return {"_count": self._count, "_block": self._block}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    def reset(self, index: int, now: float) -> None:
        """Before a start: alive as of ``now`` (monotonic seconds), not ready, nothing to complain of.

        What was counted stays.
        """
        self._ready[index] = 0
        self._beats[index] = now
        self.complain(index, "")

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

    def count(self, index: int, what: Count, by: int = 1) -> int:
        """Count something. How often it has happened so far."""
        place = index * len(Count) + _PLACES[what]
        self._counts[place] += by
        return self._counts[place]

    def counts(self, index: int) -> dict[Count, int]:
        """What the process has counted, all its lives together; what never happened is left out."""
        mine = self._counts[index * len(Count) : (index + 1) * len(Count)]
        return {what: number for what, number in zip(Count, mine, strict=True) if number}

    def complain(self, index: int, text: str) -> None:
        """Say in words what is not as it should be; empty: nothing."""
        data = text.encode()[:COMPLAINT_BYTES].ljust(COMPLAINT_BYTES, b"\0")
        self._complaints[index * COMPLAINT_BYTES : (index + 1) * COMPLAINT_BYTES] = data

    def complaint(self, index: int) -> str:
        """What the process complains of; empty: nothing."""
        data = bytes(self._complaints[index * COMPLAINT_BYTES : (index + 1) * COMPLAINT_BYTES])
        return data.rstrip(b"\0").decode(errors="ignore")
