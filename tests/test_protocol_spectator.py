"""The spectator stream's codec: field names as on the wire, and whatever a stream may hold."""

from __future__ import annotations

import json
import math
import random
import time

import pytest

from robo.protocol import spectator as wire
from robo.protocol.lines import LineDecoder

CAR = wire.CarInfo("ada", team_id="red", color="#ff0000", timestamp=0.5)
CAR_JSON = {
    "type": "CarInfo",
    "timestamp": 0.5,
    "teamId": "red",
    "name": "ada",
    "color": "#ff0000",
    "texture": "",
}
LAP = wire.LapCompleted(CAR, 2, 10.5, 9.25, 30.0, timestamp=40.0)
LAP_JSON = {
    "type": "LapCompleted",
    "timestamp": 40.0,
    "car": CAR_JSON,
    "lapCount": 2,
    "lastLap": 10.5,
    "bestLap": 9.25,
    "totalTime": 30.0,
    "dnf": False,
}
STATUS = wire.GameStatus(
    [
        wire.CarStatus(
            name,
            wire.Vec3(1.0, 0.0484, -3.5),
            wire.Vec3(0.1, 0.0, 1.7),
            wire.Quaternion(0, 0.6, 0, 0.8),
            12.5,
            3,
        )
        for name in ("ada", "bob")
    ],
    timestamp=1.5,
)


def car_status_json(name: str) -> dict:
    return {
        "name": name,
        "position": {"x": 1.0, "y": 0.0484, "z": -3.5},
        "velocity": {"x": 0.1, "y": 0.0, "z": 1.7},
        "rotation": {"x": 0.0, "y": 0.6, "z": 0.0, "w": 0.8},
        "trackAngle": 12.5,
        "trackSegment": 3,
    }


EXAMPLES = [
    (STATUS, {"cars": [car_status_json("ada"), car_status_json("bob")]}),
    (LAP, LAP_JSON),
    (
        wire.CurrentStandings([LAP], qualifying=True, timestamp=1.5),
        {"standings": [LAP_JSON], "qualifying": True},
    ),
    *(
        (kind(CAR, timestamp=1.5), {"car": CAR_JSON})
        for kind in (
            *(wire.CarConnected, wire.CarAdded, wire.CarRemoved, wire.CarDisconnected),
            *(wire.CarCrashed, wire.CarReturnedToTrack, wire.CarFinished, wire.RaceWon),
        )
    ),
    (wire.CarBumped(CAR, CAR, timestamp=1.5), {"car": CAR_JSON, "other": CAR_JSON}),
    (wire.FreePracticeStart(timestamp=1.5), {}),
    (wire.RaceStart(timestamp=1.5), {}),
    (wire.RaceLobbyInit(timestamp=1.5), {"raceParameters": None}),
    (wire.QualifyingStart([CAR], timestamp=1.5), {"cars": [CAR_JSON]}),
    (wire.QualifyingResults([LAP], timestamp=1.5), {"results": [LAP_JSON]}),
    (wire.StartingGridInit([CAR], timestamp=1.5), {"cars": [CAR_JSON]}),
    (wire.SecondsRemaining(9, timestamp=1.5), {"secondsRemaining": 9}),
    (
        wire.RaceFinished([wire.RaceResult(CAR, 5, 9.25, 50.0)], timestamp=1.5),
        {"standings": [{"car": CAR_JSON, "lapCount": 5, "bestLap": 9.25, "totalTime": 50.0, "dnf": False}]},
    ),
]


