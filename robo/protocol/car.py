"""The car socket: login, commands and camera frames, for both ends.

A car sends JSON lines; the simulator sends frames, each a PNG behind its length in two bytes, big-endian.

Two keys of the login are ours, and a simulator that does not know them passes over them: ``pictureFormat:
"bgr"`` asks for the bare pixels in place of a PNG, and ``pictureEvery: n`` for every n-th frame alone.
"""

from __future__ import annotations

import json
import struct
from typing import Annotated

import msgspec

DEFAULT_IMAGE_WIDTH = 128
IMAGE_WIDTHS = range(8, 129)
NAME_LIMIT = 256
"""Characters in a name, team or colour: a name stands in every status line, so it can't be any length."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
"""A PNG's last chunk, which is always the same."""
MAX_FRAME_BYTES = 65535
"""What a length in two bytes can say."""
LONGEST_EVERY = 15
"""Frames; an answer to every 15th still comes before a simulator takes its car for silent."""


class Login(msgspec.Struct, frozen=True):
    """Who drives a car: its first line. The image's height is ``image_width * 80 // 128`` pixels."""

    name: str
    team: str
    color: str = ""
    image_width: int = DEFAULT_IMAGE_WIDTH
    raw: bool = False
    """Whether its pictures are bare pixels, rows from the top, blue, green, red, in place of PNGs."""
    every: int = 1
    """It is sent every so many-th frame."""


class Command(msgspec.Struct, frozen=True, gc=False):
    """A line that a car sends after its login. An action that is not one of ACTIONS does nothing."""

    action: str | None = None
    value: float | None = None


class Restart(msgspec.Struct, frozen=True):
    """A line that asks the embedded simulator to put the car elsewhere; a real one does nothing about it."""

    track: Annotated[int, msgspec.Meta(ge=0)] = 0
    at: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Share of the track's length."""
    lateral: Annotated[float, msgspec.Meta(ge=-0.3, le=0.3)] = 0.0
    """Metres right of the centre line."""
    heading: Annotated[float, msgspec.Meta(ge=-1.6, le=1.6)] = 0.0
    """Radians to the right of the track's direction."""
    speed: Annotated[float, msgspec.Meta(ge=0, le=4)] = 0.0
    """m/s."""


RESTART = "restart"
ACTIONS = ("forward", "brake", "turn", "reverse")

_encode = msgspec.json.Encoder().encode
_decode_command = msgspec.json.Decoder(Command).decode
_decode_restart = msgspec.json.Decoder(Restart).decode

NO_OP = b'{"move":true}\n'
"""An answer that changes nothing but buys the next frame."""


def login_line(
    name: str, team: str, color: str, image_width: int | None = None, *, raw_every: int | None = None
) -> bytes:
    """The line that a car's connection begins with. Color: ``#rrggbb``; image_width: pixels, 8..128.

    ``raw_every``: ask for bare pixels, of every so many-th frame; see ``is_raw`` for whether it was heard.
    """
    login: dict[str, str | int] = {"name": name, "teamId": team, "color": color}
    if image_width is not None:
        login["imageWidth"] = image_width
    if raw_every is not None:
        login |= {"pictureFormat": "bgr", "pictureEvery": raw_every}
    return _encode(login) + b"\n"


def parse_login(line: bytes) -> Login | None:
    """Read a login line; None when it is not JSON, or has no name or no teamId.

    A width that is not a whole number in 8..128 means 128, a colour that is not text means none, and a
    picture format or interval that is not known, PNGs of all frames.
    """
    try:
        # Not msgspec: a NaN in a field that nobody reads is no reason to refuse a car.
        fields = json.loads(line)
        name, team, color = (fields.get(key) for key in ("name", "teamId", "color"))
        width, every = fields.get("imageWidth"), fields.get("pictureEvery")
        raw = fields.get("pictureFormat") == "bgr"
    except (ValueError, AttributeError, RecursionError):
        return None
    if not is_text(name) or not is_text(team):
        return None
    return Login(
        name=name,
        team=team,
        color=color if is_text(color) else "",
        image_width=width if type(width) is int and width in IMAGE_WIDTHS else DEFAULT_IMAGE_WIDTH,
        raw=raw,
        every=every if type(every) is int and 1 <= every <= LONGEST_EVERY else 1,
    )


