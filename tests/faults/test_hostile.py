"""A simulator that sends rubbish: the run's readers drop it, count it, and use the next good message."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from processes.vitals import Count
from tests.faults.conftest import DRIVING, Start, allowed, free_ports, sets
from tests.faults.mutations import mutated_frames, mutated_stream
from tests.faults.proxy import Proxy, frames, lines
from tests.running import Command

READERS = ("car_reader0", "frame_processor0", "spectator_reader")
GROWTH_BYTES = 30e6
WARM = 1000
"""Messages after which a reader has reserved what it needs."""


@pytest.mark.parametrize(
    ("count", "spare"),
    [
        (2000, False),
        pytest.param(10_000, False, marks=pytest.mark.slow),
        # Rubbish among bare pixels costs a connection each time, and the next one waits up to a second.
        pytest.param(200, True, marks=pytest.mark.slow),
    ],
)
def test_rubbish_from_the_simulator_is_dropped_and_the_next_good_message_used(
    start: Start, simulator: Callable[..., Command], measured: Callable[..., None], count: int, spare: bool
) -> None:
    car_port, spectator_port = free_ports()
    # In lockstep, which the run does not know of, frames and lines come as fast as they are answered.
    server = simulator(car_port, spectator_port, "lockstep")
    server.wait(lambda: "cars on" in server.output, what="listening")
    picture = cv2.imencode(".png", np.full((80, 128, 3), 90, np.uint8))[1].tobytes()
    random = np.random.default_rng(7)
    cars = Proxy(car_port, frames, itertools.islice(mutated_frames(random, picture), count))
    told = Proxy(
        spectator_port, lines, itertools.islice(mutated_stream(np.random.default_rng(8), "robo1"), count)
    )
    run = start(
        *DRIVING,
        *sets(
            "simulator.host=127.0.0.1", f"simulator.car_port={cars.port}", f"simulator.spare_frames={spare}"
        ),
        *sets(f"simulator.spectator_port={told.port}", "cars.explorers=8", "track=configs/tracks/esses.json"),
    )
    run.wait(lambda: min(cars.sent, told.sent) >= min(WARM, count / 2), what="warm")
    memory = _memory(run.health())
    run.wait(lambda: cars.sent == told.sent == count, what="all sent")
    run.wait_until_driving(100)
    assert server.process.poll() is None
    growth = {name: after - memory[name] for name, after in _memory(run.health()).items()}
    health = run.health()
    dropped = {name: health[name].counts.get(Count.MESSAGES.value, 0) for name in READERS}
    measured(sent_to_each=count, dropped=dropped, growth_mb={k: round(v / 1e6, 1) for k, v in growth.items()})
    assert all(process.restarts == 0 for process in health.values()), health
    assert dropped["car_reader0"] > count / 4 and dropped["spectator_reader"] > count / 4
    assert max(growth.values()) < GROWTH_BYTES
    assert run.interrupt() < allowed(5.0)
    assert run.left_behind() == []
    cars.close()
    told.close()


def _memory(health: dict) -> dict[str, int]:
    """The most that each of the readers ever held, in bytes."""
    memory = {}
    for name in READERS:
        lines = Path(f"/proc/{health[name].pid}/status").read_text().splitlines()
        memory[name] = 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return memory
