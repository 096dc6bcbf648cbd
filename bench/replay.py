"""Measure robo's replay beside dm-reverb as experience's way to the learner: a JSON line a kind and feed.

Writers in processes of their own put rows while the learner samples and does its real train step. The feeds
take turns, and a figure is the median of a feed's rounds: other work on the machine then falls on all of
them.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.context import SpawnContext
from typing import Any, NamedTuple

import numpy as np

from bench import page
from bench.feeds import FEEDS, Feed, Writer, require
from bench.learner import random_rows, rate_on, ready_agent
from bench.measure import Window
from processes.learner import STEPS_A_CALL
from robo import config
from robo.config import Config
from robo.driving.experience import Rows, layout
from robo.errors import UserError
from scripts.command import chosen, guarded

RESULTS = config.ROOT / "docs" / "replay" / "results.jsonl"
PAGE = config.ROOT / "docs" / "REPLAY.md"
KINDS = {"transitions": "ddpg.yml", "sequences": "rdpg.yml"}
"""Kinds of rows, and whose they are."""
WRITERS = 2
STEPS_PER_S = 1100.0
"""What six cars make in lockstep beside a learner that trains."""
FIRST_STEPS = 6000
"""There before the learner begins."""
POOL_STEPS = 2000
"""That each writer puts over and over."""
FILL_SECONDS = 60.0
WARM_CALLS = 10
CATCH_UP_SECONDS = 0.1
"""How far behind its pace a writer may make up for."""
FLAT_OUT = math.inf


class Round(NamedTuple):
    """What one feed came to in one round."""

    train_steps_per_s: float
    """With writers at the cars' pace."""
    alone_train_steps_per_s: float
    """The same train step on a batch that stays the same, before there was a feed or a writer."""
    flat_out_train_steps_per_s: float
    """With writers as fast as they can."""
    inserts_per_s: float
    """Rows, with writers as fast as they can."""
    sample_ms: float
    """Milliseconds a train step that taking in and sampling held the learner up, at the cars' pace."""
    memory_mb: float
    """Of all processes together, at the cars' pace."""
    cpu_ms: float
    """Milliseconds of CPU a train step, of all processes together, at the cars' pace."""


class Stretch(NamedTuple):
    """What was done in a stretch of time, a second, and how long each train step waited for its batch."""

    train_steps_per_s: float
    inserts_per_s: float
    sample_ms: float


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure replay beside dm-reverb; a JSON line each.")
    parser.add_argument("--kinds", default=",".join(KINDS), metavar="A,B", help=f"({','.join(KINDS)})")
    parser.add_argument("--feeds", default=",".join(FEEDS), metavar="A,B", help=f"({','.join(FEEDS)})")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="measured in a round (3)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(3)")
    parser.add_argument(
        "--keep",
        action="store_true",
        help=f"add the lines to {page.short(RESULTS)}, and make the page's figures",
    )
    parser.add_argument(
        "--report", action="store_true", help="only make the page's figures, of what was kept"
    )
    options = parser.parse_args()
    if not options.report:
        kinds, feeds = chosen("--kinds", options.kinds, KINDS), chosen("--feeds", options.feeds, FEEDS)
        if options.rounds < 1 or not options.seconds > 0.0:
            raise UserError(f"--rounds {options.rounds} --seconds {options.seconds:g}: both must be above 0")
        require(feeds)
        for kind in kinds:
            for result in compare(kind, feeds, options.seconds, options.rounds):
                text = json.dumps(result)
                print(text, flush=True)
                if options.keep:
                    page.keep(RESULTS, text)
    if options.keep or options.report:
        page.put(PAGE, "bench_replay_report", figures(page.kept(RESULTS, "bench_replay")))
        print(f"wrote {page.short(PAGE)}", file=sys.stderr)
    return 0


