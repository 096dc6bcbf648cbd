"""Runs to break, and what is left of them afterwards."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import Command, Run

Start = Callable[..., Run]

MEASURING = os.environ.get("FAULT_FIGURES", "")
"""Where figures go; none are taken where it is empty."""
LEARNING = ("scripts.train", "configs/ddpg.yml")
DRIVING = ("scripts.debug_policy",)
"""The hand-written policy: there in two seconds, as there is no TensorFlow to load."""


def sets(*items: str) -> tuple[str, ...]:
    """``--set`` options."""
    return tuple(word for item in items for word in ("--set", item))


def allowed(seconds: float) -> float:
    """How long something may take: so long where figures are taken, and several times that elsewhere."""
    return seconds if MEASURING else 4.0 * seconds


def free_ports() -> tuple[int, int]:
    """Two ports where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep figures, as a JSON line in the file that FAULT_FIGURES names, for docs/FAULTS.md."""

    def note(**figures: object) -> None:
        if MEASURING:
            with Path(MEASURING).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"test": request.node.name, **figures}) + "\n")

    return note


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start runs that are kept in tmp_path; whatever is left of them at the end is killed.

    Nothing of them may be left in /dev/shm.
    """
    before = set(os.listdir("/dev/shm"))
    runs: list[Run] = []

    def start(*arguments: str, runs_in: Path = tmp_path, **options: str) -> Run:
        runs.append(Run(*arguments, runs=runs_in, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.end()
    assert set(os.listdir("/dev/shm")) <= before


@pytest.fixture
def simulator() -> Iterator[Callable[..., Command]]:
    """Start the embedded simulator alone, as one that runs elsewhere, at two ports."""
    started: list[Command] = []

    def start(car_port: int, spectator_port: int, clock: str = "realtime") -> Command:
        ports = ("--car-port", str(car_port), "--spectator-port", str(spectator_port))
        started.append(Command("scripts.simulator", *ports, "--clock", clock, runs=None))
        return started[-1]

    yield start
    for command in started:
        command.end()
