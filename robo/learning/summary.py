"""What the exploring cars' episodes amount to: the figures that are logged."""

from __future__ import annotations

from collections import Counter

from robo.driving.driver import EpisodeResult


def values(result: EpisodeResult, weights_age_s: float | None) -> dict[str, float]:
    """One episode's figures by name, for the metrics."""
    figures = {
        "return": result.total_reward,
        "episode_length": float(result.steps),
        "episode_seconds": result.seconds,
        "metres": result.metres,
        "laps": float(result.laps),
        "clean_laps": float(result.clean_laps),
        "crashes": float(result.crashes),
    }
    if result.lap_seconds:
        figures["lap_time"] = sum(result.lap_seconds) / len(result.lap_seconds)
        figures["best_lap_time"] = min(result.lap_seconds)
    if weights_age_s is not None:
        figures["weights_age_s"] = weights_age_s
    return figures


class EpisodeSummary:
    """The mean of each figure over several episodes."""

    def __init__(self) -> None:
        self._episodes: list[dict[str, float]] = []
        self._ends: Counter[str] = Counter()

    def add(self, result: EpisodeResult, weights_age_s: float | None) -> None:
        """Take one more episode."""
        self._episodes.append(values(result, weights_age_s))
        self._ends[result.end] += 1

    def values(self) -> dict[str, float]:
        """The mean of each figure, over the episodes that have it; how many ended, and how."""
        means: dict[str, float] = {"episodes": float(len(self._episodes))}
        for end, count in self._ends.items():
            means[f"ended: {end}"] = float(count)
        for name in dict.fromkeys(name for episode in self._episodes for name in episode):
            column = [episode[name] for episode in self._episodes if name in episode]
            means[name] = min(column) if name == "best_lap_time" else sum(column) / len(column)
        return means
