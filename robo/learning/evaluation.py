"""Evaluation in points: several episodes with the same weights, and what they come to together."""

from __future__ import annotations

from collections.abc import Sequence

from robo.driving.driver import EpisodeResult
from robo.driving.episodes import End
from robo.driving.experience import Episode

OPEN_POINTS = 2
"""Evaluators begin a new point while the last episodes of the one before are on their way."""


class Point:
    """The episodes of one version of the weights."""

    def __init__(self, first: Episode) -> None:
        self.version = first.weights_version
        self.weights = first.weights
        self.results: list[EpisodeResult] = []

    @property
    def complete_results(self) -> list[EpisodeResult]:
        """Those that were not cut short from outside."""
        return [result for result in self.results if result.end != End.INTERRUPTED.value]


class Points:
    """Collects evaluation episodes into points of ``episodes`` each."""

    def __init__(self, episodes: int) -> None:
        self._episodes = episodes
        self._open: dict[int, Point] = {}

    def add(self, episode: Episode) -> list[Point]:
        """Take the next episode. The points that are complete with it.

        One whose episodes don't all come, because an evaluator died, counts as complete with what there is
        when the second one after it begins.
        """
        version = episode.weights_version
        if version not in self._open:
            self._open[version] = Point(episode)
        self._open[version].results.append(episode.result)
        done = [point for point in self._open.values() if len(point.results) >= self._episodes]
        done += list(self._open.values())[:-OPEN_POINTS]
        for point in done:
            self._open.pop(point.version, None)
        return [point for point in dict.fromkeys(done) if point.complete_results]


def figures(results: Sequence[EpisodeResult], *, restarted: bool) -> dict[str, float]:
    """A point's figures by name, for the metrics; at least one result.

    Laps, clean laps and crashes are sums; lap times, returns and metres have mean, min and max.
    ``clean_lap_rate``: clean laps by laps. Where cars are ``restarted`` after an episode's end, a lap that
    a termination broke off is one of them; elsewhere the car completes it in the next episode.
    """
    laps = sum(result.laps for result in results)
    if restarted:
        laps += sum(End(result.end).terminated for result in results)
    clean = sum(result.clean_laps for result in results)
    values = {
        "episodes": float(len(results)),
        "laps": float(laps),
        "clean_laps": float(clean),
        "clean_lap_rate": clean / laps if laps else 0.0,
        "crashes": float(sum(result.crashes for result in results)),
        "tracks": float(len({result.track for result in results})),
        "tracks_with_a_clean_lap": float(len({result.track for result in results if result.clean_laps})),
    }
    values |= _spread("return", [result.total_reward for result in results])
    values |= _spread("metres", [result.metres for result in results])
    values |= _spread("lap_time", [seconds for result in results for seconds in result.lap_seconds])
    pace = [
        seconds / result.track_metres
        for result in results
        for seconds in result.lap_seconds
        if result.track_metres
    ]
    return values | _spread("lap_seconds_per_metre", pace)


def score(values: dict[str, float]) -> tuple[float, float]:
    """How good a point's figures are; larger is better. The clean-lap rate first, then how fast they were.

    Without a clean lap, the metres gained.
    """
    if not values["clean_laps"]:
        return (0.0, values["metres"])
    return (values["clean_lap_rate"], -values.get("lap_seconds_per_metre", values["lap_time"]))


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {name: sum(values) / len(values), f"{name}_min": min(values), f"{name}_max": max(values)}
