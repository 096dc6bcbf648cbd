"""What a monitor is told when it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from robo.access import check_control, is_loopback
from robo.cache import Cache
from robo.errors import UserError

PAGE = Path(__file__).resolve().parent / "page"


@dataclass(frozen=True)
class Settings:
    """Of one monitor. What it may hold of passwords is not shown."""

    redis_url: str | Callable[[], str] = field(repr=False)
    """Asked anew at every connection where it is not the same for ever: a run's own Redis may come later."""
    run: str | None = None
    """What is shown where no run is asked for; None: the one that was heard of last."""
    host: str = "127.0.0.1"
    """Where it listens: a name or an address."""
    control: bool = False
    """Whether it hands on what runs are asked to do."""
    token: str | None = field(default=None, repr=False)
    """What whoever asks for something must know; None: nothing, from this machine."""
    most_viewers: int = 200
    most_runs: int = 20
    """Watched at the same time."""
    answer_seconds: float = 5.0
    """How long a run has to answer what it was asked to do."""
    unused_seconds: float = 30.0
    """How long a run is watched on for nobody, unless it is the one that is shown by default."""
    stalled_seconds: float = 30.0
    """How long a viewer may take none of what it is sent before it is dropped."""
    page: Path = PAGE

    @property
    def url(self) -> str:
        """Where Redis is, as of now. Raises UserError when that can't be told."""
        return self.redis_url if isinstance(self.redis_url, str) else self.redis_url()

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def check(self) -> None:
        """Raise UserError when it would not be safe, or could never work."""
        check_control(self.host, control=self.control, token=self.token)
        if isinstance(self.redis_url, str):
            self.cache("")

    def cache(self, run: str) -> Cache:
        """A run's cache. Raises UserError when there can be none."""
        try:
            return Cache(self.url, run)
        except ValueError as error:
            raise UserError(f"REDIS_URL: {error}") from None
