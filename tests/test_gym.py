"""The Gymnasium environments: what the API demands, and what training does."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import robo.gym
from robo import config
from robo.driving.debug_policy import follow_colors
from robo.driving.policies import to_action
from robo.errors import UserError
from robo.simulation.track import Track

ACCELERATE = np.array([1.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def track() -> Track:
    return Track.load(config.ROOT / config.EMBEDDED_TRACK)


@pytest.mark.parametrize("observation", ["color_mass", "camera", "state"])
def test_keeps_to_the_gymnasium_api(track: Track, observation: str) -> None:
    env = gymnasium.make("robo/Robotini-v0", observation=observation, track=track, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # An unbounded state is meant so.
        warnings.filterwarnings("ignore", message=".*Box observation space.*infinity.*")
        warnings.filterwarnings("ignore", message=".*different render modes.*|.*alternative render modes.*")
        check_env(env.unwrapped)
    env.close()


def follow(track: Track, steps: int, **options: object) -> tuple[list[float], bool, bool, dict]:
    """Drive by colours; the rewards and what the last step said."""
    settings = config.load(sets=options.pop("sets", ()))
    env = robo.gym.RobotiniEnv(track=track, settings=settings, **options)
    seen, _ = env.reset(options={"place": 0.5})
    rewards = []
    for _ in range(steps):
        throttle, turn = follow_colors(seen[48:72].reshape(8, 3))
        seen, reward, terminated, truncated, info = env.step(to_action(settings.action, throttle, turn))
        assert env.observation_space.contains(seen)
        rewards.append(reward)
        if terminated or truncated:
            break
    return rewards, terminated, truncated, info


def test_pays_for_metres_along_the_track(track: Track) -> None:
    rewards, terminated, truncated, info = follow(track, 100)
    assert not terminated and not truncated and not info["crashes"]
    assert sum(rewards) == pytest.approx(2.0 * (info["distance"] - 0.5), abs=1e-6)


def test_pays_for_segments(track: Track) -> None:
    rewards, *_ = follow(track, 100, reward="segments")
    assert sum(reward > 0 for reward in rewards) > 5
    assert sum(reward == 0 for reward in rewards) > 30


def test_truncates_when_the_time_is_over(track: Track) -> None:
    rewards, terminated, truncated, info = follow(track, 100, sets=["episode.max_seconds=1"])
    assert (len(rewards), terminated, truncated) == (21, False, True)
    assert info["end"] == "time limit"


def test_truncates_when_the_laps_are_done(track: Track) -> None:
    _, terminated, truncated, info = follow(track, 2000, sets=["episode.laps=1"])
    assert (terminated, truncated, info["laps"]) == (False, True, 1)
    assert len(info["lap_seconds"]) == 1


def test_terminates_when_the_car_is_returned(track: Track) -> None:
    env = robo.gym.RobotiniEnv(track=track)
    before, _ = env.reset(options={"place": 0.0})
    for _ in range(400):
        seen, _, terminated, truncated, info = env.step(ACCELERATE)
        if terminated:
            break
        before = seen
    assert (terminated, truncated, info["end"]) == (True, False, "returned to track")
    assert np.array_equal(seen[48:72], before[48:72])
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(ACCELERATE)


def test_the_same_seed_gives_the_same_episode(track: Track) -> None:
    env = robo.gym.RobotiniEnv(track=track, settings=config.load(sets=["action.repeat=1"]))
    runs = []
    for _ in range(2):
        seen, _ = env.reset(seed=3)
        runs.append([seen, *(env.step(ACCELERATE)[0] for _ in range(20))])
    assert np.array_equal(*runs)
    other, _ = env.reset(seed=4)
    assert not np.array_equal(other, runs[0][0])


def test_a_state_tells_left_from_right(track: Track) -> None:
    env = robo.gym.RobotiniEnv("state", track)
    env.reset(options={"place": 0.5})
    for _ in range(8):
        seen, *_ = env.step(np.array([0.0, 1.0], np.float32))
    speed, _, offset, sine, cosine, rate = seen[:6]
    assert speed > 0.1 and offset > 0 and sine > 0 and cosine > 0 and rate > 0


def test_drives_on_a_track_that_climbs() -> None:
    env = robo.gym.RobotiniEnv("state", config.ROOT / "configs/tracks/bridge.json")
    env.reset(seed=1)
    seen, reward, *_ = env.step(ACCELERATE)
    assert np.isfinite(seen).all() and reward >= 0


@pytest.mark.parametrize(("option", "value"), [("observation", "smell"), ("reward", "praise")])
def test_names_a_wrong_choice(track: Track, option: str, value: str) -> None:
    with pytest.raises(UserError, match=f"{option} '{value}': choose one of"):
        robo.gym.RobotiniEnv(track=track, **{option: value})
