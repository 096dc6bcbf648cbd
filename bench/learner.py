"""Measure the learner's train step with nothing else going on; prints one JSON line."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import numpy as np

from processes.learner import STEPS_A_CALL
from processes.scheduling import learner_threads, usable_cores
from robo import config
from robo.driving.transitions import ACTION_SIZE, Transitions, layout, observation_size
from robo.learning.replay import Replay

WARM_CALLS = 50
ROWS = 20_000


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure train steps a second of a learner alone.")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="(10)")
    seconds = parser.parse_args().seconds
    print(json.dumps({"train_steps_per_s": round(train_rate(seconds), 1)}))
    return 0


def train_rate(seconds: float) -> float:
    """Train steps a second, sampled and trained as the learner does."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from robo.learning import agents  # noqa: PLC0415 imports TensorFlow

    settings = config.load([config.ROOT / "configs" / "ddpg.yml"])
    agents.set_threads(learner_threads(settings, len(usable_cores())))
    size = observation_size(settings.observation)
    agent = agents.build(settings, size)
    agent.prepare(settings.agent.batch_size)
    random = np.random.default_rng(0)
    replay = Replay(settings.replay.capacity, layout(size), random)
    replay.add(_transitions(random, size))

    def train() -> None:
        agent.train(replay.sample(settings.agent.batch_size, STEPS_A_CALL))

    for _ in range(WARM_CALLS):
        train()
    before, began = agent.step, time.perf_counter()
    while time.perf_counter() - began < seconds:
        train()
    return (agent.step - before) / (time.perf_counter() - began)


def _transitions(random: np.random.Generator, size: int) -> Transitions:
    """Such as a driver's, by their ranges."""
    observations = random.uniform(0.0, 1.0, (2, ROWS, size)).astype(np.float32)
    actions = random.uniform(-1.0, 1.0, (ROWS, ACTION_SIZE)).astype(np.float32)
    rewards = random.normal(0.0, 0.1, ROWS).astype(np.float32)
    return Transitions(observations[0], actions, rewards, np.ones(ROWS, np.float32), observations[1])


if __name__ == "__main__":
    sys.exit(main())
