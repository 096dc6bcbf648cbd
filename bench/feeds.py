"""Two ways for experience from the processes that make it to the learner: robo's own, and dm-reverb.

robo's is a bounded queue for each writer, and replay in the learner's memory. With dm-reverb writers insert
into a server's table, and the learner samples from that, through a dataset that fetches ahead; the server is
a process of its own, or runs in the learner's. Nothing here needs dm-reverb but its own feed.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from processes.channels import Queue
from processes.learner import STEPS_A_CALL
from processes.table import channels
from robo.config import Config
from robo.driving.experience import Rows, layout
from robo.errors import UserError
from robo.learning.replay import Replay

REVERB = Path(sys.prefix) / "reverb"
"""Where ``make bench_replay`` puts dm-reverb, so that nothing else finds it."""
HOST = "localhost"
TABLE = "experience"
COLUMN = "row"
START_SECONDS = 60.0
ROOM_SECONDS = 0.5
MOST_UNDER_WAY = 32
"""Rows that a writer may have on their way to the server; beyond some fifty it complains of each."""
AHEAD = 2
"""Train calls for which the dataset has batches ready, and batches' worth of rows that each of its threads
asks the server for at once."""


class Writer(Protocol):
    """A writing process's end of a feed: goes to that process before its first use."""

    def put(self, rows: Rows) -> None:
        """Hand over N rows, in order; waits while too many are under way."""

    def close(self) -> None:
        """Wait until everything is handed over."""


class Feed(Protocol):
    """The learner's end."""

    def writer(self) -> Writer:
        """An end for one more writing process."""

    def receive(self) -> None:
        """Take in what has come, where that is the learner's work."""

    @property
    def inserted(self) -> int:
        """Rows that can be sampled, or could until others took their place."""

    def sample(self) -> Any:
        """Rows drawn uniformly, for ``Agent.train``: arrays or tensors [STEPS_A_CALL, batch_size, ...].

        There must be some.
        """

    def processes(self) -> dict[str, int]:
        """Ids of the processes that the feed needs beside the learner and the writers, by name."""

    def close(self) -> None:
        """End them. Writers are to be closed before."""


class QueueWriter:
    """Puts chunks of rows into a queue, as an explorer does."""

    def __init__(self, channel: Queue) -> None:
        self._channel = channel

    def put(self, rows: Rows) -> None:
        """See Writer."""
        packed = Queue.pack(rows)
        while not self._channel.put(packed):
            self._channel.room.wait(ROOM_SECONDS)

    def close(self) -> None:
        """See Writer."""


class QueueFeed:
    """robo's own, as ``processes.learner`` has it: queues that it empties into replay between train calls."""

    def __init__(self, config: Config, context: SpawnContext) -> None:
        self._config = config
        self._capacity = next(row.payload_bytes for row in channels(config) if row.kind == "queue")
        self._queues: list[Queue] = []
        self._replay = Replay(config.replay.capacity, layout(config), np.random.default_rng(config.seed))
        self.inserted = 0
        """See Feed."""

    def writer(self) -> QueueWriter:
        """See Feed."""
        self._queues.append(Queue(self._capacity))
        return QueueWriter(self._queues[-1])

    def receive(self) -> None:
        """See Feed."""
        for source in self._queues:
            source.bell.clear()
            for rows in source.take():
                self._replay.add(rows)
                self.inserted += len(rows.reward)

    def sample(self) -> Rows:
        """See Feed."""
        return self._replay.sample(self._config.agent.batch_size, STEPS_A_CALL)

    def processes(self) -> dict[str, int]:
        """See Feed."""
        return {}

    def close(self) -> None:
        """See Feed."""


