"""Drives its cars: observations in, commands out; rewards, episodes and experience for the learner.

The evaluator is this process too: the same loop with the greedy policy, and weights that stay the same for
a whole episode, so that a score belongs to the weights that earned it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from msgspec.structs import replace

from processes.car_reader import COMMAND
from processes.channels import Latest, Picture, Queue, Ring
from processes.explorer_cars import DrivenCar, EvaluationWeights
from processes.exported import Loaded, Substitute
from processes.launch import Context
from processes.orders import OrderBook
from processes.publisher import Publisher
from processes.table import Car
from processes.trace import Stage
from processes.vitals import Count
from robo import log
from robo.cache_values import Hand, LapRecord, Outline
from robo.config import Config
from robo.driving import starts
from robo.driving.driver import Driver, EpisodeResult, Seen
from robo.driving.episodes import End
from robo.driving.experience import Episode, Rows, concatenate
from robo.driving.laps import Lap
from robo.driving.policies import to_command
from robo.driving.starts import Anywhere, InTurn, Starts
from robo.driving.state import CarState, unpack
from robo.driving.transitions import observation_size
from robo.film import moment
from robo.film.moment import Moment
from robo.perception import kinds
from robo.protocol.car import Restart
from robo.simulation.plan_view import outline
from robo.simulation.tracks import Tracks

STATE_SECONDS = 0.03
"""How long an observation waits for the car state of its moment, which comes by another way."""
TELEMETRY_SECONDS = 0.25
"""How often telemetry goes to the cache while nobody watches one of the cars ..."""
WATCHED_TELEMETRY_SECONDS = 0.05
"""... and while somebody does, or drives one."""
OUTLINE_SECONDS = 2.0
OUTLINES_KEPT = 64
LAST_ROOM_SECONDS = 0.3
"""At the run's end: how long to wait for the learner to make room for what is left."""
REST = COMMAND.pack(0.0, 0.0, 0.0)
STAY = starts.pack(None)


