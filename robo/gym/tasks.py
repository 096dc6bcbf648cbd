"""What one car and many of them have in common: the settings, the track, and what is seen and done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from gymnasium.spaces import Box

from robo import config
from robo.config import Config
from robo.driving.motion import MOTION_SIZE
from robo.driving.transitions import ACTION_SIZE
from robo.errors import UserError
from robo.gym.course import STATE_SIZE
from robo.perception import kinds
from robo.simulation.track import Track

REWARDS = ("auto", "progress", "segments")


def load(settings: Config | None, track: str | Path | Track | None, reward: str) -> tuple[Config, Track]:
    """The settings (None: the defaults) with this kind of reward, and the track (None: the settings').

    Raises UserError for a reward of no known kind and for a track file that can't be read.
    """
    if reward not in REWARDS:
        raise UserError(f"reward {reward!r}: choose one of: {', '.join(REWARDS)}")
    settings = config.load() if settings is None else settings
    paid = msgspec.structs.replace(settings.reward, kind=reward)
    settings = msgspec.structs.replace(settings, reward=paid)
    if not isinstance(track, Track):
        # As in a config, a relative path is the working directory's; the default is where this package is.
        path = track or settings.track or config.EMBEDDED_TRACK
        inside = config.ROOT / path
        track = Track.load(inside if not Path(path).exists() and inside.exists() else path)
    return settings, track


def action_space() -> Box:
    """Throttle and turn, each -1..1, as ``robo.driving.policies.to_command`` takes them."""
    return Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)


def observation_space(kind: str, settings: Config) -> Box:
    """What an observation of this kind may be. Raises UserError for no known kind."""
    if kind == "policy":
        observation = settings.observation
        seen = observation.history * kinds.size(observation.kind)
        done = observation.action_history * ACTION_SIZE
        moving = np.full(MOTION_SIZE * observation.motion, np.inf)
        low = np.concatenate([np.zeros(seen), -np.ones(done), -moving]).astype(np.float32)
        high = np.concatenate([np.ones(seen + done), moving]).astype(np.float32)
        return Box(low, high, dtype=np.float32)
    if kind == "camera":
        width = settings.cars.image_width
        return Box(0, 255, (width * 80 // 128, width, 3), np.uint8)
    if kind == "state":
        return Box(-np.inf, np.inf, (STATE_SIZE,), np.float32)
    raise UserError(f"observation {kind!r}: choose one of: policy, camera, state")


def clipped(actions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of actions, float32, clipped to -1..1. Raises ValueError for another shape or a NaN."""
    copy = np.array(actions, np.float32)
    if copy.shape != shape or np.isnan(copy).any():
        raise ValueError(f"actions must be {list(shape)} numbers, not NaN; they are {actions!r:.100}")
    return np.clip(copy, -1.0, 1.0)
