"""Measure the embedded simulator: frames a second by itself and over its sockets, and its realtime clock.

Prints one JSON line; what can't be measured here is null, and standard error says why.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from robo import config
from robo.errors import UserError
from robo.protocol.car import FrameDecoder, command_line, login_line
from robo.simulation.track import Track
from robo.simulation.world import FRAMES_PER_SECOND, World
from scripts.command import guarded

CARS = 8
TRIES = 3
"""A speed is the best of so many: other work on the machine only ever takes from it."""
ANSWER_LIMIT = 10.0
"""Seconds without any frame after which the server is taken for dead."""
LISTENING = re.compile(r"cars on 127\.0\.0\.1:(\d+)")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure the embedded simulator; prints one JSON line.")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="for each speed (2)")
    parser.add_argument("--realtime-seconds", type=float, default=10.0, metavar="S", help="(10)")
    options = parser.parse_args()
    flat, climbing = world_speeds(options.seconds)
    fps, jitter, cpu = realtime(options.realtime_seconds)
    figures = {
        "flat_fps": flat,
        "track3d_fps": climbing,
        "car_racing_fps": car_racing_speed(options.seconds),
        "vector_steps_per_s": vector_speed(options.seconds),
        "socket_fps": socket_speed(options.seconds),
        "realtime_fps_min": fps,
        "realtime_jitter_p99_ms": jitter,
        "realtime_cpu_fraction": cpu,
    }
    print(json.dumps({key: value and round(value, 3) for key, value in figures.items()}))
    return 0


# In this process


def best_rate(work: Callable[[], int], seconds: float) -> float:
    """How many a second ``work`` gets done; each call returns how many it did."""
    work()  # compiles, and fills caches
    best = 0.0
    for _ in range(TRIES):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds / TRIES:
            done += work()
        best = max(best, done / (time.perf_counter() - start))
    return best


def world_speeds(seconds: float) -> tuple[float | None, float | None]:
    """Physics and camera at 128x80 on one core, frames a second: on a flat track, and on one that climbs."""
    speeds: dict[bool, float] = {}
    for path in sorted((config.ROOT / "configs" / "tracks").glob("*.json")):
        track = Track.load(path)
        if track.flat in speeds:
            continue
        try:
            world = World(track)
        except UserError as error:
            note(error)
            continue
        speeds[track.flat] = best_rate(lambda world=world: drive(world, 200), seconds)
    if False not in speeds:
        note("track3d_fps: no track in configs/tracks that climbs and can be driven on")
    return speeds.get(True), speeds.get(False)


def drive(world: World, frames: int) -> int:
    """Simulate and see so many frames of one car, commanded at every third as a driver would."""
    if not world.cars:
        world.add_car("car")
    for frame in range(frames):
        if frame % 3 == 0:
            world.hear("car")
            world.command("car", throttle=0.06, turn=0.4 * math.sin(world.time))
        world.step()
        world.render("car", 128)
    return frames


def car_racing_speed(seconds: float) -> float | None:
    """Steps a second of gymnasium's CarRacing-v3 with its picture; None where it is not installed."""
    try:
        import gymnasium  # noqa: PLC0415 not a dependency

        environment = gymnasium.make("CarRacing-v3")
    except Exception as error:  # whatever a part of it that is missing, or its version, may raise
        reason = str(error).splitlines()[0]
        note(f"car_racing_fps: {reason}; install it: {sys.executable} -m pip install 'gymnasium[box2d]'")
        return None
    environment.reset(seed=0)
    random = np.random.default_rng(0)

    def work() -> int:
        action = random.uniform((-0.2, 0.0, 0.0), (0.2, 0.3, 0.0)).astype(np.float32)
        _, _, terminated, truncated, _ = environment.step(action)
        if terminated or truncated:
            environment.reset()
        return 1

    speed = best_rate(work, seconds)
    environment.close()
    return speed


