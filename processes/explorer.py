"""Drives its cars: observations in, commands out; rewards, episodes and experience for the learner.

The evaluator is this process too: the same loop with the greedy policy, and weights that stay the same for
a whole episode, so that a score belongs to the weights that earned it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from processes.car_reader import COMMAND
from processes.channels import Latest, Picture, Queue, Ring
from processes.launch import Context
from processes.publisher import Publisher
from processes.table import AVERAGED, LEARNING, Car
from processes.trace import Stage
from processes.vitals import Count
from robo import log
from robo.cache import LapRecord, Telemetry
from robo.config import Config
from robo.driving import actor, starts
from robo.driving.driver import Driver, EpisodeResult, Seen
from robo.driving.episodes import End
from robo.driving.experience import Episode, Rows, collector, concatenate
from robo.driving.laps import Lap
from robo.driving.policies import FollowColors, Greedy, Policy, boldness, exploring, to_command
from robo.driving.starts import Anywhere, InTurn, Starts
from robo.driving.state import CarState, unpack
from robo.driving.transitions import ACTION_SIZE, observation_size
from robo.film import moment
from robo.film.moment import Moment
from robo.perception import kinds
from robo.protocol.car import Restart
from robo.simulation.tracks import Tracks

STATE_SECONDS = 0.03
"""How long an observation waits for the car state of its moment, which comes by another way."""
TELEMETRY_SECONDS = 0.25
LAST_ROOM_SECONDS = 0.3
"""At the run's end: how long to wait for the learner to make room for what is left."""
REST = COMMAND.pack(0.0, 0.0, 0.0)
STAY = starts.pack(None)


class DrivenCar:
    """One car of this process: its driver, its policy, and its figures."""

    def __init__(self, car: Car, config: Config, tracks: Tracks, where: Starts | None) -> None:
        self.car = car
        self.evaluates = car.role == "evaluator"
        self.driver = Driver(car.name, config, tracks, evaluation=self.evaluates, starts=where)
        self.actor = actor.build(config.agent, observation_size(config.observation))
        self.weights_version = 0
        self.policy = self._policy(config)
        self.collector = collector(config)
        self.number = 0
        """Frame number of the last observation."""
        self.action = np.zeros(ACTION_SIZE, np.float32)
        self.figures = Telemetry(role=car.role)

    def _policy(self, config: Config) -> Policy:
        if config.driver == "debug":
            return FollowColors(config.action)
        if config.driver == "policy":
            return Exported(Path(config.policy))
        if self.evaluates:
            return Greedy(self.actor)
        random = np.random.default_rng([config.seed, self.car.index])
        bold = boldness(self.car.index, config.cars.explorers)
        return exploring(config.agent, self.actor, bold, random)

    def load(self, weights: Latest) -> None:
        """Take the newest weights, if they are new."""
        number = weights.number(LEARNING)
        if number is None or number == self.weights_version:
            return
        value = weights.get(LEARNING)
        if value is not None:
            self.take(*value)

    def take(self, version: int, weights: bytes) -> None:
        """Drive with these weights from now on."""
        if version != self.weights_version:
            self.actor.load(np.frombuffer(weights, np.float32))
            self.weights_version = version


class Exported:
    """An exported policy drives."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from robo.learning.saved_policy import SavedPolicy  # noqa: PLC0415 imports TensorFlow

        self._policy = SavedPolicy(folder)

    def begin(self) -> None:
        """The policy forgets what it saw."""
        self._policy.begin()

    def act(self, vector: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """See Policy."""
        return self._policy(vector)


class EvaluationWeights:
    """What the evaluator's next episode is driven with: the newest weights, for a number of episodes."""

    def __init__(self, weights: Latest, episodes: int) -> None:
        self._weights = weights
        self._episodes = episodes
        self._left = 0
        self._value: tuple[int, bytes] | None = None

    @property
    def ready(self) -> bool:
        """Whether there are weights."""
        self._value = self._value or self._weights.get(AVERAGED)
        return self._value is not None

    def next(self) -> tuple[int, bytes]:
        """Version and weights for an episode that begins. Needs ``ready``."""
        if self._left == 0:
            self._value = self._weights.get(AVERAGED) or self._value
            self._left = self._episodes
        self._left -= 1
        return self._value


