"""Vital signs: what a process says of itself reaches the supervisor, and outlives the process."""

from __future__ import annotations

import multiprocessing

from processes.vitals import COMPLAINT_BYTES, Count, Vitals


def test_a_beat_and_readiness_are_a_process_s_own() -> None:
    vitals = Vitals(2)
    vitals.reset(1, 5.0)
    assert not vitals.ready(1)
    vitals.beat(1, 6.5)
    vitals.set_ready(1)
    assert (vitals.ready(1), vitals.last_beat(1), vitals.ready(0)) == (True, 6.5, False)


def test_counts_add_up_and_a_new_life_counts_on() -> None:
    vitals = Vitals(2)
    assert vitals.count(1, Count.FRAMES, 3) == 3
    assert vitals.count(0, Count.CACHE) == 1
    vitals.reset(1, 0.0)
    assert vitals.count(1, Count.FRAMES) == 4
    vitals.count(1, Count.STEPS, 0)
    assert vitals.counts(1) == {Count.FRAMES: 4}
    assert vitals.counts(0) == {Count.CACHE: 1}


def test_a_complaint_stays_until_it_is_taken_back_or_the_process_starts_anew() -> None:
    vitals = Vitals(2)
    vitals.complain(1, "no room on the disk: none, été")
    assert (vitals.complaint(0), vitals.complaint(1)) == ("", "no room on the disk: none, été")
    vitals.complain(1, "é" * COMPLAINT_BYTES)
    assert vitals.complaint(1) == "é" * (COMPLAINT_BYTES // 2)
    vitals.reset(1, 0.0)
    assert vitals.complaint(1) == ""


def _complain(vitals: Vitals) -> None:
    vitals.complain(1, "from elsewhere")
    vitals.count(1, Count.FRAMES, 2)


def test_vitals_are_shared_with_spawned_processes() -> None:
    vitals = Vitals(2)
    process = multiprocessing.get_context("spawn").Process(target=_complain, args=(vitals,))
    process.start()
    process.join(30)
    assert vitals.complaint(1) == "from elsewhere"
    assert vitals.counts(1) == {Count.FRAMES: 2}
