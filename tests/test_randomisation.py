"""Cars of the embedded simulator that differ from one another and from placement to placement."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from processes import simulator
from robo import config
from robo.config import ROOT, Randomisation
from robo.errors import UserError
from robo.gym import RobotiniEnv
from robo.simulation import randomisation, world
from robo.simulation.camera import CAR_SHADES, Camera
from robo.simulation.look import Look
from robo.simulation.relief import Relief
from robo.simulation.terrain import FlatTerrain
from robo.simulation.track import Track
from robo.simulation.world import Returned, World

ESSES, BRIDGE = (Track.load(ROOT / "configs" / "tracks" / f"{name}.json") for name in ("esses", "bridge"))
both = pytest.mark.parametrize("track", [ESSES, BRIDGE], ids=["flat", "relief"])
LEVEL = 1.0
"""Metres along either track to where it is level and straight."""
EVERYTHING = Randomisation(
    friction=(0.6, 0.9),
    motor=(0.5, 1.5),
    camera_height=(-0.01, 0.02),
    camera_pitch=(-0.05, 0.1),
    light=(0.6, 1.2),
    colours=(0.8, 1.1),
    latency=(0, 3),
)


def made(track: Track, **ranges: tuple[float, float]) -> World:
    """A world with one car."""
    found = World(track, seed=1, randomisation=Randomisation(**ranges))
    found.add_car("car")
    found.place("car", LEVEL)
    return found


def drive(driven: World, frames: int, **commands: float) -> None:
    for _ in range(frames):
        for name in driven.cars:
            driven.hear(name)
            driven.command(name, **commands)
        driven.step()


def speed(driven: World) -> float:
    return math.hypot(*driven.status("car").velocity)


def trail(driven: World, frames: int = 600) -> list[object]:
    """Events, and now and then statuses and pictures, of a car's drive with crashes and returns."""
    random = np.random.default_rng(0)
    found: list[object] = []
    for frame in range(frames):
        driven.hear("car")
        if frame % 5 == 0:
            driven.command("car", throttle=random.uniform(0.1, 0.4), turn=random.uniform(-1.0, 1.0))
        found += [event for event in driven.step() if event.car == "car"]
        if frame % 50 == 0:
            found += [driven.status("car"), driven.render("car", 64).tobytes()]
    assert Returned("car") in found
    return found


def sky(picture: np.ndarray) -> float:
    """Share of a picture that is sky."""
    grey = (picture == picture[..., :1]).all(axis=2)
    return float((grey & (picture[..., 0] >= 70) & (picture[..., 0] <= 110)).mean())


@both
def test_without_ranges_nothing_is_drawn_and_nothing_changes(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(world, "draw")
    trails = []
    for ranges in (None, Randomisation()):
        driven = World(track, seed=4, randomisation=ranges)
        driven.add_car("car")
        trails.append(trail(driven))
    assert trails[0] == trails[1]


@both
def test_nominal_ranges_change_nothing_bit_for_bit(track: Track) -> None:
    one, nothing = (1.0, 1.0), (0.0, 0.0)
    plain = made(track)
    nominal = made(
        track,
        friction=one,
        motor=one,
        camera_height=nothing,
        camera_pitch=nothing,
        light=one,
        colours=one,
        latency=(0, 0),
    )
    for driven in (plain, nominal):
        drive(driven, 30, throttle=0.12, turn=0.02)
    assert speed(plain) > 0.5
    assert plain.status("car") == nominal.status("car")
    assert np.array_equal(plain.render("car", 128), nominal.render("car", 128))


@both
def test_a_seed_gives_the_same_variations_again(track: Track) -> None:
    trails = []
    for seed in (9, 9, 10):
        driven = World(track, seed=seed, randomisation=EVERYTHING)
        driven.add_car("car")
        trails.append(trail(driven))
    assert trails[0] == trails[1] != trails[2]


@both
def test_a_car_varies_the_same_whoever_else_is_there(track: Track) -> None:
    alone, crowded = (World(track, seed=2, ghosts=True, randomisation=EVERYTHING) for _ in range(2))
    alone.add_car("car")
    for name in ("car", "other", "third"):
        crowded.add_car(name)
    crowded.place("other", 3.0)
    crowded.remove_car("third")
    assert trail(alone) == trail(crowded)


def test_every_placement_draws_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(*arguments: object) -> randomisation.Variation:
        drawn.append(randomisation.draw(*arguments))
        return drawn[-1]

    monkeypatch.setattr(world, "draw", draw)
    driven = World(ESSES, seed=1, randomisation=EVERYTHING)
    driven.add_car("car")
    driven.place("car", 2.0)
    assert len(set(drawn)) == 2
    returns = trail(driven).count(Returned("car"))
    assert len(set(drawn)) == 2 + returns


def test_draws_stay_in_their_ranges_and_fill_them() -> None:
    random = np.random.default_rng(0)
    drawn = [randomisation.draw(EVERYTHING, random) for _ in range(300)]
    looks = [variation.look for variation in drawn]
    values = {
        "friction": [variation.friction for variation in drawn],
        "motor": [variation.motor for variation in drawn],
        "camera_height": [look.height for look in looks],
        "camera_pitch": [look.pitch for look in looks],
        "light": [look.light for look in looks],
        "colours": [share for look in looks for colour in look.colours for share in colour],
    }
    for name, found in values.items():
        low, high = getattr(EVERYTHING, name)
        assert low <= min(found) <= low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) <= max(found) <= high
    assert {variation.latency for variation in drawn} == {0, 1, 2, 3}
    assert randomisation.draw(Randomisation(), random) == randomisation.Variation()


