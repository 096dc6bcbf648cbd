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


ENDS = {
    "driven": [],
    "each frame": ["action.repeat=1"],
    "stuck": ["episode.stuck_metres=2", "reward.stuck=-7"],
    "time over": ["episode.max_seconds=2"],
    "smoothed": ["simulator.antialias=true", "observation.action_history=0", "observation.history=1"],
}


@pytest.mark.parametrize("case", ENDS)
def test_many_cars_drive_as_each_would_alone(track: Track, case: str) -> None:
    settings = config.load(sets=["episode.laps=1", *ENDS[case]])
    count, random, ends = 4, np.random.default_rng(0), set()
    many = robo.gym.VectorRobotini(count, track=track, settings=settings)
    alone = [robo.gym.RobotiniEnv(track=track, settings=settings) for _ in range(count)]
    places = random.uniform(0.0, track.length, count)
    places[0] = track.length - 0.2  # so that a lap begins soon
    seen, _ = many.reset(options={"place": places})
    for row, env in enumerate(alone):
        assert np.array_equal(env.reset(options={"place": places[row]})[0], seen[row])
    newest = slice(24 * (settings.observation.history - 1), 24 * settings.observation.history)
    for _ in range(445 if case == "driven" else 100):
        actions = random.uniform(-1.0, 1.0, (count, 2)).astype(np.float32)
        for row in range(2):
            controls = follow_colors(seen[row, newest].reshape(8, 3))
            actions[row] = to_action(settings.action, *controls)
        seen, rewards, terminated, truncated, infos = many.step(actions)
        for row, env in enumerate(alone):
            expected, reward, *ended, info = env.step(actions[row])
            assert ended == [terminated[row], truncated[row]]
            assert rewards[row] == pytest.approx(reward, abs=1e-6)
            last, last_infos = seen[row], infos
            if any(ended):
                last, last_infos = infos["final_obs"][row], infos["final_info"]
                assert last_infos["end"][row] == info["end"]
                ends.add(info["end"])
                begun, _ = env.reset(options={"place": infos["distance"][row]})
                assert np.array_equal(seen[row], begun)
            assert np.array_equal(last, expected)
            names = ["crashes", "laps", "time"]
            if info.get("end") != "returned to track":  # where alone the car is elsewhere already
                names += ["speed", "distance"]
            for name in names:
                assert last_infos[name][row] == pytest.approx(info[name], abs=1e-6)
    wanted = {"driven": {"laps done", "returned to track"}, "stuck": {"no progress"}}
    assert ends >= wanted.get(case, {"time limit"} if case == "time over" else set())


def test_many_cars_keep_to_the_gymnasium_api(track: Track) -> None:
    many = gymnasium.make_vec(
        "robo/Robotini-v0", 3, observation="camera", track=track, render_mode="rgb_array"
    )
    assert isinstance(many.unwrapped, robo.gym.VectorRobotini)
    assert many.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    first, _ = many.reset(seed=1)
    many.action_space.seed(0)
    assert many.observation_space.contains(first)
    seen, rewards, terminated, truncated, _ = many.step(many.action_space.sample())
    assert many.observation_space.contains(seen)
    assert rewards.shape == terminated.shape == truncated.shape == (3,)
    assert all(np.array_equal(a, b) for a, b in zip(many.render(), seen, strict=True))
    assert np.array_equal(many.reset(seed=1)[0], first)
    with pytest.raises(ValueError, match="not NaN"):
        many.step(np.full((3, 2), np.nan, np.float32))


def test_many_cars_need_a_flat_track() -> None:
    with pytest.raises(UserError, match="track bridge: a vector of cars needs a flat one"):
        robo.gym.VectorRobotini(2, track=config.ROOT / "configs/tracks/bridge.json")


def test_benchmark_counts_steps() -> None:
    assert robo.gym.benchmark(5)() == 5


def test_threads_change_nothing(track: Track) -> None:
    few, many = (robo.gym.VectorRobotini(count, track=track) for count in (4, 32))
    places = np.linspace(0.0, track.length, 32)
    few.reset(options={"place": places[:4]})
    many.reset(options={"place": places})
    many.action_space.seed(0)
    for _ in range(15):  # no episode ends so soon
        actions = many.action_space.sample()
        expected, seen = few.step(actions[:4]), many.step(actions)
        assert all(np.array_equal(a, b[:4]) for a, b in zip(expected[:4], seen[:4], strict=True))
    few.close()
    many.close()
