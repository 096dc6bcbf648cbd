"""Structured logs: one JSON object a line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TextIO

import structlog


def configure(process: str, stream: TextIO) -> None:
    """Send this process's log to ``stream`` as JSON lines with the time (UTC), level and process name."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    structlog.contextvars.bind_contextvars(process=process)


def unix_time(entry: Mapping[str, Any]) -> float:
    """When a logged line, read back, was written, in seconds since 1970."""
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(entry["timestamp"].replace("Z", "+00:00")).timestamp()


def get() -> structlog.stdlib.BoundLogger:
    """The process's log: ``log.info("event in words", key=value)``."""
    return structlog.get_logger()
