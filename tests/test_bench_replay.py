"""The replay benchmark: both feeds hand on what was put, and the command line says what it measured."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from typing import Any

import numpy as np
import pytest

from bench import feeds, replay
from bench.feeds import FEEDS, REVERB
from bench.learner import random_rows
from robo.driving.experience import layout
from scripts.command import BAD_INPUT, guarded

KINDS = list(replay.KINDS)
WAIT_SECONDS = 60.0


def needs(name: str) -> None:
    if name != "ours" and not REVERB.exists():
        pytest.skip("dm-reverb is not installed; make bench_replay installs it")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FEEDS)
def test_a_feed_hands_on_the_rows_that_were_put(name: str, kind: str) -> None:
    needs(name)
    config = replay.load(kind)
    rows = random_rows(np.random.default_rng(0), layout(config), 640)
    context = multiprocessing.get_context("spawn")
    feed = FEEDS[name](config, context)
    try:
        process = context.Process(target=replay.put_all, args=(feed.writer(), [rows]), daemon=True)
        process.start()
        give_up = time.monotonic() + WAIT_SECONDS
        while feed.inserted < len(rows.reward):
            assert time.monotonic() < give_up
            feed.receive()
            time.sleep(0.01)
        process.join(WAIT_SECONDS)
        assert feed.inserted == len(rows.reward)
        assert process.exitcode == 0
        # By its reward each row is known.
        places = {reward.tobytes(): place for place, reward in enumerate(rows.reward)}
        seen = set()
        for _ in range(30):
            batches = [np.asarray(array) for array in feed.sample()]
            flat = [array.reshape(-1, *array.shape[2:]) for array in batches]
            found = [places[reward.tobytes()] for reward in flat[2]]
            for got, put in zip(flat, rows, strict=True):
                np.testing.assert_array_equal(got, put[found])
            seen.update(found)
        assert len(seen) > 0.9 * len(places)
    finally:
        feed.close()


def test_a_line_has_the_medians_of_its_rounds() -> None:
    rounds = [
        replay.Round(
            train_steps_per_s=steps,
            alone_train_steps_per_s=400.0,
            flat_out_train_steps_per_s=100.0,
            inserts_per_s=5000.0,
            sample_ms=1.0,
            memory_mb=600.0,
            cpu_ms=3.0,
        )
        for steps in (200.0, 100.0, 360.0)
    ]
    line = replay.line("transitions", "ours", rounds)
    assert list(line) == [
        "kind",
        "feed",
        "train_steps_per_s",
        "alone_train_steps_per_s",
        "learner_ratio",
        "inserts_per_s",
        "sample_ms",
        "memory_mb",
        "flat_out_learner_ratio",
        "cpu_ms",
    ]
    assert (line["train_steps_per_s"], line["learner_ratio"], line["flat_out_learner_ratio"]) == (
        200,
        0.5,
        0.25,
    )
    json.dumps(line)


def test_figures_show_each_kind_and_feed_and_how_many_times_better_ours_is() -> None:
    def result(feed: str, ratio: float) -> dict[str, Any]:
        made = replay.Round(100.0 * ratio, 100.0, 50.0, 1000.0, 1.0, 600.0, 3.0)
        return replay.line("transitions", feed, [made])

    text = replay.figures([result("ours", 0.1), result("reverb", 0.45), result("ours", 0.9)])
    assert text.count("| transitions | ours |") == 1
    assert "| transitions | reverb | 2 |" in text


@pytest.mark.parametrize(
    ("option", "value"), [("--kinds", "pictures"), ("--feeds", "ours,post"), ("--rounds", "0")]
)
def test_what_is_not_known_is_refused(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.replay", option, value])
    assert guarded(replay.main) == BAD_INPUT
    error = capsys.readouterr().err
    assert option in error
    assert value.rpartition(",")[2] in error


def test_reverb_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setattr(feeds, "REVERB", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench.replay", "--feeds", "reverb"])
    assert guarded(replay.main) == BAD_INPUT
    assert "make bench_replay" in capsys.readouterr().err
