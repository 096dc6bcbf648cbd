"""Files that grow by whole records, and can be gone on with after the disk was full."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path


class Records:
    """Appends records to a file, which is opened when the first one comes, and made where it is missing.

    Nothing is held back: a record is in the file when ``append`` returns. Of one that did not fit, what was
    written is cut off again before the next.
    """

    def __init__(self, path: Path, lead_in: Callable[[Path], bytes]) -> None:
        """``lead_in``: given the file as it was found, the bytes that come before the first record."""
        self._path = path
        self._lead_in = lead_in
        self._file: FileIO | None = None
        self._ahead = b""
        self._end = 0
        self._torn = False

    def append(self, record: bytes) -> None:
        """Write a record. Raises OSError when there is no room, or no permission, for all of it."""
        file = self._opened()
        if self._torn:
            file.truncate(self._end)
        self._end = os.fstat(file.fileno()).st_size
        self._torn = True
        rest = memoryview(self._ahead + record)
        while rest:
            rest = rest[file.write(rest) :]
        self._ahead, self._torn = b"", False

    def close(self) -> None:
        """Close the file, without a record that did not fit; a later one opens it again. Raises OSError."""
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                if self._torn:
                    file.truncate(self._end)

    def _opened(self) -> FileIO:
        # Somebody who makes room may have removed the file: what is written to it then would be lost.
        if self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0:
            self.close()
        if self._file is None:
            self._path.parent.mkdir(exist_ok=True)
            file = self._path.open("ab", buffering=0)
            self._ahead, self._torn = self._lead_in(self._path), False
            self._file = file
        return self._file
