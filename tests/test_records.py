"""The race log and the results file: what is written when, and what a disk that fails costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robo.errors import UserError
from robo.protocol import spectator as wire
from robo.simulation.counters import Counters
from robo.simulation.records import FLUSH_BYTES, FLUSH_SECONDS, RaceLog, prepare_results, write_results

LINE = b"x" * 99 + b"\n"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_gathered_and_written_together(tmp_path: Path) -> None:
    path, clock = tmp_path / "logs" / "race.log", Clock()
    with RaceLog(path, Counters(), clock) as log:
        log.write(LINE)
        assert path.read_bytes() == b""
        for _ in range(FLUSH_BYTES // len(LINE)):
            log.write(LINE)
        assert len(path.read_bytes()) >= FLUSH_BYTES
        size = path.stat().st_size
        log.write(LINE)
        assert path.stat().st_size == size
        log.tend()
        assert path.stat().st_size == size
        clock.now += FLUSH_SECONDS
        log.tend()
        assert path.stat().st_size == size + len(LINE)
        log.write(LINE)
    assert path.stat().st_size == size + 2 * len(LINE)


class Disk:
    """A file on a disk that takes ``room`` bytes, and no more until there is room again."""

    def __init__(self, room: int) -> None:
        self.data = bytearray()
        self.room = room

    def write(self, data: bytearray) -> int:
        taken = min(self.room, len(data))
        if not taken:
            raise OSError(28, "No space left on device")
        self.data += data[:taken]
        self.room -= taken
        return taken

    def close(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_costs_lines_and_they_are_counted(tmp_path: Path) -> None:
    counters, clock = Counters(), Clock()
    disk = Disk(room=250)
    with RaceLog(tmp_path / "race.log", counters, clock) as log:
        log._file.close()
        log._file = disk
        log.write(LINE * 5)
        log.flush()
        assert counters.lost_log_lines == 3
        log.write(LINE)
        log.flush()
        assert counters.lost_log_lines == 4
        disk.room = 10_000
        log.write(LINE)
    # The line that was cut is one bad line, and no good one is joined to it.
    assert bytes(disk.data) == LINE * 2 + LINE[:50] + b"\n" + LINE


def test_a_disk_full_from_the_start(tmp_path: Path) -> None:
    counters = Counters()
    with RaceLog(Path("/dev/full"), counters) as log:
        for _ in range(5000):
            log.write(LINE)
    assert counters.lost_log_lines == 5000


def test_results_are_json_and_replace_those_before(tmp_path: Path) -> None:
    path, counters = tmp_path / "results" / "race.json", Counters()
    prepare_results(path)
    car = wire.CarInfo("ada", team_id="t", timestamp=0.0)
    for lap_count in (1, 2):
        results = wire.RaceFinished([wire.RaceResult(car, lap_count, 9.5, 30.25, dnf=True)], timestamp=60.0)
        write_results(path, results, counters)
    content = json.loads(path.read_text())
    assert (content["type"], content["timestamp"]) == ("RaceFinished", 60.0)
    (result,) = content["standings"]
    assert result.pop("car")["name"] == "ada"
    assert result == {"lapCount": 2, "bestLap": 9.5, "totalTime": 30.25, "dnf": True}
    assert [p.name for p in path.parent.iterdir()] == ["race.json"]
    assert counters.lost_results == 0
    write_results(tmp_path / "gone" / "race.json", results, counters)
    assert counters.lost_results == 1


def test_files_that_cannot_be_written_are_errors_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "race.log", tmp_path / ("x" * 300) / "race.log"):
        for attempt in (prepare_results, lambda path: RaceLog(path, Counters())):
            with pytest.raises(UserError) as error:
                attempt(path)
            assert "\n" not in str(error.value)
            assert "choose another file" in str(error.value)