def is_text(value: object) -> bool:
    """Whether this may be a name: text, not empty, within NAME_LIMIT, with a UTF-8 form.

    JSON can escape half a surrogate pair, which has none.
    """
    if not isinstance(value, str) or not 0 < len(value) <= NAME_LIMIT:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def raw_size(width: int) -> int:
    """Bytes in the bare pixels of a picture of this width."""
    return 3 * width * (width * 80 // 128)


def is_raw(picture: bytes, width: int) -> bool:
    """Whether a frame's payload is the bare pixels of a picture of this width, and no PNG."""
    return len(picture) == raw_size(width) and not picture.startswith(PNG_SIGNATURE)


def command_line(
    throttle: float | None = None, turn: float | None = None, brake: float | None = None
) -> bytes:
    """The lines that set what is given: throttle and brake in 0..1, turn in -1..1, +1 full left.

    Nothing given: NO_OP. Throttle zeroes the brake and brake the throttle; with both given, brake wins.
    """
    lines = b"".join(
        _encode({"action": action, "value": value}) + b"\n"
        for action, value in (("forward", throttle), ("turn", turn), ("brake", brake))
        if value is not None
    )
    return lines or NO_OP


def parse_command(line: bytes) -> Command | None:
    """Read a command line; None when it is not a JSON object, or its action or value has a wrong type.

    The value is finite (JSON has no other) but may lie outside the action's range.
    """
    try:
        return _decode_command(line)
    except (ValueError, RecursionError):  # a DecodeError is a ValueError
        return None


def restart_line(restart: Restart) -> bytes:
    """The line that asks for a restart."""
    return _encode({"action": RESTART, **msgspec.structs.asdict(restart)}) + b"\n"


def parse_restart(line: bytes) -> Restart | None:
    """Read a line whose action is RESTART; None when a field has a wrong type or is out of its range."""
    try:
        return _decode_restart(line)
    except (ValueError, RecursionError):
        return None


def frame_message(picture: bytes) -> bytes:
    """A frame as it goes over the wire. Raises ValueError when the picture has more than 65535 bytes."""
    if len(picture) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(picture)} bytes does not fit a length of two bytes")
    return struct.pack(">H", len(picture)) + picture


class FrameDecoder:
    """Splits the byte stream of a car socket into its frames' pictures, however it arrives.

    A picture is a PNG, from its signature to its last chunk, or bare pixels where they were asked for. A
    frame of anything else, or of a wrong length, is dropped and counted in ``bad``; the next one is found by
    its PNG's signature, behind two bytes of length. What stands before it is lost, and counted once. No whole
    frame is lost to a wrong length, unless that is exactly the one of a picture that ends further on.

    Bare pixels look like anything, so nothing can be found among them: see ``lost_sync``. Where a length is
    right for them, whatever follows is taken for them.

    Holds less than one frame between calls. After a length that is too large it may wait for bytes that
    nobody is going to send; its owner has to know when to give up. Nor does a simulator send another frame
    before the last one is answered, so a bad one has to be, too.
    """

    def __init__(self, raw_bytes: int | None = None) -> None:
        """``raw_bytes``: see ``raw_size``; None: bare pixels were not asked for."""
        self.bad = 0
        self._raw_bytes = raw_bytes
        self._sends_pngs = raw_bytes is None
        self._searching = False
        self._held = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet; not 0 at the stream's end: it was cut off."""
        return len(self._held)

    @property
    def lost_sync(self) -> bool:
        """Whether only a new connection helps: after a bad frame where bare pixels are, or may be, sent."""
        return self._searching and not self._sends_pngs

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the pictures that they complete, oldest first."""
        stream: bytes | bytearray = data
        if self._held:
            self._held += data
            stream = self._held
        frames: list[bytes] = []
        start = self._find(stream, 0) if self._searching else 0
        while not self._searching and len(stream) >= start + 2:
            begin = start + 2
            end = begin + (stream[start] << 8 | stream[start + 1])
            if end <= len(stream) and self._is_picture(stream, begin, end):
                frames.append(bytes(stream[begin:end]))
                start = end
            elif end <= len(stream) or self._is_hopeless(stream, begin, end):
                self.bad += 1
                start = self._find(stream, start + 1)
            else:
                break
        if stream is data:
            self._held += data[start:]
        else:
            del self._held[:start]
        return frames

    def _is_picture(self, stream: bytes | bytearray, begin: int, end: int) -> bool:
        """Whether this is the payload of a frame that may be handed out."""
        png = stream.startswith(PNG_SIGNATURE, begin, end)
        whole = stream.endswith(_PNG_END, begin, end) if png else end - begin == self._raw_bytes
        if whole:
            self._sends_pngs = png
        return whole

    def _is_hopeless(self, stream: bytes | bytearray, begin: int, end: int) -> bool:
        """Whether what there is of a payload can't be the begin of one that may be handed out."""
        if PNG_SIGNATURE.startswith(stream[begin : begin + len(PNG_SIGNATURE)]):
            # The PNG is over before its length is. Nothing comes after it: its sender waits for an answer.
            return stream.endswith(_PNG_END, begin)
        return end - begin != self._raw_bytes

    def _find(self, stream: bytes | bytearray, start: int) -> int:
        """Where the next frame begins, not before ``start``; where one may, while none is in sight."""
        place = stream.find(PNG_SIGNATURE, start + 2)
        self._searching = place < 0
        if self._searching:
            return max(start, len(stream) - 1 - len(PNG_SIGNATURE))
        return place - 2