@both
def test_half_the_friction_gives_spinning_wheels_half_the_push(track: Track) -> None:
    speeds = []
    for friction in (1.0, 0.5):
        driven = made(track, friction=(friction, friction))
        drive(driven, 6, throttle=1.0)
        speeds.append(speed(driven))
    assert speeds[1] == pytest.approx(speeds[0] / 2, rel=0.1)


@both
def test_a_stronger_motor_drives_faster(track: Track) -> None:
    speeds = []
    for motor in (1.0, 1.5):
        driven = made(track, motor=(motor, motor))
        drive(driven, 20, throttle=0.05)
        speeds.append(speed(driven))
    assert speeds[1] == pytest.approx(1.5 * speeds[0], rel=0.05)


@both
def test_a_higher_camera_sees_more_sky_over_the_walls_and_a_tilted_one_less(track: Track) -> None:
    plain, high, tilted = (
        sky(made(track, **ranges).render("car", 128))
        for ranges in ({}, {"camera_height": (0.03, 0.03)}, {"camera_pitch": (0.15, 0.15)})
    )
    assert high > plain + 0.01
    assert tilted < plain - 0.05


def test_both_cameras_see_a_flat_track_alike_from_anywhere() -> None:
    relief, ground = Relief(ESSES), FlatTerrain(ESSES, ghosts=True, antialias=False).ground
    state, memory = relief.new_state()
    random = np.random.default_rng(1)
    for _ in range(20):
        look = Look(
            height=random.uniform(-0.04, 0.07),
            pitch=random.uniform(-0.15, 0.5),
            light=random.uniform(0.5, 1.5),
            colours=tuple(tuple(random.uniform(0.5, 1.5, 3)) for _ in range(6)),
        )
        x, _, z, yaw = ESSES.pose(distance := float(random.uniform(0.0, ESSES.length)))
        relief.place(state, memory, distance)
        theirs = relief.picture(state, 128, camera=relief.camera(128, look, antialias=False))
        ours = Camera(128, ground, look=look).picture(x, z, yaw)
        alike = np.abs(ours.astype(int) - theirs).max(axis=2) < 12
        assert alike.mean() > 0.93


@both
def test_light_scales_everything_that_is_seen(track: Track) -> None:
    pictures = []
    for light in (1.0, 0.5, 3.0):
        seen = made(track, light=(light, light))
        seen.add_car("other")
        seen.place("other", LEVEL + 0.6)
        pictures.append(seen.render("car", 128).astype(float))
    plain, dark, bright = pictures
    assert (plain == CAR_SHADES[2, 0]).any()  # the other car's back
    assert np.abs(dark - plain / 2).max() <= 0.5
    assert np.abs(bright - np.minimum(3 * plain, 255)).max() == 0


