"""What bad clients do to a real world over real sockets: nothing to the others, and nothing to memory."""

from __future__ import annotations

import math

import numpy as np
import psutil
import pytest
from test_server import Car, Peer, serving, settle

from robo.config import ROOT
from robo.protocol.car import NO_OP, command_line, login_line
from robo.simulation.server import Server
from robo.simulation.track import Track
from robo.simulation.world import World

TRACK = Track.load(ROOT / "configs" / "tracks" / "esses.json")
FRAMES = 40
ANSWER_LIMIT = 0.5
MEGABYTE = b"x" * 1_000_000
MOST_GROWTH = 16_000_000
"""Bytes; far less than what is sent."""


def memory() -> int:
    """Bytes that this process, the server in it, has in use."""
    return psutil.Process().memory_info().rss


def drive(ada: Car, frames: int) -> list[np.ndarray]:
    """Drive so many frames by a script; what was seen."""
    pictures = []
    for frame in range(frames):
        ada.send(command_line(throttle=0.05, turn=0.3 * math.sin(frame / 5)))
        pictures.append(ada.picture())
    return pictures


@pytest.fixture(scope="module")
def undisturbed() -> list[np.ndarray]:
    """What a car sees that is alone."""
    with serving(World(TRACK), answer_limit_s=ANSWER_LIMIT) as server:
        ada = Car(server, "ada")
        ada.picture()
        return drive(ada, FRAMES)


def send(server: Server, data: bytes) -> Peer:
    """A client that sends this and then nothing more."""
    peer = Peer(server.car_address)
    peer.send(data)
    return peer


def login(server: Server, then: bytes = b"", name: str = "bad") -> Peer:
    return send(server, login_line(name, "team", "#000000") + then)


BEFORE_LOGIN = {
    "nothing": b"",
    "half a login": b'{"name": "bad", "team',
    "a megabyte": MEGABYTE,
    "half of UTF-8": b"\xc3",
}
REFUSED = {"binary": bytes(range(256)) * 16 + b"\n", "not a login": b"[1e300]\n"}
AFTER_LOGIN = {
    "nothing": b"",
    "half a line": b'{"action": "forw',
    "a megabyte": MEGABYTE,
    "a megabyte and its end": MEGABYTE + b"\n",
    "binary": b"\x00\xff\xfe\n" * 5,
    "not a number": b'{"action":"forward","value":NaN}\n{"action":"turn","value":-Infinity}\n',
    "too large a number": b'{"action":"turn","value":1e300}\n{"action":"forward","value":1e300}\n',
    "no number at all": b'{"action":"forward","value":1e999}\n',
}


def test_bad_clients_all_at_once_disturb_nobody(undisturbed: list[np.ndarray]) -> None:
    world = World(TRACK, ghosts=True)  # the others' cars are not seen: pictures must be the same to the bit
    with serving(world, answer_limit_s=ANSWER_LIMIT) as server:
        ada = Car(server, "ada")
        ada.picture()
        for data in REFUSED.values():
            assert send(server, data).closed_by_server()
        bad = [send(server, data) for data in BEFORE_LOGIN.values()]
        bad += [login(server, data, name) for name, data in AFTER_LOGIN.items()]
        settle(server)
        pictures = drive(ada, FRAMES)
        assert np.array_equal(pictures, undisturbed)
        counters = server.counters
        assert counters.logins == 1 + len(AFTER_LOGIN)
        assert counters.refused_logins == len(REFUSED) + 1  # and that of settle
        assert counters.malformed_lines == 5 + 2 + 1
        assert counters.overlong_lines == 3
        assert counters.passed_over >= len(AFTER_LOGIN)
        for car in world.cars:
            status = world.status(car)
            assert math.isfinite(sum((*status.position, *status.velocity)))
        for peer in bad:
            peer.close()
        settle(server)
        assert world.cars == ["ada"]
        drive(ada, 5)


def test_values_that_are_too_large_are_clamped() -> None:
    with serving(World(TRACK)) as server:
        ada = Car(server, "ada")
        ada.picture()
        for _ in range(30):
            ada.send(b'{"action":"turn","value":-1e300}\n{"action":"forward","value":1e300}\n')
            ada.picture()
        world = server._world
        assert (world._cars["ada"].throttle, world._cars["ada"].turn) == (1.0, -1.0)
        assert 0.5 < math.hypot(*world.terrain.traffic.states[0][3:5]) < 5.0


def test_memory_stays_flat_while_peers_send_without_end() -> None:
    with serving(World(TRACK), answer_limit_s=ANSWER_LIMIT) as server:
        ada = Car(server, "ada")
        ada.picture()
        endless = [Peer(server.car_address), login(server), Peer(server.spectator_address)]
        for peer in endless[:2]:
            peer.send(MEGABYTE)
        drive(ada, 5)
        settle(server)
        before = memory()
        for _ in range(20):
            for peer in endless[:2]:
                peer.send(MEGABYTE)
            drive(ada, 1)
        settle(server)
        assert memory() - before < MOST_GROWTH
        endless[2].send(b"x" * 100_000)
        assert endless[2].closed_by_server()
        assert server.counters.unruly_spectators == 1
        for peer in endless:
            peer.close()
        drive(ada, 5)


def test_memory_stays_flat_while_a_car_answers_and_does_not_read() -> None:
    with serving(World(TRACK, ghosts=True), answer_limit_s=ANSWER_LIMIT) as server:
        ada, deaf = Car(server, "ada"), login(server)
        ada.picture()
        drive(ada, 5)
        settle(server)
        before = memory()
        for _ in range(600):  # 19 MB of pictures
            deaf.send(NO_OP)
            drive(ada, 1)
        assert memory() - before < MOST_GROWTH / 2
        assert server._cars["bad"].connection.pending < 65538
        assert server.counters.images < 2 * 600


def test_connections_that_come_and_go_leave_nothing_behind() -> None:
    world = World(TRACK, ghosts=True)
    with serving(world, answer_limit_s=ANSWER_LIMIT) as server:
        ada = Car(server, "ada")
        ada.picture()

        def visit(count: int) -> None:
            for number in range(count):
                peers = [login(server, NO_OP), send(server, b"half"), Peer(server.spectator_address)]
                for peer in peers:
                    peer.close()
                settle(server)
                if number % 10 == 0:
                    drive(ada, 1)

        visit(20)
        before = memory(), len(server._connections)
        visit(100)
        drive(ada, 2)
        assert world.cars == ["ada"]
        assert len(server._connections) <= before[1] + 2
        assert memory() - before[0] < MOST_GROWTH / 4
