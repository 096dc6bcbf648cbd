"""The Gymnasium environments: what the API demands, and what training does."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

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
    return load("ring")


def load(name: str) -> Track:
    """A track of ours, or a small one that bends to the right all the way and is soon made."""
    if name != "ring":
        return Track.load(config.ROOT / f"configs/tracks/{name}.json")
    turn = np.linspace(0.0, 2.0 * np.pi, 60, endpoint=False)
    return Track(0.8 * np.stack([1.0 - np.cos(turn), 0.0 * turn, np.sin(turn)], axis=1), name=name)


@pytest.mark.parametrize("observation", ["policy", "camera", "state"])
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
    masses = ("observation.kind=color_mass", "observation.history=1")
    settings = config.load(sets=[*masses, *options.pop("sets", ())])
    env = robo.gym.RobotiniEnv(track=track, settings=settings, **options)
    seen, _ = env.reset(options={"place": 0.5})
    rewards = []
    for _ in range(steps):
        throttle, turn = follow_colors(seen[:24].reshape(8, 3))
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
    assert np.array_equal(seen[:144], before[:144])
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


@pytest.mark.parametrize(("option", "value"), [("observation", "smell"), ("reward", "praise")])
def test_names_a_wrong_choice(track: Track, option: str, value: str) -> None:
    with pytest.raises(UserError, match=f"{option} '{value}': choose one of"):
        robo.gym.RobotiniEnv(track=track, **{option: value})


class Case(NamedTuple):
    """How cars drive: side by side, and then each of them alone."""

    track: str
    observation: str
    reward: str
    steps: int
    sets: list[str]
    ends: set[str]
    """What episodes must end by, so that the test sees such ends."""
    seed: int = 0
    """Some meet what is rare: a crash with a lap's end, a segment driven back and again, another branch."""


RETURNED, STUCK, DONE, LATE = "returned to track", "no progress", "laps done", "time limit"
SMOOTH = ["simulator.antialias=true", "observation.action_history=0", "observation.history=1"]
MASSES = ["observation.kind=color_mass", "observation.history=3", "observation.motion=false"]
WILD = ["action.throttle_min=0", "action.throttle_max=0.5", "simulator.segments=100"]
CASES = {
    "laps": Case(
        "ring", "state", "segments", 60, ["action.repeat=12", "episode.laps=2"], {DONE, RETURNED}, 8
    ),
    "grid": Case("ring", "policy", "progress", 80, [], {RETURNED}),
    "bridge grid": Case("bridge", "policy", "segments", 80, [], {RETURNED}),
    "wild": Case("ring", "state", "segments", 40, WILD, {RETURNED}, 1),
    "masses": Case("ring", "policy", "progress", 80, MASSES, {RETURNED}),
    "each frame": Case("ring", "camera", "segments", 120, ["action.repeat=1"], set()),
    "smooth": Case("ring", "policy", "auto", 20, SMOOTH, set()),
    "stuck": Case("ring", "state", "progress", 80, ["episode.stuck_metres=2", "reward.stuck=-7"], {STUCK}),
    "late": Case("ring", "state", "segments", 80, ["episode.max_seconds=2"], {LATE}),
    "bridge laps": Case("bridge", "state", "progress", 200, ["episode.laps=1"], {DONE, RETURNED}),
    "bridge masses": Case("bridge", "policy", "segments", 80, MASSES, {RETURNED}),
    "bridge wild": Case("bridge", "state", "segments", 100, WILD, {RETURNED}, 6),
    "loop wild": Case("loop", "state", "segments", 70, WILD, {RETURNED}, 3),
    "loop smooth": Case("loop", "camera", "progress", 20, SMOOTH, set()),
}


class Recorded(np.random.Generator):
    """Random numbers that remember which they gave last."""

    given: Any = None

    def uniform(self, *limits: Any) -> Any:
        self.given = super().uniform(*limits)
        return self.given


