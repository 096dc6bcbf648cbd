"""The terminal, taken for keys and pictures and given back as it was."""

from __future__ import annotations

import contextlib
import os
import select
import termios

from robo.errors import UserError
from robo.terminal import ENTER, LEAVE

READ_BYTES = 4096
LEAVE_SECONDS = 1.0
"""How long a terminal that takes no output is waited for when it is given back."""


class Screen:
    """A terminal in raw mode. A context manager: leaving it restores every setting, however it is left.

    Ctrl-C arrives as a key. Writing never waits: see ``show``.
    """

    def __init__(self, source: int = 0, target: int = 1) -> None:
        """Take the file descriptors of keys and of text. Raises UserError when they are no terminal."""
        for descriptor, name in ((source, "standard input"), (target, "standard output")):
            if not os.isatty(descriptor):
                raise UserError(f"{name}: not a terminal; drive in a terminal window, without pipes")
        self.source = source
        self.target = target
        self._pending = b""

    def __enter__(self) -> Screen:
        self._settings = termios.tcgetattr(self.source)
        self._blocking = os.get_blocking(self.target)
        try:
            termios.tcsetattr(self.source, termios.TCSADRAIN, _raw(self._settings))
            os.set_blocking(self.target, False)
            self.show(ENTER)
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    @property
    def pending(self) -> bool:
        """Whether the terminal has yet to take some of what was shown; ``target`` becomes writable for it."""
        return bool(self._pending)

    def size(self) -> tuple[int, int]:
        """Columns and lines; a terminal that does not know is taken for one of 80 x 24."""
        columns, lines = os.get_terminal_size(self.target)
        return columns or 80, lines or 24

    def read(self) -> bytes:
        """The keys' bytes, once ``source`` is readable; none: the terminal is gone."""
        try:
            return os.read(self.source, READ_BYTES)
        except OSError:
            return b""

    def show(self, data: bytes) -> None:
        """Write after what is pending: what the terminal takes at once now, the rest by ``flush``."""
        self._pending += data
        self.flush()

    def flush(self) -> None:
        """Write as much as the terminal takes without waiting."""
        while self._pending:
            try:
                written = os.write(self.target, self._pending)
            except BlockingIOError:
                return
            except OSError:  # gone: nobody sees it any more, and reading will tell
                self._pending = b""
                return
            self._pending = self._pending[written:]

    def _restore(self) -> None:
        self._pending = b""
        self.show(LEAVE)
        while self._pending and select.select((), (self.target,), (), LEAVE_SECONDS)[1]:
            self.flush()
        with contextlib.suppress(OSError):
            os.set_blocking(self.target, self._blocking)
        with contextlib.suppress(termios.error):
            # Keys that are still held must not reach the shell.
            termios.tcflush(self.source, termios.TCIFLUSH)
            termios.tcsetattr(self.source, termios.TCSANOW, self._settings)


def _raw(settings: list) -> list:
    """Settings for single keys: no echo, no lines, no signals, no flow control, no translated returns."""
    raw = [*settings[:6], list(settings[6])]
    raw[0] &= ~(termios.IXON | termios.ICRNL)
    raw[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    return raw
