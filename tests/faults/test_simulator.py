"""A simulator that goes, comes back, is not there yet, or says nothing any more."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import psutil
import pytest

from processes.vitals import Count
from tests.faults.conftest import DRIVING, LEARNING, Start, allowed, free_ports, sets
from tests.running import Command, Run

BACK_SECONDS = 2.0
NOTICED_SECONDS = 3.0
MOST_CPU = 0.05
WATCHED_SECONDS = 5.0


def elsewhere(car_port: int, spectator_port: int) -> tuple[str, ...]:
    """Settings for a simulator that is not the run's own."""
    ports = (f"simulator.car_port={car_port}", f"simulator.spectator_port={spectator_port}")
    return sets("simulator.host=127.0.0.1", "track=configs/tracks/esses.json", *ports)


def listening(command: Command, *ports: int) -> None:
    """Wait until a simulator listens."""
    for port in ports:
        command.wait(lambda port=port: _answers(port), what=f"listening at {port}")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_a_simulator_that_dies_and_comes_back_is_soon_driven_in_again(
    start: Start, simulator: Callable[..., Command], measured: Callable[..., None]
) -> None:
    ports = free_ports()
    first = simulator(*ports)
    listening(first, *ports)
    run = start(*LEARNING, *elsewhere(*ports), *sets("replay.random_transitions=200"))
    run.wait_until_learning()
    learner, interrupted = run.pid("learner"), run.count(Count.INTERRUPTED)
    first.process.kill()
    first.process.wait()
    run.wait(lambda: "not connected" in run.health()["car_reader0"].complaint, what="said")
    inserted = _settled(run)
    gone = time.monotonic()
    run.wait(lambda: time.monotonic() - gone > 10.0)
    assert run.progress().env_steps == inserted  # nothing is made up
    second = simulator(*ports)
    listening(second, *ports)
    back = run.wait(lambda: not run.health()["car_reader0"].complaint, what="back")
    run.wait_until_driving()
    run.wait(lambda: run.progress().env_steps > inserted + 100, what="learning from it")
    measured(reconnected_after_s=round(back, 2), interrupted=run.count(Count.INTERRUPTED) - interrupted)
    assert back < allowed(BACK_SECONDS)
    assert run.count(Count.INTERRUPTED) >= interrupted + len(run.telemetry())
    assert run.pid("learner") == learner
    assert run.count(Count.CONNECTIONS) >= len(run.telemetry()) + 1
    assert run.interrupt() < allowed(5.0)
    assert run.left_behind() == []


def _settled(run: Run) -> int:
    """How many steps the learner has, once what was under way has come."""
    seen = [(run.progress().env_steps, time.monotonic())]

    def settled() -> bool:
        steps = run.progress().env_steps
        if steps != seen[-1][0]:
            seen.append((steps, time.monotonic()))
        return time.monotonic() - seen[-1][1] > 2.0

    run.wait(settled, what="settled")
    return seen[-1][0]


def test_a_simulator_that_is_not_there_yet_is_waited_for(
    start: Start, simulator: Callable[..., Command], measured: Callable[..., None]
) -> None:
    ports = free_ports()
    run = start(*DRIVING, *elsewhere(*ports))
    run.wait(lambda: run.pid("car_reader0"), what="running")
    run.wait(lambda: run.health()["car_reader0"].complaint, what="said")
    assert f"simulator 127.0.0.1:{ports[1]} does not answer yet" in run.output
    assert "refused" in run.health()["car_reader0"].complaint
    began = time.monotonic()
    run.wait(lambda: time.monotonic() - began > 5.0)
    late = simulator(*ports)
    listening(late, *ports)
    back = run.wait(lambda: not run.health()["car_reader0"].complaint, what="connected")
    run.wait_until_driving()
    measured(connected_after_s=round(back, 2))
    assert back < allowed(BACK_SECONDS)
    assert run.health()["car_reader0"].restarts == run.health()["spectator_reader"].restarts == 0
    assert run.interrupt() < allowed(5.0)


def test_a_peer_that_is_silent_is_noticed_and_costs_nothing(
    start: Start, simulator: Callable[..., Command], measured: Callable[..., None]
) -> None:
    """As one whose machine was switched off: the connection stands, and nothing comes."""
    ports = free_ports()
    deaf = [socket.create_server(("127.0.0.1", port)) for port in ports]
    run = start(*DRIVING, *elsewhere(*ports))
    run.wait(lambda: run.pid("car_reader0"), what="running")
    noticed = run.wait(lambda: "silent" in run.health()["car_reader0"].complaint, what="said")
    run.wait(lambda: "silent" in run.health()["spectator_reader"].complaint, what="said of the stream")
    readers = [psutil.Process(run.pid(name)) for name in ("car_reader0", "spectator_reader")]
    before, began = [sum(each.cpu_times()[:2]) for each in readers], time.monotonic()
    run.wait(lambda: time.monotonic() - began > WATCHED_SECONDS)
    seconds = time.monotonic() - began
    cpu = [(sum(each.cpu_times()[:2]) - was) / seconds for each, was in zip(readers, before, strict=True)]
    for each in deaf:
        each.close()
    late = simulator(*ports)
    listening(late, *ports)
    run.wait_until_driving()
    measured(noticed_after_s=round(noticed, 2), cpu=[round(share, 4) for share in cpu])
    assert noticed < allowed(NOTICED_SECONDS)
    assert max(cpu) < MOST_CPU
    assert run.health()["car_reader0"].restarts == run.health()["spectator_reader"].restarts == 0
    assert run.interrupt() < allowed(5.0)
