"""Films one car: joins its camera's pictures with what its driver says of them, and writes an MP4.

It films whichever car the run is asked to, one at a time, and otherwise waits. Whoever drives never waits for
the film: pictures that come faster than they can be filmed are overwritten.
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2

from processes import orders
from processes.channels import Picture, Ring
from processes.frame_processor import decode
from processes.launch import Context
from processes.orders import OrderBook
from processes.publisher import Publisher
from processes.table import RING_SLOTS, Car
from robo import log
from robo.cache_values import FilmStatus
from robo.config import ROOT, Config
from robo.film import moment
from robo.film.board import HEIGHT, WIDTH, Board
from robo.film.movie import FRAMES_PER_SECOND, Movie
from robo.runs import next_film
from robo.simulation.tracks import Tracks

STATUS_SECONDS = 0.5


class Film:
    """Pairs pictures with moments by their frame number and films the pairs."""

    def __init__(self, path: Path, config: Config, ordered: orders.Film, tracks: Tracks) -> None:
        self.ordered = ordered
        self.trouble = ""
        """Why nothing is filmed, or no more; empty: because nothing is wrong."""
        self._path = path
        self._board = Board(ordered.car, tracks, config.action.throttle_max)
        self._width = config.cars.image_width
        self._repeat = config.action.repeat
        self._most = round(ordered.seconds * FRAMES_PER_SECOND)
        self._movie: Movie | None = None
        try:
            self._movie = Movie(path, WIDTH, HEIGHT)
        except OSError as error:
            self._fail("nothing is filmed", error)
        self._pictures: dict[int, bytes] = {}
        self._number = 0
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether nothing is filmed any more."""
        return self._movie is None

    def see(self, picture: Picture) -> None:
        """Keep a camera picture until the moment to it comes."""
        if picture.number < self._number:  # another connection, which counts anew
            self._pictures.clear()
            self._number = 0
        self._pictures[picture.number] = picture.payload
        while len(self._pictures) > RING_SLOTS:  # no moments come while the car waits for something
            del self._pictures[next(iter(self._pictures))]

    def film(self, message: Picture) -> None:
        """Film the picture of this moment, if it is here."""
        payload = self._pictures.get(message.number)
        self._pictures = {number: kept for number, kept in self._pictures.items() if number > message.number}
        frame = None if payload is None else decode(payload, self._width)
        if frame is None or self._movie is None:
            return
        step = message.number - self._number
        # While the car waits somewhere, nothing is filmed: the film goes on where the car does.
        self._at += step if 0 < step <= FRAMES_PER_SECOND and self._number else self._repeat
        self._number = message.number
        try:
            self._movie.add(self._board.draw(frame, moment.unpack(message.payload)), self._at)
        except OSError as error:
            self._movie = None
            self._fail("film broken off", error)
            return
        if 0 < self._most <= self._at:
            self.close()

    def close(self) -> None:
        """Finish the file."""
        if self._movie is None:
            return
        movie, self._movie = self._movie, None
        try:
            movie.close()
        except OSError as error:
            self._fail("film not finished", error)
            return
        log.get().info("film finished", seconds=round(self._at / FRAMES_PER_SECOND, 1))

    def status(self) -> FilmStatus:
        """How far it is."""
        return FilmStatus(
            at=time.time(),
            id=self.ordered.id,
            car=self.ordered.car,
            path=str(self._path.relative_to(ROOT) if self._path.is_relative_to(ROOT) else self._path),
            seconds=self._at / FRAMES_PER_SECOND,
            over=self.over,
            trouble=self.trouble,
        )

    def _fail(self, what: str, error: OSError) -> None:
        self.trouble = f"{what}: {error.strerror or error}"
        log.get().error(what, film=str(self._path), error=str(error))


class Recorder:
    """The loop's state: the film that is made at the moment, if one is."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cars: dict[str, Car] = {car.name: car for car in context.run.cars}
        self._rings: dict[str, Ring] = {
            name: channel for name, channel in context.channels.items() if name.startswith("film:")
        }
        self._bells = [
            self._rings[f"film:{driver}"].bell for driver in {car.driver for car in context.run.cars}
        ]
        self._book = OrderBook(context.channels["orders"])
        self._publisher = Publisher(context)
        self._film: Film | None = None
        self._told_at = 0.0

    def turn(self) -> None:
        """Wait for something to film, and film it."""
        for bell in self._context.wait(*self._bells):
            bell.clear()
        ordered = self._book.now.film
        if ordered != (self._film and self._film.ordered):
            self._change(ordered)
        if self._film is None:
            return
        if not self._film.over:
            self._go_on(self._film)
            now = time.monotonic()
            if self._film.over or now - self._told_at >= STATUS_SECONDS:
                self._told_at = now
                self._publisher.put_film(self._film.status())

    def finish(self) -> None:
        """End the film, if one is made."""
        self._change(None)
        self._publisher.close()

    def _change(self, ordered: orders.Film | None) -> None:
        """End the film, and begin another one if that is wanted."""
        if self._film is not None:
            self._film.close()
            self._publisher.put_film(self._film.status())
            self._film = None
        for ring in self._rings.values():
            ring.drain()  # what is there is of another film
        if ordered is not None:
            path = next_film(self._context.run.folder)
            self._film = Film(path, self._context.config, ordered, Tracks.of(self._context.config))
            log.get().info("filming", car=ordered.car, film=path.name)
            self._publisher.put_film(self._film.status())

    def _go_on(self, film: Film) -> None:
        car = self._cars[film.ordered.car]
        # Moments first: the picture of each is then among those read after.
        moments = self._rings[f"film:{car.driver}"].drain()
        for picture in self._rings[f"film:frame_processor{car.group}"].drain():
            if picture.car == car.index:
                film.see(picture)
        for message in moments:
            self._context.beat()  # each takes a while
            if self._context.stopping or self._book.now.film != film.ordered:
                return  # finishing the file is worth more than its last second
            if message.car == car.index:
                film.film(message)


def main(context: Context) -> None:
    """Film what there is to film, until told to stop."""
    cv2.setNumThreads(1)
    recorder = Recorder(context)
    context.ready()
    while not context.stopping:
        recorder.turn()
    recorder.finish()