class ReverbWriter:
    """Inserts rows into the server's table, one item each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened: Any = None

    def put(self, rows: Rows) -> None:
        """See Writer."""
        writer = self._opened = self._opened or self._open()
        # One column: each costs the server, and whoever samples, as much again.
        for row in np.concatenate([array.reshape(len(array), -1) for array in rows], axis=1):
            writer.append({COLUMN: row})
            writer.create_item(TABLE, 1.0, {COLUMN: writer.history[COLUMN][-1]})
        writer.flush(MOST_UNDER_WAY)

    def close(self) -> None:
        """See Writer."""
        if self._opened is not None:
            self._opened.flush()
            self._opened.close()

    def _open(self) -> Any:
        writer = load_reverb().Client(f"{HOST}:{self._port}").trajectory_writer(num_keep_alive_refs=1)
        # A row is drawn by itself, and with longer chunks its neighbours would travel along each time.
        writer.configure((COLUMN,), num_keep_alive_refs=1, max_chunk_length=1)
        return writer


class ReverbFeed:
    """dm-reverb; ``inside``: its server runs in the learner's process, which then samples without sockets."""

    def __init__(self, config: Config, context: SpawnContext, *, inside: bool) -> None:
        self._reverb = load_reverb()
        self._config = config
        self._shapes = layout(config).shapes
        arguments = (sum(self._sizes()), config.replay.capacity)
        self._server = _Server(*arguments) if inside else _ServerProcess(context, *arguments)
        self._client = self._reverb.Client(f"{HOST}:{self._server.port}")
        self._batches: Any = None

    def writer(self) -> ReverbWriter:
        """See Feed."""
        return ReverbWriter(self._server.port)

    def receive(self) -> None:
        """See Feed: the server does it."""

    @property
    def inserted(self) -> int:
        """See Feed."""
        return self._client.server_info()[TABLE].rate_limiter_info.insert_stats.completed

    def sample(self) -> Any:
        """See Feed."""
        # Not before the first call: what is fetched ahead would be of the first rows only.
        self._batches = self._batches or iter(self._dataset())
        return next(self._batches)

    def processes(self) -> dict[str, int]:
        """See Feed."""
        return {"server": self._server.pid} if isinstance(self._server, _ServerProcess) else {}

    def close(self) -> None:
        """See Feed."""
        self._batches = None
        self._server.stop()

    def _sizes(self) -> list[int]:
        return [int(np.prod(shape)) for shape in self._shapes]

    def _dataset(self) -> Any:
        """Endless train calls' worth of rows."""
        import tensorflow as tf  # noqa: PLC0415 takes seconds

        size, sizes = self._config.agent.batch_size, self._sizes()

        def unpacked(sample: Any) -> Any:
            parts = tf.split(sample.data[COLUMN], sizes, axis=1)
            shaped = zip(parts, self._shapes, strict=True)
            return tuple(tf.reshape(part, (STEPS_A_CALL, size, *shape)) for part, shape in shaped)

        rows = self._reverb.TrajectoryDataset.from_table_signature(
            f"{HOST}:{self._server.port}", TABLE, max_in_flight_samples_per_worker=AHEAD * size
        )
        return rows.batch(STEPS_A_CALL * size, drop_remainder=True).map(unpacked).prefetch(AHEAD)


FEEDS: dict[str, Callable[[Config, SpawnContext], Feed]] = {
    "ours": QueueFeed,
    "reverb": lambda config, context: ReverbFeed(config, context, inside=False),
    "reverb-inside": lambda config, context: ReverbFeed(config, context, inside=True),
}


def require(names: list[str]) -> None:
    """Raise UserError when one of these feeds can't be had here."""
    if any(name.startswith("reverb") for name in names) and not (REVERB / "reverb").is_dir():
        raise UserError(f"dm-reverb is not in {REVERB}; make bench_replay puts it there")


def load_reverb() -> ModuleType:
    """dm-reverb's package, which imports TensorFlow. Raises UserError where it is not."""
    require(["reverb"])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if str(REVERB) not in sys.path:
        sys.path.append(str(REVERB))  # last: what the product has comes first
    return importlib.import_module("reverb")


class _ServerProcess:
    """A server in a process of its own."""

    def __init__(self, context: SpawnContext, row_size: int, capacity: int) -> None:
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, row_size, capacity), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(START_SECONDS):
            raise RuntimeError("the Reverb server did not start in time")
        self.port: int = self._pipe.recv()
        self.pid: int = self._process.pid

    def stop(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.join()


class _Server:
    """A server in this process, with a table of rows, float32 [row_size], the oldest of which go first."""

    def __init__(self, row_size: int, capacity: int) -> None:
        import tensorflow as tf  # noqa: PLC0415 takes seconds

        reverb = load_reverb()
        table = reverb.Table(
            TABLE,
            sampler=reverb.selectors.Uniform(),
            remover=reverb.selectors.Fifo(),
            max_size=capacity,
            rate_limiter=reverb.rate_limiters.MinSize(1),
            signature={COLUMN: tf.TensorSpec((row_size,), tf.float32)},
        )
        # It wants a folder for checkpoints, and would leave one behind.
        self._folder = tempfile.TemporaryDirectory(prefix="robo-bench-")
        checkpointer = reverb.checkpointers.DefaultCheckpointer(self._folder.name)
        self._server = reverb.Server([table], checkpointer=checkpointer)
        self.port: int = self._server.port

    def stop(self) -> None:
        """End it."""
        self._server.stop()
        self._folder.cleanup()


def _serve(pipe: Connection, row_size: int, capacity: int) -> None:
    """Say the port, and serve until the other end is closed."""
    server = _Server(row_size, capacity)
    pipe.send(server.port)
    try:
        pipe.recv()
    except EOFError:  # the learner's end is closed, by itself or by its death
        server.stop()