def steered(state: np.ndarray) -> np.ndarray:
    """An action that keeps a car at 3 m/s on the centre line, from its ``state`` observation."""
    speed, offset, sine_ahead = state[[0, 2, 8]]
    return np.clip([3.0 - speed, 2.0 * sine_ahead - 2.0 * offset], -1.0, 1.0).astype(np.float32)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two observations are the same; those of ``state`` within rounding."""
    return np.allclose(a, b, rtol=1e-6, atol=1e-6) if len(a) == 18 else np.array_equal(a, b)


@pytest.mark.parametrize("name", CASES)
def test_many_cars_drive_as_each_would_alone(name: str) -> None:
    case = CASES[name]
    track = load(case.track)
    options = {
        "observation": case.observation,
        "track": track,
        "reward": case.reward,
        "settings": config.load(sets=case.sets),
    }
    many, alone = robo.gym.VectorRobotini(3, **options), robo.gym.RobotiniEnv(**options)
    random, many.np_random = np.random.default_rng(case.seed), Recorded(np.random.PCG64(0))
    places = random.uniform(0.0, track.length, 3)
    places[0] = track.length - 0.2  # so that a lap begins soon
    begun, _ = many.reset(options={"place": places})
    steps, seen, ends = [], begun, set()
    for count in range(case.steps):
        if count % 8 == 0:
            held = random.uniform(-1.0, 1.0, (3, 2)).astype(np.float32)
        actions = held.copy()
        if case.observation == "state":
            actions[0] = steered(seen[0])
            actions[1] = steered(seen[1])
            actions[1, 1] += random.normal(0.0, 0.5)
        step = many.step(actions)
        steps.append((actions, step, many.np_random.given))
        seen = step[0]
    for row in range(3):
        assert same(alone.reset(options={"place": places[row]})[0], begun[row])
        for actions, (seen, rewards, terminated, truncated, infos), again in steps:
            expected, reward, *ended, info = alone.step(actions[row])
            assert ended == [terminated[row], truncated[row]]
            assert rewards[row] == pytest.approx(reward, abs=1e-6)
            last, last_infos = seen[row], infos
            if any(ended):
                ends.add(info["end"])
                last, last_infos = infos["final_obs"][row], infos["final_info"]
                assert last_infos["end"][row] == info["end"]
                assert last_infos["lap_seconds"][row] == pytest.approx(info["lap_seconds"])
                place = again[np.flatnonzero(terminated | truncated).tolist().index(row)]
                first, _ = alone.reset(options={"place": place})
                assert same(seen[row], first)
            assert same(last, expected)
            keys = ["crashes", "laps", "time"]
            if info.get("end") != RETURNED:  # where alone the car is elsewhere already
                keys += ["speed", "distance"]
            for key in keys:
                assert last_infos[key][row] == pytest.approx(info[key], abs=1e-6)
    assert ends >= case.ends


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


def test_benchmark_counts_steps() -> None:
    assert robo.gym.benchmark(5)() == 5


@pytest.mark.parametrize("name", ["ring", "bridge"])
def test_threads_change_nothing(name: str) -> None:
    track = load(name)
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


@pytest.mark.parametrize("name", ["ring", "bridge"])
def test_many_cars_vary_as_each_would_alone(name: str) -> None:
    shares = ("friction=[0.7, 0.7]", "motor=[1.3, 1.3]", "light=[0.8, 0.8]", "colours=[0.9, 0.9]")
    camera = ("camera_height=[0.01, 0.01]", "camera_pitch=[0.05, 0.05]", "latency=[4, 4]")
    settings = config.load(sets=[f"randomisation.{one}" for one in (*shares, *camera)])
    random, course = np.random.default_rng(5), load(name)
    many = robo.gym.VectorRobotini(8, "camera", course, settings=settings)
    alone = [robo.gym.RobotiniEnv("camera", course, settings=settings) for _ in range(8)]
    places = random.uniform(0.0, course.length, 8)
    seen, _ = many.reset(options={"place": places})
    each = [env.reset(options={"place": place})[0] for env, place in zip(alone, places, strict=True)]
    assert np.array_equal(seen, each)
    for _ in range(12):
        actions = random.uniform(-1.0, 1.0, (8, 2)).astype(np.float32)
        seen, rewards, *_ = many.step(actions)
        results = [env.step(action) for env, action in zip(alone, actions, strict=True)]
        assert np.array_equal(seen, [result[0] for result in results])
        assert rewards == pytest.approx([result[1] for result in results], abs=1e-9)
    many.close()


def test_every_episode_of_many_cars_varies_anew(track: Track) -> None:
    settings = config.load(sets=["randomisation.light=[0.5, 1.0]", "episode.max_seconds=0.5"])
    many = robo.gym.VectorRobotini(4, "camera", track, settings=settings)
    seen, _ = many.reset(seed=1, options={"place": 1.0})
    lights = [picture[0].mean() for picture in seen]  # of the sky
    for _ in range(11):
        seen, _, _, truncated, _ = many.step(np.zeros((4, 2), np.float32))
    assert truncated.all()
    lights += [picture[0].mean() for picture in seen]
    assert len(set(lights)) > 4  # the sky is whole numbers, of which two may be the same
    many.close()
