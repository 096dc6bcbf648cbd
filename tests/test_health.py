"""What is wrong with a run is said in words, whatever is wrong; and what is not wrong is not."""

from __future__ import annotations

import msgspec
import pytest

from robo.cache_values import CarInfo, Machine, ProcessHealth, Progress, RunInfo
from robo.health import Look, Notice, notices, process_notices, readiness

NOW = 1_700_000_000.0
GB = 10**9


def process(**changes: object) -> ProcessHealth:
    values = {"at": NOW - 0.2, "state": "running", "pid": 7, "restarts": 0, "beat_age_s": 0.5, **changes}
    return ProcessHealth(**values)  # type: ignore[arg-type]


RUN = RunInfo(
    at=NOW - 0.2,
    started_at=NOW - 600.0,
    agent="ddpg",
    clock="lockstep",
    simulator="embedded",
    track="esses",
    cars=[CarInfo("robo1", "explorer", "explorer0"), CarInfo("robo-eval1", "evaluator", "evaluator")],
    observation="color_grid",
    observation_shape=[2, 48, 3],
    throttle_max=0.12,
    decisions_per_second=20.0,
    control=False,
)
PROGRESS = Progress(NOW - 1.0, 1000, 100, 1000, 20.0, 10.0, {})
MACHINE = Machine(NOW, 2, 0.5, 1 * GB, 8 * GB, 50 * GB, 100 * GB)
WELL = Look(
    at=NOW - 0.1,
    run=RUN,
    processes={"explorer0": process(), "learner": process()},
    progress=PROGRESS,
    machine=MACHINE,
    frames={"robo1": NOW - 0.3, "robo-eval1": NOW - 0.4},
)


def changed(**changes: object) -> Look:
    return msgspec.structs.replace(WELL, **changes)


def texts(look: Look, now: float = NOW) -> list[str]:
    return [notice.text for notice in notices(look, now)]


def test_of_a_run_in_order_nothing_is_said() -> None:
    assert notices(WELL, NOW) == []
    assert readiness(WELL, NOW) == []


def test_a_redis_that_is_lost_is_all_that_is_known() -> None:
    lost = changed(redis_why="Connection refused", frames={"robo1": NOW - 100.0})
    assert notices(lost, NOW) == [Notice("error", "Redis: Connection refused")]
    assert readiness(lost, NOW) == ["Redis: Connection refused"]


def test_what_processes_complain_of_is_said_in_their_order() -> None:
    processes = {
        "learner": process(complaint="checkpoint not written: No space left on device"),
        "explorer0": process(state="backing off"),
        "simulator": process(state="starting"),
        "evaluator": process(state="waiting"),
        "car_reader0": process(state="fatal"),
    }
    assert process_notices(processes, NOW) == [
        Notice("warning", "learner: checkpoint not written: No space left on device"),
        Notice("warning", "explorer0 is backing off"),
        Notice("error", "car_reader0 is fatal"),
    ]
    assert process_notices({}, NOW) == [Notice("warning", "no process of it is known")]


def test_errors_come_first() -> None:
    look = changed(processes={"learner": process(state="backing off"), "explorer0": process(state="fatal")})
    assert [notice.level for notice in notices(look, NOW)] == ["error", "warning"]


def test_a_supervisor_that_says_nothing_is_named_and_the_cars_it_leaves_are_not() -> None:
    assert texts(WELL, NOW + 4.0) == []
    silent = changed(at=NOW + 60.0, progress=None)
    assert texts(silent, NOW + 60.0) == ["the supervisor has told nothing for 60 s"]
    assert readiness(silent, NOW + 60.0) == ["the run has told nothing for 60 s"]


@pytest.mark.parametrize(
    ("age", "said"), [(1.9, []), (2.1, ["robo1: no frame for 2.1 s"]), (61.0, ["robo1: no frame for 61.0 s"])]
)
def test_a_car_without_frames_is_named(age: float, said: list[str]) -> None:
    look = changed(frames={"robo1": WELL.at - age, "robo-eval1": WELL.at})
    assert texts(look) == said
    assert readiness(look, NOW) == []  # the other car drives


def test_the_time_since_the_cache_was_read_is_not_taken_for_a_cars() -> None:
    look = changed(at=NOW - 1.5, frames={"robo1": NOW - 2.1})
    assert texts(look) == []


def test_cars_have_some_time_for_their_first_frame() -> None:
    look = changed(frames={"robo1": None, "robo-eval1": WELL.at})
    assert texts(look) == ["robo1: no frame yet"]
    young = changed(frames=look.frames, run=msgspec.structs.replace(RUN, started_at=NOW - 10.0))
    assert texts(young) == []


def test_a_run_none_of_whose_cars_sees_anything_is_not_ready() -> None:
    assert readiness(changed(frames={"robo1": WELL.at - 5.5}), NOW) == ["no car has had a frame for 6 s"]
    assert readiness(changed(frames={"robo1": None}), NOW) == ["no car has had a frame yet"]
    assert readiness(changed(frames={}), NOW) == ["no car has had a frame yet"]


def test_a_learner_that_tells_of_no_progress_is_behind() -> None:
    late = msgspec.structs.replace(PROGRESS, at=NOW - 40.0)
    assert texts(changed(progress=late)) == ["learner behind by 40 s"]
    assert texts(changed(progress=late, processes={"learner": process(state="starting")})) == []
    assert texts(changed(progress=late, processes={"explorer0": process()})) == []  # nothing is learned
    assert texts(changed(progress=None)) == []


@pytest.mark.parametrize(
    ("free", "said", "reasons"),
    [
        (2 * GB, [], []),
        (3 * GB // 10, [Notice("warning", "disk: 0.3 GB left")], []),
        (GB // 20, [Notice("error", "disk: 50 MB left")], ["disk: 50 MB left"]),
    ],
)
def test_a_disk_that_fills_up_is_said(free: int, said: list[Notice], reasons: list[str]) -> None:
    machine = msgspec.structs.replace(MACHINE, disk_free=free, disk_total=20 * GB)
    assert notices(changed(machine=machine), NOW) == said
    assert readiness(changed(machine=machine), NOW) == reasons


def test_a_disk_with_less_than_a_hundredth_left_is_full() -> None:
    machine = msgspec.structs.replace(MACHINE, disk_free=4 * GB, disk_total=1000 * GB)
    assert readiness(changed(machine=machine), NOW) == ["disk: 4.0 GB left"]


def test_a_realtime_run_that_does_not_keep_up_is_said() -> None:
    realtime = msgspec.structs.replace(RUN, clock="realtime")
    slow = msgspec.structs.replace(PROGRESS, env_steps_per_s=12.0)
    assert texts(changed(run=realtime)) == []
    assert texts(changed(run=realtime, progress=slow)) == ["explorers decide 12 times a second, of 20"]
    assert texts(changed(run=msgspec.structs.replace(realtime, paused=True), progress=slow)) == []
    assert texts(changed(run=msgspec.structs.replace(realtime, started_at=NOW - 9.0), progress=slow)) == []
    assert texts(changed(progress=slow)) == []  # in lockstep a run is as fast as it is


def test_a_run_of_which_nothing_is_known_is_not_ready() -> None:
    assert readiness(Look(at=NOW), NOW) == ["nothing is known of this run"]


def test_a_process_that_is_given_up_is_a_reason() -> None:
    look = changed(processes={"explorer0": process(state="fatal"), "learner": process(state="backing off")})
    assert readiness(look, NOW) == ["explorer0 is fatal"]
