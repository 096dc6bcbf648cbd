"""Learns from what the explorers send; writes weights, checkpoints, policies and metrics."""

from __future__ import annotations

import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from processes.channels import Latest, Queue
from processes.launch import Context
from processes.orders import OrderBook
from processes.publisher import Publisher
from processes.scheduling import learner_threads
from processes.table import AVERAGED, LEARNING
from processes.vitals import Count
from robo import log
from robo.cache_values import Point, Progress
from robo.config import Config
from robo.driving.experience import Episode, layout
from robo.driving.transitions import observation_size
from robo.errors import FatalError
from robo.learning import evaluation
from robo.learning.average import Average
from robo.learning.checkpoints import Checkpoints
from robo.learning.evaluation import Points, figures
from robo.learning.metrics import Kind, finite
from robo.learning.replay import Replay, write_arrays
from robo.learning.summary import EpisodeSummary

STEPS_A_CALL = 4
"""Train steps between two looks at the queues: fewer calls cost less, and a look can wait 10 ms."""
PROGRESS_SECONDS = 0.5
VERSIONS_REMEMBERED = 1000
SNAPSHOT_SECONDS = 10.0
MOST_ROLLBACKS = 3
FAILURES = "failures"
"""Folder of the run for batches on which a loss was not finite."""


class Pace:
    """How many train steps the transitions seen so far allow, so that replay is not sampled too often."""

    def __init__(self, config: Config) -> None:
        agent = config.agent
        self._batch_size = agent.batch_size * agent.steps_a_row
        self._first = max(config.replay.random_transitions, 1)
        self._samples_per_insert = config.replay.max_samples_per_insert

    def started(self, env_steps: int) -> bool:
        """Whether enough was driven at random for learning to begin."""
        return env_steps >= self._first

    def allowed(self, env_steps: int, train_steps: int) -> int:
        """Train steps that may be done now."""
        if not self.started(env_steps):
            return 0
        samples = (env_steps - self._first) * self._samples_per_insert + self._batch_size
        return max(0, int(samples / self._batch_size) - train_steps)


class Every:
    """Tells when an interval of wall time has passed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def elapsed(self) -> float | None:
        """Seconds since it last was due, when it is due again; else None."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return None
        passed, self._last = now - self._last, now
        return passed


