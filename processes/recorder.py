"""Films one car: joins its camera's pictures with what its driver says of them, and writes an MP4.

Whoever drives never waits for the film: pictures that come faster than they can be filmed are overwritten.
"""

from __future__ import annotations

from pathlib import Path

import cv2

from processes.channels import Picture, Ring
from processes.frame_processor import decode
from processes.launch import Context
from processes.table import filmed
from robo import log
from robo.config import Config
from robo.film import moment
from robo.film.board import HEIGHT, WIDTH, Board
from robo.film.movie import FRAMES_PER_SECOND, Movie
from robo.runs import next_film
from robo.simulation.tracks import Tracks


class Film:
    """Pairs pictures with moments by their frame number and films the pairs."""

    def __init__(self, path: Path, config: Config, car: str, tracks: Tracks) -> None:
        self._board = Board(car, tracks, config.action.throttle_max)
        self._width = config.cars.image_width
        self._repeat = config.action.repeat
        self._most = round(config.film.seconds * FRAMES_PER_SECOND)
        self._movie: Movie | None = None
        try:
            self._movie = Movie(path, WIDTH, HEIGHT)
        except OSError as error:
            log.get().error("nothing is filmed", film=str(path), error=str(error))
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
            log.get().error("film broken off", error=str(error))
            self._movie = None
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
            log.get().error("film not finished", error=str(error))
            return
        log.get().info("film finished", seconds=round(self._at / FRAMES_PER_SECOND, 1))


def main(context: Context) -> None:
    """Film, until told to stop or the film is long enough."""
    pictures: Ring = context.channels["film:pictures"]
    moments: Ring = context.channels["film:moments"]
    cv2.setNumThreads(1)
    car = filmed(context.config)
    path = next_film(context.run.folder)
    film = Film(path, context.config, car.name, Tracks.of(context.config))
    log.get().info("filming", car=car.name, film=path.name)
    context.ready()
    while not context.stopping:
        context.wait(moments.bell)
        moments.bell.clear()
        # Moments first: the picture of each is then among those read after.
        drained = moments.drain()
        for picture in pictures.drain():
            film.see(picture)
        for message in drained:
            if context.stopping:  # finishing the file is worth more than its last second
                break
            film.film(message)
    film.close()