def vector_speed(seconds: float) -> float | None:
    """Steps a second, of all cars together, of the vector environment with a policy's observations.

    None while robo.gym has no ``benchmark() -> Callable[[], int]``, whose result takes some steps and says
    how many.
    """
    try:
        work = importlib.import_module("robo.gym").benchmark()
    except (ImportError, AttributeError) as error:
        note(f"vector_steps_per_s: {error}")
        return None
    return best_rate(work, seconds)


# Over the sockets, with the server in a process of its own


@contextmanager
def server(clock: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A simulator on free ports: its process, and the port for cars."""
    command = [sys.executable, "-m", "scripts.simulator", "--clock", clock]
    command += [
        "--car-port",
        "0",
        "--spectator-port",
        "0",
        "--set",
        f"simulator.answer_limit_s={ANSWER_LIMIT}",
    ]
    process = subprocess.Popen(command, cwd=Path(config.ROOT), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = LISTENING.search(line)
        if found is None:
            raise UserError(f"the simulator did not start: {line.strip() or 'it ended'}")
        yield process, int(found[1])
    finally:
        process.terminate()
        process.wait()


class Client:
    """A plain car: it answers every frame at once and does not look at it."""

    def __init__(self, port: int, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.arrivals: list[float] = []
        self._decoder = FrameDecoder()
        self._number = number
        self.socket.sendall(login_line(f"bench-{number}", "bench", "#808080"))

    def receive(self) -> int:
        """Take what has arrived and answer it; how many frames that was."""
        data = self.socket.recv(1 << 17)
        now = time.perf_counter()
        if not data:
            raise UserError("the simulator closed a connection")
        frames = len(self._decoder.feed(data))
        for _ in range(frames):
            self.arrivals.append(now)
            turn = 0.4 * math.sin(len(self.arrivals) / FRAMES_PER_SECOND + self._number)
            self.socket.sendall(command_line(throttle=0.06, turn=turn))
        return frames


@contextmanager
def field(port: int) -> Iterator[tuple[list[Client], Callable[[], int]]]:
    """Eight cars in one loop; calling it takes what has arrived and returns the number of frames."""
    clients = [Client(port, number) for number in range(CARS)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)

        def turn() -> int:
            ready = selector.select(ANSWER_LIMIT)
            if not ready:
                raise UserError("the simulator sends no frames")
            return sum(key.data.receive() for key, _ in ready)

        yield clients, turn
    for client in clients:
        client.socket.close()


def socket_speed(seconds: float) -> float:
    """Frames a second, of all cars together, in lockstep with cars that answer at once."""
    with server("lockstep") as (_, port), field(port) as (_, turn):
        return best_rate(lambda: sum(turn() for _ in range(100)), seconds)


def realtime(seconds: float) -> tuple[float, float, float]:
    """The realtime clock: of the slowest car, frames a second; of all, the 99th percentile of how much the
    time between frames is off, milliseconds; and the server's share of a core.
    """
    with server("realtime") as (process, port), field(port) as (clients, turn):
        run_for(turn, 1.0)
        for client in clients:
            client.arrivals.clear()
        watched = psutil.Process(process.pid)
        busy, start = cpu_seconds(watched), time.perf_counter()
        run_for(turn, seconds)
        cpu = (cpu_seconds(watched) - busy) / (time.perf_counter() - start)
    slowest = min((len(c.arrivals) - 1) / (c.arrivals[-1] - c.arrivals[0]) for c in clients)
    gaps = np.concatenate([np.diff(client.arrivals) for client in clients])
    jitter = np.percentile(np.abs(gaps - 1 / FRAMES_PER_SECOND), 99)
    return slowest, 1000 * float(jitter), cpu


def run_for(turn: Callable[[], int], seconds: float) -> None:
    """Call it for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        turn()


def cpu_seconds(process: psutil.Process) -> float:
    """What a process has used of all cores."""
    times = process.cpu_times()
    return times.user + times.system


def note(text: object) -> None:
    """Say why something is not measured."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(guarded(main))
