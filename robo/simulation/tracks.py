"""The tracks of a run by number, the same ones in every process: its own, and random ones from seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robo import config
from robo.config import Config
from robo.simulation.procedural import random_track
from robo.simulation.track import Track

EVALUATION_SEEDS = 1_000_000
"""So many seeds after the first training track's come those of the tracks that are never trained on."""


class Tracks:
    """Number 0 is the run's own track, if it is known; from 1 on come random ones, made when first asked for.

    ``training``, ``evaluation``: the numbers of those that exploring cars and evaluators drive on.
    """

    def __init__(self, own: Track | None, settings: config.Tracks | None = None) -> None:
        training = settings.training if settings else 0
        evaluation = settings.evaluation if settings and training else 0
        self._settings = settings
        self._made: dict[int, Track] = {} if own is None else {0: own}
        self.training = range(1, 1 + training)
        self.evaluation = range(1 + training, 1 + training + evaluation)

    @classmethod
    def of(cls, settings: Config) -> Tracks:
        """A run's tracks. Raises UserError when its track file can't be read."""
        own = Track.load(Path(settings.track)) if settings.track else None
        return cls(own, settings.tracks)

    def __len__(self) -> int:
        return self.evaluation.stop

    def __getitem__(self, number: int) -> Track:
        """A track. Raises KeyError when there is none of this number, or it is not known."""
        if number not in self._made:
            if not 0 < number < len(self):
                raise KeyError(number)
            self._made[number] = self._random(number)
        return self._made[number]

    def get(self, number: int) -> Track | None:
        """A track; None when there is none of this number, or it is not known."""
        try:
            return self[number]
        except KeyError:
            return None

    def make(self, numbers: range) -> None:
        """Make these tracks now, rather than while cars drive. Raises UserError when they can't be had."""
        for number in numbers:
            self[number]

    def _random(self, number: int) -> Track:
        settings = self._settings
        seed = settings.seed + number - 1
        if number in self.evaluation:
            seed += EVALUATION_SEEDS - self.training.stop + 1
        nodes: list[dict[str, Any]] = random_track(seed, settings.length, settings.min_radius)
        return Track.read({"trackNodes": nodes}, Path(f"random-{seed}.json"))
