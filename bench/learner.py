"""Measure the learner's train step with nothing else going on; prints one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from processes.learner import STEPS_A_CALL
from processes.scheduling import learner_threads, usable_cores
from robo import config
from robo.config import Config
from robo.driving.experience import layout
from robo.driving.transitions import Layout, observation_size
from robo.learning.replay import Replay

WARM_CALLS = 50
ROWS = 20_000


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure train steps a second of a learner alone.")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="(10)")
    parser.add_argument(
        "--config", type=Path, default=config.ROOT / "configs" / "ddpg.yml", metavar="FILE", help="(DDPG's)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting")
    options = parser.parse_args()
    rate = train_rate(options.seconds, config.load([options.config], options.set))
    print(json.dumps({"train_steps_per_s": round(rate, 1)}))
    return 0


def train_rate(seconds: float, settings: Config) -> float:
    """Train steps a second, sampled and trained as the learner does."""
    agent = ready_agent(settings)
    random = np.random.default_rng(0)
    replay = Replay(settings.replay.capacity, layout(settings), random)
    replay.add(random_rows(random, layout(settings), ROWS))
    return rate_on(agent, lambda: replay.sample(settings.agent.batch_size, STEPS_A_CALL), seconds)


def ready_agent(settings: Config) -> Any:
    """The agent as the learner sets it up, its train step compiled. Call it before anything of TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from robo.learning import agents  # noqa: PLC0415 imports TensorFlow

    agents.set_threads(learner_threads(settings, len(usable_cores())))
    agent = agents.build(settings, observation_size(settings.observation))
    agent.prepare(settings.agent.batch_size, STEPS_A_CALL)
    return agent


def rate_on(agent: Any, batches: Callable[[], Any], seconds: float, warm_calls: int = WARM_CALLS) -> float:
    """Train steps a second on what ``batches`` gives at each call, as ``Agent.train`` takes it."""
    for _ in range(warm_calls):
        agent.train(batches())
    before, began = agent.step, time.perf_counter()
    while time.perf_counter() - began < seconds:
        agent.train(batches())
    return (agent.step - before) / (time.perf_counter() - began)


def random_rows(random: np.random.Generator, kind: Layout, steps: int) -> Any:
    """Rows of so many steps in all, such as a driver's by their ranges; each counts and no episode ends."""
    values = {
        "action": lambda shape: random.uniform(-1.0, 1.0, shape),
        "reward": lambda shape: random.normal(0.0, 0.1, shape),
        "discount": np.ones,
        "weight": np.ones,
    }
    rows = steps // (kind.shapes[1][0] if len(kind.shapes[1]) > 1 else 1)
    fields = zip(kind.type._fields, kind.shapes, strict=True)
    return kind.type(
        *(
            values.get(name, lambda shape: random.uniform(0.0, 1.0, shape))((rows, *shape)).astype(np.float32)
            for name, shape in fields
        )
    )


if __name__ == "__main__":
    sys.exit(main())