@both
def test_colours_change_the_ground_alone(track: Track) -> None:
    plain = made(track).render("car", 128)
    varied = made(track, colours=(0.6, 0.8)).render("car", 128)
    assert sky(varied) == sky(plain) > 0.05
    bright = plain.max(axis=2) > 120  # floor in the light
    shares = varied[bright] / np.maximum(plain[bright], 1)
    assert bright.mean() > 0.1
    assert shares.min() > 0.55
    assert shares.max() < 0.85
    assert len(np.unique(varied[bright], axis=0)) == len(np.unique(plain[bright], axis=0))


@both
def test_a_late_picture_shows_the_car_and_all_others_as_they_were(track: Track) -> None:
    late, plain = made(track, latency=(4, 4)), made(track)
    for driven in (late, plain):
        driven.add_car("ahead")
        driven.place("ahead", LEVEL + 0.5)
    past = [plain.render("car", 64)]
    for _ in range(30):
        for driven in (late, plain):
            drive(driven, 1, throttle=0.1)
        past.append(plain.render("car", 64))
        assert np.array_equal(late.render("car", 64), past[max(len(past) - 5, 0)])
    assert len({picture.tobytes() for picture in past}) > 25
    for driven in (late, plain):
        driven.place("car", LEVEL)
    assert np.array_equal(late.render("car", 64), plain.render("car", 64))


@both
def test_a_car_that_joins_is_seen_as_late_as_everything(track: Track) -> None:
    late, without = made(track, latency=(3, 3)), made(track)
    past = []
    for frame in range(15):
        if frame == 8:
            late.add_car("new")
            late.place("new", LEVEL + 0.4)
        if frame == 13:
            late.remove_car("new")
        past.append(without.render("car", 64))
        unseen = np.array_equal(late.render("car", 64), past[max(frame - 3, 0)])
        assert unseen == (frame not in (11, 12))
        for driven in (late, without):
            drive(driven, 1)


def test_equal_seeds_give_equal_episodes_of_the_environment() -> None:
    ranges = [
        "randomisation.friction=[0.5, 1]",
        "randomisation.light=[0.5, 1]",
        "randomisation.latency=[0, 3]",
    ]
    env = RobotiniEnv("camera", ESSES, settings=config.load(sets=ranges))

    def episode(seed: int) -> list[bytes]:
        seen = [env.reset(seed=seed)[0]]
        seen += [env.step(np.array([1.0, 0.2], np.float32))[0] for _ in range(5)]
        return [picture.tobytes() for picture in seen]

    first, other, again = episode(1), episode(2), episode(1)
    assert first == again
    assert first != other


def test_the_embedded_simulator_takes_its_ranges_from_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worlds = []
    monkeypatch.setattr(
        simulator, "World", lambda *args, **more: worlds.append(World(*args, **more)) or worlds[0]
    )
    sets = ["randomisation.light=[0.5, 0.5]", "simulator.car_port=0", "simulator.spectator_port=0"]
    simulator.open_server(config.load(sets=sets)).close()
    worlds[0].add_car("car")
    worlds[0].place("car", LEVEL)
    dark, plain = worlds[0].render("car", 128), made(ESSES).render("car", 128)
    assert np.abs(dark - plain / 2).max() <= 0.5


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("randomisation.friction=[1.2, 0.8]", "randomisation.friction: [1.2, 0.8]"),
        ("randomisation.friction=[0.0, 0.8]", "randomisation.friction"),
        ("randomisation.friction=[.nan, 0.8]", "randomisation.friction"),
        ("randomisation.motor=[0.5]", "randomisation.motor"),
        ("randomisation.camera_height=[0, 0.1]", "randomisation.camera_height"),
        ("randomisation.camera_pitch=[0, 2]", "randomisation.camera_pitch"),
        ("randomisation.latency=[0, 1.5]", "randomisation.latency"),
        ("randomisation.light=0.5", "randomisation.light"),
        ("randomisation.colour=[0, 1]", "did you mean 'colours'"),
    ],
)
def test_a_bad_range_is_named(setting: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        config.load(sets=[setting])
