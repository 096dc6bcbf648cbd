"""Decodes one group's camera frames and turns them into observations for its explorers."""

from __future__ import annotations

import struct
import time

import cv2
import numpy as np

from processes.channels import Ring
from processes.launch import Context
from processes.orders import OrderBook
from processes.publisher import Publisher
from processes.trace import Stage
from processes.vitals import Count
from robo.cache_values import Frame
from robo.perception import kinds
from robo.protocol.car import DEFAULT_IMAGE_WIDTH, is_raw
from robo.simulation.png import PngEncoder, holds

PICTURE_SECONDS = 0.5
"""How often a car's picture goes to the cache while nobody watches it ..."""
WATCHED_PICTURE_SECONDS = 0.04
"""... and while somebody does; decisions in realtime are a little farther apart, so all of them are shown."""
_PNG_SIZE = slice(16, 24)
"""Where a PNG says how wide and high it is."""
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
    film: Ring = context.channels[f"film:{context.name}"]
    orders = OrderBook(context.channels["orders"])
    publisher = Publisher(context, watched=list(names.values()))
    encoder = PngEncoder(width, width * 80 // 128, PNG_LEVEL)
    shown = dict.fromkeys(names, 0.0)
    lost_before = frames.lost
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
                context.count(Count.MESSAGES, event="frame is no picture, dropped", car=names[picture.car])
                continue
            name, ordered = names[picture.car], orders.now.film
            if ordered is not None and ordered.car == name:
                film.put(picture.car, picture.number, picture.received, picture.payload)
            observation = see(frame)
            rings[picture.car].put(picture.car, picture.number, picture.received, observation.tobytes())
            context.trace.note(Stage.PROCESSED, picture.car, picture.number)
            now = time.monotonic()
            if now - shown[picture.car] >= (
                WATCHED_PICTURE_SECONDS if name in publisher.watched else PICTURE_SECONDS
            ):
                shown[picture.car] = now
                png = encoder.encode(frame) if is_raw(picture.payload, width) else picture.payload
                at = time.time() - (now - picture.received)
                publisher.put_frame(name, Frame(at, picture.number, png))
        if lost := frames.lost - lost_before:
            lost_before += lost
            context.count(Count.FRAMES, lost, event="frames lost")
    publisher.close()


def decode(picture: bytes, width: int) -> np.ndarray | None:
    """uint8 [H, W, 3] BGR of a PNG, or of bare pixels of this width; None of anything else.

    Also of a PNG of another size than was asked for, or is a camera's without asking: a few bytes can be 100
    megapixels, and what works on pictures counts on their size.
    """
    pixels = np.frombuffer(picture, np.uint8)
    if is_raw(picture, width):
        return pixels.reshape(-1, width, 3)
    if picture[_PNG_SIZE] not in (_png_size(width), _png_size(DEFAULT_IMAGE_WIDTH)) or not holds(picture):
        return None
    try:
        return cv2.imdecode(pixels, cv2.IMREAD_COLOR)
    except cv2.error:
        return None


def _png_size(width: int) -> bytes:
    return struct.pack(">II", width, width * 80 // 128)
