"""TensorBoard's event files, written so that a full disk costs only the points that did not fit.

TensorFlow's own writer goes on after a failed write as if nothing were missing, behind half a record that
TensorBoard can't read past.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from robo.learning.records import Records

VERSION = "brain.Event:2"


class Events:
    """One event file, with a name of its own, in a folder that is made with it."""

    def __init__(self, folder: Path) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        self._records = Records(folder / name, _beginning)

    def add(self, at: float, step: int, values: Mapping[str, float]) -> None:
        """Add a point on the curve of each tag. ``at``: seconds since 1970. Raises OSError."""
        summary = Summary()
        for tag, value in values.items():
            summary.MergeFrom(scalar_pb(tag, value))
        self._records.append(_record(Event(wall_time=at, step=step, summary=summary)))

    def close(self) -> None:
        """Close the file. Raises OSError."""
        self._records.close()


def _beginning(path: Path) -> bytes:
    """What an event file has to begin with."""
    if path.stat().st_size:
        return b""
    return _record(Event(wall_time=time.time(), file_version=VERSION))


def _record(event: Event) -> bytes:
    framed = io.BytesIO()
    RecordWriter(framed).write(event.SerializeToString())
    return framed.getvalue()