@pytest.mark.parametrize(("message", "fields"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_wire_form_and_back(message: wire.Message, fields: dict) -> None:
    line = wire.encode(message)
    expected = {"type": type(message).__name__, "timestamp": message.timestamp, **fields}
    assert json.loads(line) == expected
    assert line.count(b"\n") == 1
    assert wire.decode(line) == message
    assert wire.decode(json.dumps(expected).encode()) == message


def test_every_message_type_is_in_the_examples() -> None:
    shown = {type(message) for message, _ in EXAMPLES} | {wire.RaceParameters}
    assert shown == set(wire.SpectatorMessage.__args__)


def test_race_parameters() -> None:
    sent = wire.RaceParameters(
        30, num_segments_between_cars=2, track="esses", mode="development", timestamp=0.0
    )
    fields = json.loads(wire.encode(sent))
    assert fields["type"] == "RaceParameters"
    assert (fields["numSegments"], fields["numSegmentsBetweenCars"]) == (30, 2)
    assert wire.decode(wire.encode(sent)) == sent
    older = b'{"type":"RaceParameters","timestamp":0,"lapCount":10,"numSegments":10,"raceLogFile":"race.log"}'
    assert wire.decode(older).num_segments_between_cars is None


@pytest.mark.parametrize(
    ("text", "means"), [(b"NaN", math.nan), (b"Infinity", math.inf), (b"-Infinity", -math.inf)]
)
def test_numbers_that_are_none(text: bytes, means: float) -> None:
    line = wire.encode(STATUS).replace(b"12.5", text, 1)
    first, second = wire.decode(line).cars
    assert first.track_angle == pytest.approx(means, nan_ok=True)
    assert second == STATUS.cars[1]


def test_fields_nobody_knows_are_passed_over() -> None:
    line = json.dumps(
        {"type": "CarCrashed", "timestamp": 1, "car": {**CAR_JSON, "speed": 3}, "x": [1]}
    ).encode()
    assert wire.decode(line) == wire.CarCrashed(CAR, timestamp=1.0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b'{"type":"CarCrashed"',
        b'{"type":"CarCrashed","timestamp":1}',
        b'{"type":"CarExploded","timestamp":1}',
        b'{"type":"CarInfo","timestamp":1,"name":"a"}',
        b'{"type":7,"timestamp":1}',
        b'{"type":"GameStatus","timestamp":1,"cars":[{"name":"a"}]}',
        b'{"type":"GameStatus","timestamp":"NaN","cars":[]}',
        b'{"type":"GameStatus","timestamp":NaN,"cars":[NaN]}',
        b'{"type":"GameStatus","timestamp":1,"cars":' + b"[" * 60_000,
        b'{"type":"GameStatus","timestamp":NaN,"cars":' + b"[" * 60_000,
        b"[" * 60_000,
        b'{"type":"SecondsRemaining","timestamp":1,"secondsRemaining":' + b"9" * 60_000 + b"}",
        b'{"type":"SecondsRemaining","timestamp":NaN,"secondsRemaining":' + b"9" * 60_000 + b"}",
        b'{"type":"CarCrashed","timestamp":1,"car":{"type":"CarInfo","timestamp":1,"name":"\\ud800"}}',
        b'{"type":"CarCrashed","timestamp":NaN,"car":{"type":"CarInfo","timestamp":1,"name":"\\ud800"}}',
    ],
)
def test_malformed_is_none(line: bytes) -> None:
    assert wire.decode(line) is None


def test_noise_never_raises() -> None:
    rng = random.Random(0)
    good = wire.encode(STATUS)[:-1]
    for _ in range(2000):
        line = bytearray(good[: rng.randrange(1, len(good) + 1)])
        for _ in range(rng.randrange(3)):
            line[rng.randrange(len(line))] = rng.randrange(256)
        wire.decode(bytes(line))


def test_stream_split_at_every_byte() -> None:
    messages = [message for message, _ in EXAMPLES[:4]]
    stream = b"".join(map(wire.encode, messages))
    for cut in range(len(stream) + 1):
        lines = LineDecoder()
        assert [wire.decode(line) for line in lines.feed(stream[:cut]) + lines.feed(stream[cut:])] == messages


def test_commands() -> None:
    for command in (wire.ProceedToNextPhase(), wire.MotorsToggle(), wire.ResetSimulator()):
        assert wire.decode_command(wire.encode(command)) == command
    assert wire.decode_command(b'{"type":"MotorsToggle","timestamp":3}') == wire.MotorsToggle()
    for other in (
        b"",
        b"{}",
        b'{"type":"CarCrashed"}',
        b"\xff",
        b'{"type":"MotorsToggle","x":' + b"[" * 60_000,
    ):
        assert wire.decode_command(other) is None


def test_a_status_of_eight_cars_is_read_in_no_time() -> None:
    line = wire.encode(wire.GameStatus(STATUS.cars * 4, timestamp=1.0))
    rounds = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(100):
            wire.decode(line)
        rounds.append((time.perf_counter() - start) / 100)
    assert min(rounds) < 50e-6
