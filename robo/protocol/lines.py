"""Bytes in any pieces to whole lines, with a bound on how long a line may get."""

from __future__ import annotations

LINE_LIMIT = 65536
"""Bytes, without the newline: far beyond any line that this protocol's peers have reason to send."""


class LineDecoder:
    r"""Splits a byte stream at ``\n``; a line over ``limit`` bytes is dropped and counted in ``dropped``.

    Never holds more than ``limit`` bytes between calls.
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.dropped = 0
        self._limit = limit
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the lines they complete, without their newlines."""
        head, newline, tail = data.rpartition(b"\n")
        if newline:
            lines = bytes(self._rest + head).split(b"\n")
            self._rest = bytearray(tail)
            if self._skipping:
                self._skipping = False
                del lines[0]
            if max(map(len, lines), default=0) > self._limit:
                kept = [line for line in lines if len(line) <= self._limit]
                self.dropped += len(lines) - len(kept)
                lines = kept
        else:
            lines = []
            if not self._skipping:
                self._rest += data
        if len(self._rest) > self._limit:
            self.dropped += 1
            self._rest.clear()
            self._skipping = True
        return lines
