"""What a person sees of a run: laps as they happen, and a line that says how it goes."""

from __future__ import annotations

import time

from rich.console import Console as Terminal
from rich.live import Live
from rich.text import Text

from processes.progress import Figures

PLAIN_SECONDS = 5.0


class Console:
    """Prints to standard output: on a terminal a line that is kept up to date, elsewhere one now and then."""

    def __init__(self) -> None:
        self._terminal = Terminal(highlight=False, soft_wrap=True)
        self._live: Live | None = None
        if self._terminal.is_terminal:
            self._live = Live(Text("starting"), console=self._terminal, refresh_per_second=4, transient=True)
            self._live.start()
        self._printed_at = time.monotonic()

    def say(self, text: str | Text) -> None:
        """Print a line that stays."""
        self._terminal.print(Text(text) if isinstance(text, str) else text)

    def show(self, figures: Figures) -> None:
        """Show how the run goes."""
        if self._live is not None:
            self._live.update(Text(line(figures)))
        elif time.monotonic() - self._printed_at >= PLAIN_SECONDS:
            self._printed_at = time.monotonic()
            self.say(line(figures))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def line(figures: Figures) -> str:
    """The progress line: what a person wants to know at a glance."""
    minutes, seconds = divmod(int(figures.wall_seconds), 60)
    parts = [f"{minutes:d}:{seconds:02d}"]
    progress = figures.progress
    if progress is not None:
        parts.append(f"{_short(progress.env_steps)} steps ({progress.env_steps_per_s:.0f}/s)")
        parts.append(f"{_short(progress.train_steps)} trained ({progress.train_steps_per_s:.0f}/s)")
        gained = progress.values.get("return")
        if gained is not None:
            parts.append(f"return {gained:.1f}")
    else:
        parts.append(figures.waiting_for or "driving")
    if figures.clean_laps:
        parts.append(f"{counted(figures.clean_laps, 'clean lap')} ({figures.clean_laps_in_a_row} in a row)")
        parts.append(f"best {figures.best_lap:.2f} s")
    elif figures.laps:
        parts.append(f"{counted(figures.laps, 'lap')}, none clean yet")
    else:
        parts.append("no lap yet")
    if figures.troubles:
        parts.append(", ".join(figures.troubles))
    return "  ".join(parts)


def counted(number: int, noun: str) -> str:
    """``1 lap``, ``2 laps``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(number: int) -> str:
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 1_000_000 else f"{number / 1e6:.2f}M"