class Learner:
    """The loop's state. ``agent`` is a ``robo.learning.agents.Agent``."""

    def __init__(self, context: Context, agent: Any) -> None:
        from robo.learning.best import BestPolicy  # noqa: PLC0415 imports TensorFlow
        from robo.learning.metrics import Metrics  # noqa: PLC0415

        config = context.config
        self._context = context
        self._config = config
        self._agent = agent
        self._queues: list[Queue] = [
            channel for name, channel in context.channels.items() if name.startswith("experience:")
        ]
        self._weights: Latest = context.channels["weights"]
        self._publisher = Publisher(context)
        self._book = OrderBook(context.channels["orders"])
        self._saves = self._book.now.saves
        self._replay = Replay(
            config.replay.capacity,
            layout(config),
            np.random.default_rng(config.seed),
            priority=config.replay.priority,
            importance=config.replay.importance,
        )
        self._checkpoints = Checkpoints(context.run.folder / "checkpoints", config.learner.checkpoints_kept)
        self._best = BestPolicy(context.run.folder / "policies" / "best", agent)
        self._points = Points(config.evaluation.episodes)
        self._metrics = Metrics(context.run.folder)
        self._pace = Pace(config)
        self._average = Average(config.learner.average_steps)
        self._collected = EpisodeSummary()
        self._published: OrderedDict[int, float] = OrderedDict()
        self._losses: dict[str, Any] = {}
        self._good: list[Any] = []
        self._rollbacks = 0
        self._values: dict[str, float | None] = {}
        self._rates = (0.0, 0.0)
        self._steps = self._saved_at = (0, 0)

    def restore(self) -> None:
        """Go on from the newest checkpoint that is whole, if there is one."""
        with self._writing("checkpoint"):
            self._checkpoints.clear_leftovers()  # of a save that the last learner was killed over
        found = self._checkpoints.restore(self._agent, self._replay)
        self._tell_torn()
        if found is not None:
            self._saved_at = (self._replay.inserted, self._agent.step)
            log.get().info(
                "resumed",
                env_steps=self._replay.inserted,
                train_steps=self._agent.step,
                replay=len(self._replay),
            )
        self._steps = (self._replay.inserted, self._agent.step)

    def run(self) -> None:
        """Learn until told to stop."""
        settings = self._config.learner
        publish, progress = Every(settings.publish_seconds), Every(PROGRESS_SECONDS)
        record, checkpoint = Every(settings.log_seconds), Every(settings.checkpoint_seconds)
        snapshot = Every(SNAPSHOT_SECONDS)
        self._good = self._agent.snapshot()
        if self._pace.started(self._replay.inserted):
            self._publish()
        while not self._context.stopping:
            self._receive()
            if not self._train():
                self._context.wait(*(source.bell for source in self._queues))
            if publish.elapsed() and self._pace.started(self._replay.inserted):
                self._publish()
            if seconds := record.elapsed():
                self._record(seconds)
            if self._best.due:
                with self._writing("policy"):
                    self._best.export()
            if snapshot.elapsed():
                self._keep_good()
            if progress.elapsed():
                self._show()
            if checkpoint.elapsed() or self._saves != self._book.now.saves:
                self._saves = self._book.now.saves
                self._save()

    def finish(self) -> None:
        """Take in what is still under way, save, and close."""
        self._receive()
        self._save()
        self._show()
        # Last: the time until the end is short, and the policy before stays if it is too short.
        with self._writing("policy"):
            self._best.export(now=True)
        with self._writing("metrics"):
            self._metrics.close()
        self._publisher.close()

    def _receive(self) -> None:
        """Take everything that has arrived."""
        self._context.beat()
        for source in self._queues:
            source.bell.clear()
            for message in source.take():
                if isinstance(message, Episode):
                    self._take_episode(message)
                    continue
                rejected = self._replay.rejected
                self._replay.add(message)
                self._context.count(Count.ROWS, self._replay.rejected - rejected, event="rows rejected")

    def _train(self) -> bool:
        """Do a few train steps, if replay allows some and the run is not paused. Whether it did."""
        if (
            self._book.now.paused
            or self._pace.allowed(self._replay.inserted, self._agent.step) < STEPS_A_CALL
        ):
            return False
        size = self._config.agent.batch_size
        if self._config.replay.priority:
            rows, places, weights = self._replay.sample_by_priority(size, STEPS_A_CALL)
        else:
            rows, places, weights = self._replay.sample(size, STEPS_A_CALL), None, None
        try:
            losses = self._agent.train(rows, weights)
        except ArithmeticError:
            self._roll_back(rows)
            return True
        if places is not None:
            self._replay.update(places, losses.pop("td_errors").numpy())
        self._losses = losses
        return True

    def _keep_good(self) -> None:
        """Remember the weights to go back to, should a loss become infinite or NaN."""
        weights = self._agent.snapshot()
        if all(np.isfinite(array).all() for array in weights):
            self._good = weights

    def _roll_back(self, rows: Any) -> None:
        """A loss was not finite: write the batch out and go back to the last good weights, a few times."""
        self._rollbacks += 1
        self._context.count(Count.ROLLBACKS)
        path = self._context.run.folder / FAILURES / f"batch-{self._agent.step}-{self._rollbacks}.npz"
        with self._writing("batch"):
            path.parent.mkdir(exist_ok=True)
            write_arrays(path, rows._asdict())
        cause = f"a loss was not finite at train step {self._agent.step}; its batch is in {path}"
        if self._rollbacks > MOST_ROLLBACKS:
            raise FatalError(f"{cause}; the weights were put back {MOST_ROLLBACKS} times before")
        log.get().error("weights put back", cause=cause, times=self._rollbacks)
        self._agent.go_back(self._good)

    def _publish(self) -> None:
        """Give the explorers the newest weights. Their version is the train step, from 1."""
        version, weights = self._agent.step + 1, self._agent.actor_weights()
        self._weights.put(LEARNING, version, weights.tobytes())
        self._weights.put(AVERAGED, version, self._average.update(weights, version).tobytes())
        self._published.setdefault(version, time.monotonic())
        if len(self._published) > VERSIONS_REMEMBERED:
            self._published.popitem(last=False)

    def _take_episode(self, episode: Episode) -> None:
        published = self._published.get(episode.weights_version)
        age = None if published is None else time.monotonic() - published
        if episode.role == "explorer":
            self._collected.add(episode.result, age)
            return
        for point in self._points.add(episode):
            self._take_point(point, age)

    def _take_point(self, point: evaluation.Point, weights_age_s: float | None) -> None:
        """Note what an evaluation came to, and keep its policy if it is the best."""
        values = figures(point.complete_results, restarted=self._config.tracks.training > 0)
        age = {} if weights_age_s is None else {"weights_age_s": weights_age_s}
        self._tell("evaluation", values | age)
        details = {
            "env_steps": self._replay.inserted,
            "agent": msgspec.to_builtins(self._config.agent),
            "track": self._config.track,
            "observation": msgspec.to_builtins(self._config.observation),
            "action": msgspec.to_builtins(self._config.action),
        }
        self._best.offer(point, values, details)

    def _record(self, seconds: float) -> None:
        """Write a point of collection and training."""
        steps = (self._replay.inserted, self._agent.step)
        self._rates = tuple((now - before) / seconds for now, before in zip(steps, self._steps, strict=True))
        self._steps = steps
        collected = {
            **self._collected.values(),
            "env_steps_per_s": self._rates[0],
            "replay_size": float(len(self._replay)),
        }
        self._collected = EpisodeSummary()
        losses = {name: float(value) for name, value in self._losses.items()}
        self._tell("collection", collected)
        if losses:
            self._tell("training", {**losses, "train_steps_per_s": self._rates[1]})
        self._values = {**collected, **losses}

    def _tell(self, kind: Kind, values: Mapping[str, float]) -> None:
        """Add a point to the curves: in the run's folder, and for whoever watches."""
        at, steps = time.time(), (self._replay.inserted, self._agent.step)
        with self._writing("metrics"):
            self._metrics.write(kind, *steps, values, at=at)
        # Of the same time in both places: whoever has it from one knows it in the other.
        self._publisher.add_point(Point(at, kind, *steps, finite(values)))

    def _show(self) -> None:
        progress = Progress(
            at=time.time(),
            env_steps=self._replay.inserted,
            train_steps=self._agent.step,
            replay=len(self._replay),
            env_steps_per_s=self._rates[0],
            train_steps_per_s=self._rates[1],
            values=self._values,
        )
        self._publisher.put_progress(progress)

    def _save(self) -> None:
        """Write a checkpoint, unless nothing has happened since the last."""
        steps = (self._replay.inserted, self._agent.step)
        if steps == self._saved_at:
            return
        counters = {"env_steps": steps[0], "train_steps": steps[1], "replay": len(self._replay)}
        began = time.monotonic()
        with self._writing("checkpoint"):
            self._checkpoints.save(steps[0], self._agent, self._replay, counters)
            self._saved_at = steps
            log.get().info("checkpoint", **counters, took_s=round(time.monotonic() - began, 2))
        self._tell_torn()

    def _tell_torn(self) -> None:
        """Say which checkpoints were passed over, as long as they are there."""
        torn = ", ".join(f"{each.folder.name} ({each.why})" for each in self._checkpoints.passed_over)
        self._context.complain("torn", torn and f"torn checkpoints passed over: {torn}")

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        """Around what writes: where that fails, training goes on, and the run's health says so."""
        try:
            yield
        except OSError as error:
            self._context.count(Count.WRITES)
            self._context.complain(what, f"{what} not written: {error.strerror or error}")
        else:
            self._context.complain(what, "")


def main(context: Context) -> None:
    """Load TensorFlow, resume, learn, save."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from robo.learning import agents  # noqa: PLC0415 imports TensorFlow, which takes seconds

    agents.set_threads(learner_threads(context.config, len(context.cores)))
    agent = agents.build(context.config, observation_size(context.config.observation))
    learner = Learner(context, agent)
    learner.restore()
    agent.prepare(context.config.agent.batch_size, STEPS_A_CALL)
    context.ready()
    learner.run()
    learner.finish()
