"""The designs that people write first, to hold ours against: no shared memory, no supervisor, no Redis.

``threads``: one process with a thread for each socket, TensorFlow and its train loop in it. ``processes``:
the same, but each car's socket has a process of its own, and frames and commands travel in
``multiprocessing.Queue``. The policy is called eagerly, as TF-Agents' tutorials do, or compiled to a graph.
Simulator, observations, rewards, policy network and train step are the product's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import queues
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from processes.learner import STEPS_A_CALL
from processes.scheduling import learner_threads, usable_cores
from processes.trace import Stage, Trace
from robo import config
from robo.config import Config
from robo.driving.driver import Driver, Transition
from robo.driving.experience import NStepCollector
from robo.driving.policies import to_command
from robo.driving.state import CarState
from robo.driving.stream import StreamState
from robo.driving.transitions import ACTION_SIZE, layout, observation_size
from robo.perception.color_mass import color_mass
from robo.protocol.car import NO_OP, FrameDecoder, command_line, login_line
from robo.protocol.lines import LineDecoder
from robo.protocol.spectator import decode
from robo.simulation.track import Track
from robo.simulation.tracks import Tracks

HOST = "127.0.0.1"
NOISE = 0.2
Command = tuple[float, float]


class CarSocket:
    """One car's connection, read and written by whoever has it, waiting for every frame."""

    def __init__(self, port: int, name: str, width: int) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(5.0)
        self._socket.sendall(login_line(name, "naive", "#808080", width))
        self._decoder = FrameDecoder()

    def frames(self) -> list[bytes]:
        """Wait for frames, PNG each. Raises OSError when the connection is over."""
        while True:
            data = self._socket.recv(1 << 17)
            if not data:
                raise ConnectionError("closed by the simulator")
            if frames := self._decoder.feed(data):
                return frames

    def send(self, line: bytes) -> None:
        """Answer a frame."""
        self._socket.sendall(line)


def serve(  # noqa: PLR0917 as threads pass them
    car: int, port: int, width: int, repeat: int, trace: Trace, decide: Callable[[int, bytes], Command]
) -> None:
    """Answer a car's frames, every ``repeat``-th with what ``decide(number, png)`` says, until the end."""
    connection = CarSocket(port, f"naive{car}", width)
    number = 0
    while True:
        for png in connection.frames():
            number += 1
            trace.note(Stage.RECEIVED, car, number)
            if number % repeat:
                connection.send(NO_OP)
                continue
            connection.send(command_line(*decide(number, png)))
            trace.note(Stage.COMMANDED, car, number)


class Brain:
    """What is in the one process: car states, policy, replay and train loop, each used by many threads."""

    def __init__(self, settings: Config, cars: int, *, compiled: bool) -> None:
        from robo.learning import agents  # noqa: PLC0415 imports TensorFlow, which car processes do without
        from robo.learning.replay import Replay  # noqa: PLC0415

        agents.set_threads(learner_threads(settings, len(usable_cores())))
        size = observation_size(settings.observation)
        self._settings = settings
        self._agent = agents.build(settings, size)
        self._agent.prepare(settings.agent.batch_size, STEPS_A_CALL)
        self._collector = NStepCollector(1, settings.agent.discount)
        self._replay = Replay(settings.replay.capacity, layout(size), np.random.default_rng(0))
        self._policy = _policy(self._agent, compiled=compiled)
        self._lock = threading.Lock()
        self._random = np.random.default_rng(0)
        self.states: dict[str, CarState] = {}
        tracks = Tracks(Track.load(config.ROOT / settings.track))
        self._drivers = [Driver(f"naive{car}", settings, tracks, evaluation=False) for car in range(cars)]
        self.train_steps = 0

    def decide(self, car: int, png: bytes) -> Command:
        """Throttle and turn for a car's frame; keeps the step that it completes."""
        observation = color_mass(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR))
        driver, state = self._drivers[car], self.states.get(f"naive{car}")
        if state is None or driver.seen(state):
            driver.interrupt()
            return 0.0, 0.0
        seen = driver.observe(observation, state)
        action = np.clip(self._policy(seen.vector) + self._random.normal(0.0, NOISE, ACTION_SIZE), -1.0, 1.0)
        driver.act(action.astype(np.float32))
        if seen.transition is not None:
            self._keep(seen.transition)
        return to_command(self._settings.action, action)

    def _keep(self, step: Transition) -> None:
        with self._lock:
            self._replay.add(*self._collector.add(step))

    def learn(self, stopped: threading.Event) -> None:
        """Train at full speed, once there is something to learn from."""
        batch = self._settings.agent.batch_size
        while not stopped.is_set():
            if len(self._replay) < batch:
                time.sleep(0.01)
                continue
            with self._lock:
                batches = self._replay.sample(batch, STEPS_A_CALL)
            self._agent.train(batches)
            self.train_steps += STEPS_A_CALL

    def watch(self, port: int) -> None:
        """Follow the spectator stream until it ends."""
        lines, stream = LineDecoder(), StreamState(session=1)
        with socket.create_connection((HOST, port)) as connection:
            while data := connection.recv(1 << 18):
                for line in lines.feed(data):
                    message = decode(line)
                    if message is not None:
                        stream.apply(message)
                self.states.update(stream.cars)


