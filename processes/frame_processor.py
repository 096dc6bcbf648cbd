"""Decodes one group's camera frames and turns them into observations for its explorers."""

from __future__ import annotations

import time

import cv2
import numpy as np

from processes.channels import Ring
from processes.launch import Context
from processes.trace import Stage
from robo import log
from robo.cache import Cache, Lost
from robo.perception import kinds
from robo.protocol.car import is_raw
from robo.simulation.png import PngEncoder

PICTURE_SECONDS = 0.5
"""How often a car's picture goes to the cache, for whoever watches."""
PNG_LEVEL = 1
"""zlib's: under 1 KB a picture, for a cache that may be on another machine."""


def main(context: Context) -> None:
    """Wait for frames, process each, for ever."""
    cv2.setNumThreads(1)  # a picture is too small to be worth a second thread
    frames: Ring = context.channels[f"frames{context.group}"]
    width = context.config.cars.image_width
    mine = [car for car in context.run.cars if car.group == context.group]
    names = {car.index: car.name for car in mine}
    rings: dict[int, Ring] = {car.index: context.channels[f"observations:{car.driver}"] for car in mine}
    film: Ring | None = context.channels.get("film:pictures")
    filmed = context.config.film.car
    cache = Cache(context.run.redis_url, context.run.name)
    encoder = PngEncoder(width, width * 80 // 128, PNG_LEVEL)
    shown = dict.fromkeys(names, 0.0)
    bad = lost_before = 0
    see = kinds.see(context.config.observation.kind)
    # Compile, or load, before the first frame; for arrays that can't be written to, as of bare pixels, too.
    see(np.zeros((80, 128, 3), np.uint8))
    see(decode(bytes(3 * width * (width * 80 // 128)), width))
    context.ready()
    while not context.stopping:
        if not context.wait(frames.bell):
            continue
        frames.bell.clear()
        for picture in frames.drain():
            context.trace.note(Stage.TAKEN, picture.car, picture.number)
            frame = decode(picture.payload, width)
            if frame is None:
                bad += 1
                log.get().warning("frame is no picture, dropped", car=names[picture.car], so_far=bad)
                continue
            if film is not None and names[picture.car] == filmed:
                film.put(picture.car, picture.number, picture.received, picture.payload)
            observation = see(frame)
            rings[picture.car].put(picture.car, picture.number, picture.received, observation.tobytes())
            context.trace.note(Stage.PROCESSED, picture.car, picture.number)
            now = time.monotonic()
            if now - shown[picture.car] >= PICTURE_SECONDS:
                shown[picture.car] = now
                raw = is_raw(picture.payload, width)
                _show(cache, names[picture.car], encoder.encode(frame) if raw else picture.payload)
        if frames.lost != lost_before:
            log.get().warning("frames lost", so_far=frames.lost)
            lost_before = frames.lost


def decode(picture: bytes, width: int) -> np.ndarray | None:
    """uint8 [H, W, 3] BGR of a PNG, or of bare pixels of this width; None of anything else."""
    pixels = np.frombuffer(picture, np.uint8)
    if is_raw(picture, width):
        return pixels.reshape(-1, width, 3)
    try:
        return cv2.imdecode(pixels, cv2.IMREAD_COLOR) if picture else None
    except cv2.error:
        return None


def _show(cache: Cache, car: str, png: bytes) -> None:
    try:
        cache.put_frame(car, png)
    except Lost:
        return  # a picture for the eye: the next one comes soon