def compare(kind: str, feeds: Sequence[str], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """A line for each feed, measured in turns."""
    found: dict[str, list[Round]] = {feed: [] for feed in feeds}
    with ExitStack() as stack:
        # A learner each: threads and memory that another feed left behind would count for it.
        learners = {
            feed: stack.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
            for feed in feeds
        }
        for number, feed in itertools.product(range(rounds), feeds):
            print(f"{kind}, round {number + 1} of {rounds}: {feed}", file=sys.stderr, flush=True)
            found[feed].append(learners[feed].submit(measure, kind, feed, seconds).result())
    return [line(kind, feed, each) for feed, each in found.items()]


def line(kind: str, feed: str, rounds: Sequence[Round]) -> dict[str, Any]:
    """The medians of a feed's rounds; ratios are to what the same round's learner did alone."""

    def median(values: Iterator[float], digits: int) -> float:
        return round(statistics.median(values), digits)

    return {
        "kind": kind,
        "feed": feed,
        "train_steps_per_s": median((each.train_steps_per_s for each in rounds), 1),
        "alone_train_steps_per_s": median((each.alone_train_steps_per_s for each in rounds), 1),
        "learner_ratio": median(
            (each.train_steps_per_s / each.alone_train_steps_per_s for each in rounds), 3
        ),
        "inserts_per_s": median((each.inserts_per_s for each in rounds), 1),
        "sample_ms": median((each.sample_ms for each in rounds), 3),
        "memory_mb": median((each.memory_mb for each in rounds), 1),
        "flat_out_learner_ratio": median(
            (each.flat_out_train_steps_per_s / each.alone_train_steps_per_s for each in rounds), 3
        ),
        "cpu_ms": median((each.cpu_ms for each in rounds), 2),
    }


def measure(kind: str, name: str, seconds: float) -> Round:
    """One round of a feed. To be called in a process that measures nothing else."""
    settings = load(kind)
    agent, fixed = _agent(kind), _fixed(settings)
    alone = rate_on(agent, lambda: fixed, seconds / 2, WARM_CALLS)
    context = multiprocessing.get_context("spawn")
    feed = FEEDS[name](settings, context)
    with _writing(feed, settings, context) as writers:
        _fill(feed, math.ceil(FIRST_STEPS / settings.agent.steps_a_row))
        writers.pace.value = STEPS_PER_S / settings.agent.steps_a_row / WRITERS
        for _ in range(WARM_CALLS):
            _step(agent, feed)
        window = Window({"learner": os.getpid(), **writers.processes, **feed.processes()})
        paced = _trained(agent, feed, seconds)
        window.end()
        writers.pace.value = FLAT_OUT
        flat_out = _trained(agent, feed, seconds / 2)
    return Round(
        train_steps_per_s=paced.train_steps_per_s,
        alone_train_steps_per_s=alone,
        flat_out_train_steps_per_s=flat_out.train_steps_per_s,
        inserts_per_s=flat_out.inserts_per_s,
        sample_ms=paced.sample_ms,
        memory_mb=sum(window.memory().values()),
        cpu_ms=1000.0 * sum(window.cpu().values()) / paced.train_steps_per_s,
    )


def load(kind: str) -> Config:
    """The settings of those whose rows are of this kind."""
    return config.load([config.ROOT / "configs" / KINDS[kind]], [])


# The learner's process


@functools.cache
def _agent(kind: str) -> Any:
    """Compiled once, for all rounds."""
    return ready_agent(load(kind))


def _fixed(settings: Config) -> Rows:
    """One train call's batches."""
    kind, size = layout(settings), settings.agent.batch_size
    made = random_rows(np.random.default_rng(0), kind, POOL_STEPS)
    places = np.random.default_rng(0).integers(0, len(made.reward), (STEPS_A_CALL, size))
    return kind.type(*(array[places] for array in made))


def _fill(feed: Feed, rows: int) -> None:
    """Wait until the feed has so many."""
    give_up = time.monotonic() + FILL_SECONDS
    while feed.inserted < rows:
        if time.monotonic() > give_up:
            raise RuntimeError(f"only {feed.inserted} of {rows} rows came in {FILL_SECONDS:g} s")
        feed.receive()
        time.sleep(0.01)


def _trained(agent: Any, feed: Feed, seconds: float) -> Stretch:
    """Train for so long."""
    held_up, inserted, steps = 0.0, feed.inserted, agent.step
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        held_up += _step(agent, feed)
    elapsed = time.perf_counter() - began
    trained = agent.step - steps
    return Stretch(trained / elapsed, (feed.inserted - inserted) / elapsed, 1000.0 * held_up / trained)


def _step(agent: Any, feed: Feed) -> float:
    """One turn of the learner's loop; seconds until it had its batches."""
    began = time.perf_counter()
    feed.receive()
    batches = feed.sample()
    ready = time.perf_counter()
    agent.train(batches)
    return ready - began


# The writers' processes


class Writers(NamedTuple):
    """The processes that write, and how fast."""

    processes: dict[str, int]
    """Name -> id."""
    pace: Any
    """Shared float: rows a second that each puts."""


@contextmanager
def _writing(feed: Feed, settings: Config, context: SpawnContext) -> Iterator[Writers]:
    """Writers that write as fast as they can, until the block is left; ends the feed, too."""
    pace, stop = context.Value("d", FLAT_OUT), context.Event()
    processes = [
        context.Process(target=_write, args=(feed.writer(), settings, seed, pace, stop), daemon=True)
        for seed in range(WRITERS)
    ]
    for process in processes:
        process.start()
    try:
        yield Writers({f"writer{index}": process.pid for index, process in enumerate(processes)}, pace)
    finally:
        stop.set()
        for process in processes:
            while process.is_alive():
                feed.receive()  # what it waits to be rid of
                process.join(0.01)
        feed.close()


def _write(writer: Writer, settings: Config, seed: int, pace: Any, stop: Any) -> None:
    """Put rows in chunks at the set pace, until told to stop."""
    made = random_rows(np.random.default_rng(seed), layout(settings), POOL_STEPS)
    count = max(1, settings.replay.chunk // settings.agent.steps_a_row)
    chunks = [
        type(made)(*(array[first : first + count] for array in made))
        for first in range(0, len(made.reward) - count + 1, count)
    ]
    put_all(writer, _paced(chunks, count, pace, stop))


def _paced(chunks: Sequence[Rows], count: int, pace: Any, stop: Any) -> Iterator[Rows]:
    """The chunks, of ``count`` rows each, over and over, each when it is due."""
    due = time.monotonic()
    for chunk in itertools.cycle(chunks):
        if stop.is_set():
            return
        now = time.monotonic()
        due = max(due + count / pace.value, now - CATCH_UP_SECONDS)
        if due > now:
            time.sleep(due - now)
        yield chunk


def put_all(writer: Writer, chunks: Any) -> None:
    """Put these chunks of rows, and close the writer."""
    for rows in chunks:
        writer.put(rows)
    writer.close()


# The page


def figures(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row a kind and feed; of one that was measured twice the later counts. Then the ratios."""
    newest = {(result["kind"], result["feed"]): result for result in results}
    shown = [newest[key] for key in itertools.product(KINDS, FEEDS) if key in newest]
    rows = [
        "| kind | feed | train steps/s | alone | learner, of alone | waits ms a step | "
        "CPU ms a step | MB | flat out: rows in/s | flat out: learner, of alone |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    keys = ("kind", "feed", "train_steps_per_s", "alone_train_steps_per_s", "learner_ratio", "sample_ms")
    keys += ("cpu_ms", "memory_mb", "inserts_per_s", "flat_out_learner_ratio")
    rows += ["| " + " | ".join(str(result[key]) for key in keys) + " |" for result in shown]
    rows += [
        "",
        "How many times as much ours does, or the other takes of CPU and memory; above 1, ours is better.",
        "",
        "| kind | beside | learner | CPU a step | memory | flat out: rows in/s | flat out: learner |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in shown:
        ours = newest.get((result["kind"], "ours"))
        if ours is None or result is ours:
            continue
        ratios = [
            ours["learner_ratio"] / result["learner_ratio"],
            result["cpu_ms"] / ours["cpu_ms"],
            result["memory_mb"] / ours["memory_mb"],
            ours["inserts_per_s"] / result["inserts_per_s"],
            ours["flat_out_learner_ratio"] / result["flat_out_learner_ratio"],
        ]
        cells = [result["kind"], result["feed"], *(f"{ratio:.3g}" for ratio in ratios)]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(guarded(main))