def _policy(agent: Any, *, compiled: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The agent's policy, called for one observation at a time: eagerly, or ``compiled`` to a graph first."""
    import tensorflow as tf  # noqa: PLC0415
    from tf_agents.trajectories import time_step  # noqa: PLC0415
    from tf_agents.utils import common  # noqa: PLC0415

    policy = agent.policy
    action = common.function(policy.action) if compiled else policy.action

    def act(vector: np.ndarray) -> np.ndarray:
        step = time_step.restart(tf.constant(vector[None]), batch_size=1)
        return action(step).action.numpy()[0]

    act(np.zeros(agent.policy.time_step_spec.observation.shape, np.float32))  # the first call takes a second
    return act


def run_threads(brain: Brain, arguments: argparse.Namespace, repeat: int, trace: Trace) -> None:
    """A thread a car, in this process."""
    for car in range(arguments.cars):

        def decide(number: int, png: bytes, car: int = car) -> Command:
            return brain.decide(car, png)

        _thread(serve, car, arguments.car_port, arguments.width, repeat, trace, decide)


def run_processes(brain: Brain, arguments: argparse.Namespace, repeat: int) -> list[Any]:
    """A process a car; a thread here answers them all. The processes."""
    spawn = multiprocessing.get_context("spawn")
    frames = spawn.Queue()
    commands = [spawn.Queue() for _ in range(arguments.cars)]
    children = []
    for car in range(arguments.cars):
        path = arguments.trace.with_name(f"car{car}.npy")
        child = spawn.Process(
            target=_car_process,
            args=(car, arguments.car_port, arguments.width, repeat, frames, commands[car], path),
            daemon=True,
        )
        child.start()
        children.append(child)

    def answer() -> None:
        while True:
            car, number, png = frames.get()
            commands[car].put((number, brain.decide(car, png)))

    _thread(answer)
    return children


def _car_process(  # noqa: PLR0917 as multiprocessing passes them
    car: int,
    port: int,
    width: int,
    repeat: int,
    frames: queues.Queue,
    commands: queues.Queue,
    path: Path,
) -> None:
    trace = Trace(on=True)

    def decide(number: int, png: bytes) -> Command:
        frames.put((car, number, png))
        while True:
            answered, command = commands.get(timeout=5.0)
            if answered == number:
                return command

    # The simulator's end is this process's; the parent's, if that comes first.
    with contextlib.suppress(Exception):
        serve(car, port, width, repeat, trace, decide)
    trace.write(path)


def _thread(target: Callable[..., None], *arguments: Any) -> None:
    def run() -> None:
        with contextlib.suppress(OSError):  # the simulator is gone: the measurement is over
            target(*arguments)

    threading.Thread(target=run, daemon=True).start()


def main() -> int:
    """Drive until standard input closes; then write the trace. A line asks for the time and train steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("design", choices=("threads", "processes"))
    parser.add_argument("--car-port", type=int, required=True)
    parser.add_argument("--spectator-port", type=int, required=True)
    parser.add_argument("--cars", type=int, required=True)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--compiled", action="store_true", help="the policy as a graph, not eagerly")
    parser.add_argument("--learn", action="store_true", help="train at full speed meanwhile")
    parser.add_argument("--trace", type=Path, required=True, help="write when each frame passed to this .npy")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    cv2.setNumThreads(1)
    settings = config.load([config.ROOT / "configs" / "ddpg.yml"], arguments.set)
    trace = Trace(on=True)
    brain = Brain(settings, arguments.cars, compiled=arguments.compiled)
    stopped = threading.Event()
    _thread(brain.watch, arguments.spectator_port)
    children = []
    if arguments.design == "threads":
        run_threads(brain, arguments, settings.action.repeat, trace)
    else:
        children = run_processes(brain, arguments, settings.action.repeat)
    if arguments.learn:
        _thread(brain.learn, stopped)
    while sys.stdin.readline():  # a line asks for the count
        print(json.dumps([time.monotonic(), brain.train_steps]), flush=True)
    stopped.set()
    for child in children:
        child.join(10.0)
    trace.write(arguments.trace)
    os._exit(0)  # threads wait for sockets that say nothing any more


if __name__ == "__main__":
    sys.exit(main())