class Explorer:
    """The loop's state: the cars, the channels, and the experience on its way."""

    def __init__(self, context: Context, tracks: Tracks) -> None:
        self._context = context
        self._config = context.config
        self._observed = kinds.SHAPES[context.config.observation.kind]
        mine = [car for car in context.run.cars if car.driver == context.name]
        # One for all evaluators: whoever is free takes the next track, so that each is driven once a point.
        evaluation = InTurn(tracks.evaluation, lambda track: tracks[track].length)
        self._cars = {
            car.index: DrivenCar(
                car, context.config, tracks, _starts(car, context.config, tracks, evaluation)
            )
            for car in mine
        }
        self._observations: Ring = context.channels[f"observations:{context.name}"]
        self._states: Latest = context.channels[f"states:{context.name}"]
        self._commands: Latest = context.channels[f"commands{mine[0].group}"]
        self._weights: Latest | None = context.channels.get("weights")
        self._evaluation = self._weights and EvaluationWeights(
            self._weights, context.config.evaluation.episodes
        )
        self._experience: Queue | None = context.channels.get(f"experience:{context.name}")
        self._film: Ring | None = context.channels.get("film:moments")
        self._publisher = Publisher(context)
        self._frames_lost = self._observations.lost
        self._rows: list[Rows] = []
        self._learner_gone = False
        self._shown_at = 0.0

    def turn(self) -> None:
        """Wait for observations and answer them."""
        if self._observations.bell in self._context.wait(self._observations.bell):
            self._observations.bell.clear()
            # Of a car that got ahead of us only the newest matters: its older frames had no answer from us.
            pictures = list({picture.car: picture for picture in self._observations.drain()}.values())
            if lost := self._observations.lost - self._frames_lost:
                self._frames_lost += lost
                self._context.count(Count.FRAMES, lost, event="observations lost")
            self._note(Stage.OBSERVED, pictures)
            states = self._states_for(pictures)
            self._note(Stage.STATED, pictures)
            for picture in pictures:
                self._answer(picture, states[picture.car])
        now = time.monotonic()
        if now - self._shown_at >= TELEMETRY_SECONDS:
            self._shown_at = now
            self._show()

    def finish(self) -> None:
        """Hand on what is still here, before the end."""
        for car in self._cars.values():
            self._close(car, car.driver.interrupt())
        if self._rows:
            self._put(concatenate(self._rows))
        self._publisher.close()

    def _states_for(self, pictures: list[Picture]) -> dict[int, CarState | None]:
        """The cars' states of the pictures' moment; older ones, or None, when they don't come in time."""
        give_up = time.monotonic() + STATE_SECONDS
        while True:
            self._states.bell.clear()
            states = {picture.car: self._state(picture.car) for picture in pictures}
            left = give_up - time.monotonic()
            if left <= 0.0 or all(_fresh(self._cars[car].driver, state) for car, state in states.items()):
                return states
            self._context.wait(self._states.bell, timeout=left)

    def _state(self, car: int) -> CarState | None:
        value = self._states.get(car)
        return None if value is None else unpack(value[1])

    def _answer(self, picture: Picture, state: CarState | None) -> None:
        """Answer one observation with a command, and take the step that it completes."""
        car = self._cars[picture.car]
        gap = picture.number != car.number + self._config.action.repeat
        car.number = picture.number
        if gap:
            self._close(car, car.driver.interrupt())
        if not self._can_drive(car):
            self._rest(car, None)
            return
        observation = np.frombuffer(picture.payload, np.float32).reshape(self._observed)
        if state is None or car.driver.seen(state):
            # The state of this moment is not known, so neither is what the last step led to.
            self._close(car, car.driver.interrupt())
            car.figures = replace(car.figures, late_states=car.figures.late_states + 1)
            self._context.count(Count.LATE_STATES)
        else:
            seen = car.driver.observe(observation, state)
            # First: its result goes with the weights that drove it.
            episode = self._episode(car, seen.episode)
            if seen.vector is None:
                self._rest(car, seen.restart)
            else:
                car.action = self._act(car, seen.vector, observation, begins=seen.begins)
                car.driver.act(car.action)
                self._command(car)
                self._tell_film(car, state)
            self._keep(car, seen)
            self._end(car, seen.episode, episode)
            return
        self._command(car)

    def _can_drive(self, car: DrivenCar) -> bool:
        """Whether there is a policy for the car: an evaluator stands still until something is learned."""
        return not car.evaluates or self._evaluation is None or self._evaluation.ready

    def _act(
        self, car: DrivenCar, vector: np.ndarray, observation: np.ndarray, *, begins: bool
    ) -> np.ndarray:
        if begins:
            car.policy.begin()
        if self._weights is not None and not car.evaluates:
            car.load(self._weights)
        elif self._evaluation is not None and begins:
            car.take(*self._evaluation.next())
        return car.policy.act(vector, observation)

    def _rest(self, car: DrivenCar, restart: Restart | None) -> None:
        """Have the car stand still, and be put elsewhere if it is to."""
        self._commands.put(car.car.index, car.number, REST + starts.pack(restart))

    def _command(self, car: DrivenCar) -> None:
        throttle, turn = to_command(self._config.action, car.action)
        self._commands.put(car.car.index, car.number, COMMAND.pack(throttle, turn, 0.0) + STAY)
        self._context.trace.note(Stage.DECIDED, car.car.index, car.number)
        car.figures = replace(car.figures, decisions=car.figures.decisions + 1, throttle=throttle, turn=turn)

    def _tell_film(self, car: DrivenCar, state: CarState) -> None:
        if self._film is None or car.car.name != self._config.film.car:
            return
        told = Moment(car.figures.throttle, car.figures.turn, state)
        self._film.put(car.car.index, car.number, time.monotonic(), moment.pack(told))

    def _keep(self, car: DrivenCar, seen: Seen) -> None:
        """Keep the step and the lap that one observation completed."""
        if seen.transition is not None:
            self._hand_on(car, car.collector.add(seen.transition))
        if seen.lap is not None:
            self._keep_lap(car, seen.lap)

    def _hand_on(self, car: DrivenCar, rows: Sequence[Rows]) -> None:
        """Have the learner get these rows, together with others."""
        if self._experience is None or car.evaluates:
            return
        self._rows += rows
        if sum(part.env_steps for part in self._rows) >= self._config.replay.chunk:
            self._put(concatenate(self._rows))
            self._rows = []

    def _keep_lap(self, car: DrivenCar, lap: Lap) -> None:
        figures, row = car.figures, car.driver.laps.clean_in_a_row
        best = figures.best_lap
        if lap.clean:
            best = min(best or lap.seconds, lap.seconds)
        car.figures = replace(
            figures, laps=figures.laps + 1, clean_laps=figures.clean_laps + lap.clean, best_lap=best
        )
        log.get().info("lap", car=car.car.name, seconds=round(lap.seconds, 3), clean=lap.clean)
        self._publisher.add_lap(
            LapRecord(time.time(), car.car.name, car.car.role, lap.seconds, lap.clean, row)
        )

    def _close(self, car: DrivenCar, result: EpisodeResult | None) -> None:
        """Report an episode that was cut short, if there was one."""
        self._end(car, result, self._episode(car, result))

    def _episode(self, car: DrivenCar, result: EpisodeResult | None) -> Episode | None:
        """What to report of an episode, with the weights that the car has now; None: nothing."""
        if result is None or self._experience is None or not result.steps:
            return None
        weights = car.actor.weights if car.evaluates and car.actor.loaded else None
        return Episode(car.car.role, result, car.weights_version, weights)

    def _end(self, car: DrivenCar, result: EpisodeResult | None, episode: Episode | None) -> None:
        """An episode ended, if ``result`` is one: hand on what is left of it."""
        if result is None:
            return
        self._context.count(Count.INTERRUPTED, result.end == End.INTERRUPTED.value)
        car.figures = replace(
            car.figures,
            episodes=car.figures.episodes + 1,
            last_episode_reward=result.total_reward,
            last_episode_end=result.end,
        )
        self._hand_on(car, car.collector.end())
        if episode is not None:
            self._put(episode)

    def _put(self, message: Rows | Episode) -> None:
        """Hand a message to the learner; a full queue holds us, and so our cars, back."""
        packed = Queue.pack(message)
        steps = 0 if isinstance(message, Episode) else message.env_steps
        self._experience.room.clear()
        if not self._experience.put(packed):
            self._context.count(Count.HELD, event="held by the learner's full queue")
            self._context.complain("queue", "held: the learner's queue is full")
            while not self._experience.put(packed):
                if not self._waited_for_room():
                    self._context.count(Count.EXPERIENCE, steps, event="experience lost: the queue is full")
                    return
            self._context.complain("queue", "")
        self._context.count(Count.STEPS, steps)

    def _waited_for_room(self) -> bool:
        """Wait for the learner to read something. False: the run ends, and the learner no longer reads."""
        if not self._context.stopping:
            self._context.wait(self._experience.room)
            self._experience.room.clear()
        elif not self._learner_gone:
            self._learner_gone = not self._experience.room.wait(LAST_ROOM_SECONDS)
        return not self._learner_gone

    def _note(self, stage: Stage, pictures: list[Picture]) -> None:
        for picture in pictures:
            self._context.trace.note(stage, picture.car, picture.number)

    def _show(self) -> None:
        telemetry = {}
        for car in self._cars.values():
            telemetry[car.car.name] = replace(
                car.figures,
                at=time.time(),
                episode_reward=car.driver.total_reward,
                weights_version=car.weights_version,
                clean_laps_in_a_row=car.driver.laps.clean_in_a_row,
            )
        self._publisher.put_telemetry(telemetry)


def main(context: Context) -> None:
    """Drive, for ever."""
    tracks = Tracks.of(context.config)
    tracks.make(tracks.evaluation if context.name == "evaluator" else tracks.training)
    explorer = Explorer(context, tracks)
    context.ready()
    while not context.stopping:
        explorer.turn()
    explorer.finish()


def _starts(car: Car, config: Config, tracks: Tracks, evaluation: Starts) -> Starts | None:
    """Where the car's episodes begin; None: where it is."""
    if car.role == "evaluator":
        return evaluation if tracks.evaluation else None
    if not config.restarts:
        return None
    random = np.random.default_rng([config.seed, car.index, 1])
    return Anywhere(config.start, tracks.training or range(1), random)


def _fresh(driver: Driver, state: CarState | None) -> bool:
    """Whether a state can be the one of the driver's next observation."""
    return state is not None and (driver.session != state.session or state.time >= driver.expected_time)
