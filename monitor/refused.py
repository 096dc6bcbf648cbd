"""Why a request is not granted."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """The answer to whoever asks: an HTTP status and one line."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or {}
