import os
import subprocess
import sys

import pytest

from processes import scheduling
from processes.table import Process, processes
from robo import config

LEARNER = Process("learner", "processes.learner", 60.0)
READER = Process("car_reader0", "processes.car_reader", 10.0, hurries=True)


def shares(cores: int, *sets: str) -> tuple[list[int], list[int]]:
    settings = config.load(sets=sets)
    return tuple(scheduling.share(settings, row, list(range(cores))) for row in (LEARNER, READER))


@pytest.mark.parametrize(
    ("cores", "learner", "others"),
    [(1, [0], [0]), (2, [1], [0]), (4, [2, 3], [0, 1]), (16, [12, 13, 14, 15], list(range(12)))],
)
def test_the_learner_has_the_last_cores_and_the_others_the_rest(
    cores: int, learner: list[int], others: list[int]
) -> None:
    assert shares(cores) == (learner, others)


@pytest.mark.parametrize(
    "sets",
    [["learner.own_cores=false"], ["driver=debug", "observation.kind=color_mass"], ["learner.threads=4"]],
)
def test_all_share_all_cores_where_nobody_has_any_of_its_own(sets: list[str]) -> None:
    everything = [0, 1, 2, 3]
    assert shares(4, *sets) == (everything, everything)


def test_as_many_threads_as_set_have_as_many_cores() -> None:
    assert shares(8, "learner.threads=3") == ([5, 6, 7], [0, 1, 2, 3, 4])


def test_whoever_a_frame_waits_for_hurries_and_nobody_else() -> None:
    rows = processes(config.load(), managed_redis=True)
    assert {row.name for row in rows if not row.hurries} == {"redis", "learner", "recorder", "monitor"}


@pytest.mark.parametrize(
    ("setting", "hurries"),
    [
        ("simulator.clock=realtime", True),
        ("simulator.host=192.0.2.7", True),
        ("simulator.clock=lockstep", False),
        ("supervision.realtime_priority=false", False),
    ],
)
def test_only_where_frames_come_by_the_clock_does_anybody_run_before_others(
    setting: str, hurries: bool
) -> None:
    """In a process of its own: this one is to go on as it is."""
    sets = [setting] if "=l" in setting else ["simulator.clock=realtime", setting]
    code = f"""
import os
from processes import scheduling
from processes.table import Process
from robo import config
scheduling.hurry(config.load(sets={sets!r}), Process("x", "x", 10.0, hurries=True), [0, 1])
policy = os.sched_getscheduler(0)
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
except PermissionError:
    policy = -1
print(policy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    policy = int(done.stdout.splitlines()[-1])
    if policy == -1:
        pytest.skip("this system does not permit realtime priorities")
    assert policy == (os.SCHED_FIFO if hurries else os.SCHED_OTHER)