class Explorer:
    """The loop's state: the cars, the channels, and the experience on its way."""

    def __init__(self, context: Context, tracks: Tracks) -> None:
        self._context = context
        self._config = context.config
        self._observed = kinds.SHAPES[context.config.observation.kind]
        self._tracks = tracks
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
        self._film: Ring = context.channels[f"film:{context.name}"]
        self._book = OrderBook(context.channels["orders"])
        self._orders = self._book.now
        evaluators = [car.index for car in mine if car.role == "evaluator"]
        size = observation_size(context.config.observation)
        self._substitute = Substitute(evaluators, size, context.config.action)
        self._other: Loaded | None = None
        names = [car.name for car in mine]
        driven = names if context.config.monitor.control else ()
        self._publisher = Publisher(context, watched=names, driven=driven)
        self._hands: Mapping[str, Hand] = {}
        self._paced_at = 0.0
        self._outlined_at = 0.0
        self._outline = lru_cache(OUTLINES_KEPT)(outline)
        self._frames_lost = self._observations.lost
        self._rows: list[Rows] = []
        self._learner_gone = False
        self._shown_at = 0.0

    def turn(self) -> None:
        """Wait for observations and answer them."""
        if self._observations.bell in self._context.wait(self._observations.bell):
            self._observations.bell.clear()
            self._follow_orders()
            # Of a car that got ahead of us only the newest matters: its older frames had no answer from us.
            pictures = list({picture.car: picture for picture in self._observations.drain()}.values())
            if lost := self._observations.lost - self._frames_lost:
                self._frames_lost += lost
                self._context.count(Count.FRAMES, lost, event="observations lost")
            self._note(Stage.OBSERVED, pictures)
            states = self._states_for(pictures)
            self._note(Stage.STATED, pictures)
            self._keep_pace(pictures)
            for picture in pictures:
                self._answer(picture, states[picture.car])
        now = time.monotonic()
        fast = self._hands or self._publisher.watched
        if now - self._shown_at >= (WATCHED_TELEMETRY_SECONDS if fast else TELEMETRY_SECONDS):
            self._shown_at = now
            self._show()
        if now - self._outlined_at >= OUTLINE_SECONDS:
            self._outlined_at = now
            self._publisher.put_outlines(self._outlines())

    def finish(self) -> None:
        """Hand on what is still here, before the end."""
        for car in self._cars.values():
            self._close(car, car.driver.interrupt())
        if self._rows:
            self._put(concatenate(self._rows))
        self._publisher.close()

    def _follow_orders(self) -> None:
        """See what the run was asked to do, and who drives by hand."""
        self._orders, self._hands = self._book.now, self._publisher.hands
        other = self._substitute.want(self._orders.policy)
        self._context.complain("policy", self._substitute.trouble)
        for car in self._cars.values():
            driven_by = self._driven_by(car, other)
            if driven_by != car.driven_by:
                # While ``_other`` is still what drove the episode that ends here.
                self._close(car, car.driver.interrupt())
                car.driver.laps.put_aside()
                car.driven_by = driven_by
        self._other = other

    def _keep_pace(self, pictures: list[Picture]) -> None:
        """Where the simulator waits for us: make it as slow as life while somebody drives, or all rest."""
        if not self._config.simulator.lockstep or not (self._hands or self._orders.paused):
            return
        driven = [car for car in self._cars.values() if car.car.name in self._hands]
        pacemaker = (driven or list(self._cars.values()))[0]
        if any(picture.car == pacemaker.car.index for picture in pictures):
            due = self._paced_at + self._config.action.repeat / 60.0
            self._context.wait(timeout=max(0.0, due - time.monotonic()))
            self._paced_at = max(due, time.monotonic())

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
        car.observation = observation = np.frombuffer(picture.payload, np.float32).reshape(self._observed)
        if gap:
            self._close(car, car.driver.interrupt())
        if (hand := self._hands.get(car.car.name)) is not None:
            self._let_drive(car, hand, state)
            return
        if not self._can_drive(car):
            self._rest(car, None)
            return
        if state is None or car.driver.seen(state):
            # The state of this moment is not known, so neither is what the last step led to.
            self._close(car, car.driver.interrupt())
            car.figures = replace(car.figures, late_states=car.figures.late_states + 1)
            self._context.count(Count.LATE_STATES)
        else:
            seen = car.driver.observe(observation, state)
            car.follow(state)
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
            self._keep_lap(car, state, seen.lap)
            self._end(car, seen.episode, episode)
            return
        self._command(car)

    def _can_drive(self, car: DrivenCar) -> bool:
        """Whether the car is to drive and has a policy: an evaluator waits until something is learned."""
        if self._orders.paused:
            return False
        return not car.evaluates or bool(self._other) or self._evaluation is None or self._evaluation.ready

    def _other_for(self, car: DrivenCar) -> Loaded | None:
        """The policy that drives the car in place of its own."""
        return self._other if car.evaluates else None

    def _let_drive(self, car: DrivenCar, hand: Hand, state: CarState | None) -> None:
        """Somebody drives the car: do what they say. Nothing is learned from it."""
        self._commands.put(
            car.car.index, car.number, COMMAND.pack(hand.throttle, hand.turn, hand.brake) + STAY
        )
        car.figures = replace(
            car.figures, decisions=car.figures.decisions + 1, throttle=hand.throttle, turn=hand.turn
        )
        if state is not None and (car.state is None or state != car.state):
            lap = car.driver.laps.update(state)
            car.follow(state)
            self._tell_film(car, state)
            self._keep_lap(car, state, lap)

    def _act(
        self, car: DrivenCar, vector: np.ndarray, observation: np.ndarray, *, begins: bool
    ) -> np.ndarray:
        if other := self._other_for(car):
            policy = other.policies[car.car.index]
            if begins:
                policy.begin()
            return policy.act(vector, observation)
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
        other = self._other_for(car)
        throttle, turn = to_command(other.action if other else self._config.action, car.action)
        self._commands.put(car.car.index, car.number, COMMAND.pack(throttle, turn, 0.0) + STAY)
        self._context.trace.note(Stage.DECIDED, car.car.index, car.number)
        car.figures = replace(car.figures, decisions=car.figures.decisions + 1, throttle=throttle, turn=turn)

    def _tell_film(self, car: DrivenCar, state: CarState) -> None:
        ordered = self._orders.film
        if ordered is None or car.car.name != ordered.car:
            return
        told = Moment(car.figures.throttle, car.figures.turn, state)
        self._film.put(car.car.index, car.number, time.monotonic(), moment.pack(told))

    def _keep(self, car: DrivenCar, seen: Seen) -> None:
        """Keep the step that one observation completed."""
        if seen.transition is not None:
            self._hand_on(car, car.collector.add(seen.transition))

    def _hand_on(self, car: DrivenCar, rows: Sequence[Rows]) -> None:
        """Have the learner get these rows, together with others."""
        if self._experience is None or car.evaluates:
            return
        self._rows += rows
        if sum(part.env_steps for part in self._rows) >= self._config.replay.chunk:
            self._put(concatenate(self._rows))
            self._rows = []

    def _keep_lap(self, car: DrivenCar, state: CarState, lap: Lap | None) -> None:
        """Keep the lap that the car completed with this state, if it did, and its line."""
        if (line := car.tracer.follow(state, lap)) is not None:
            self._publisher.put_line(car.car.name, line)
        if lap is None:
            return
        role = car.car.role
        if car.driven_by:
            role = "hand" if car.driven_by == "hand" else "policy"
        else:
            figures = car.figures
            best = min(figures.best_lap or lap.seconds, lap.seconds) if lap.clean else figures.best_lap
            car.figures = replace(
                figures, laps=figures.laps + 1, clean_laps=figures.clean_laps + lap.clean, best_lap=best
            )
        log.get().info("lap", car=car.car.name, seconds=round(lap.seconds, 3), clean=lap.clean, role=role)
        row = car.driver.laps.clean_in_a_row
        self._publisher.add_lap(LapRecord(time.time(), car.car.name, role, lap.seconds, lap.clean, row))

    def _close(self, car: DrivenCar, result: EpisodeResult | None) -> None:
        """Report an episode that was cut short, if there was one."""
        self._end(car, result, self._episode(car, result))

    def _episode(self, car: DrivenCar, result: EpisodeResult | None) -> Episode | None:
        """What to report of an episode, with the weights that the car has now; None: nothing."""
        if result is None or self._experience is None or not result.steps or self._other_for(car):
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
                crashes=car.crashes,
                reward_terms=car.driver.reward_terms,
                driven_by=car.driven_by,
                observation=_as_bytes(car.observation),
            )
        self._publisher.put_telemetry(telemetry)

    def _driven_by(self, car: DrivenCar, other: Loaded | None) -> str:
        """Who drives the car, as ``Telemetry`` has it; ``other``: the evaluators' policy."""
        if car.car.name in self._hands:
            return "hand"
        if self._orders.paused:
            return "paused"
        return other.name if other and car.evaluates else ""

    def _outlines(self) -> dict[str, Outline]:
        """What the tracks look like that the cars are on, where that is known."""
        numbers = {name: car.state.track for name, car in self._named() if car.state is not None}
        known = {number: self._tracks.get(number) for number in set(numbers.values())}
        drawn = {number: self._outline(track, number) for number, track in known.items() if track}
        return {name: drawn[number] for name, number in numbers.items() if number in drawn}

    def _named(self) -> list[tuple[str, DrivenCar]]:
        return [(car.car.name, car) for car in self._cars.values()]


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


def _as_bytes(observation: np.ndarray) -> bytes:
    """An observation's numbers, 0..1, as a byte each."""
    return (observation.clip(0.0, 1.0) * 255.0).astype(np.uint8).tobytes()


def _fresh(driver: Driver, state: CarState | None) -> bool:
    """Whether a state can be the one of the driver's next observation."""
    return state is not None and (driver.session != state.session or state.time >= driver.expected_time)
