"""An MP4 file that grows picture by picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

FRAMES_PER_SECOND = 60
"""What times are counted in; a picture may last several."""
QUALITY = "21"
"""x264's constant rate factor; less is better and larger."""
GROUP = "20"
"""Pictures from one that stands for itself to the next, where a fragment begins."""
OPTIONS = {"movflags": "hybrid_fragmented", "flush_packets": "1"}


class Movie:
    """H.264 in MP4, playable up to its last second even when its writer is killed.

    A context manager. All of it raises OSError, as FFmpeg's errors are, when the file can't be written.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        """Create the file. Width and height in pixels, both even."""
        # Fragments are complete in themselves; on closing they are made into an ordinary file.
        self._container = av.open(str(path), "w", options=OPTIONS)
        self._stream = self._container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.thread_count = 1  # the others belong to those who drive and learn
        self._stream.options = {"preset": "veryfast", "crf": QUALITY, "g": GROUP}
        self._time_base = Fraction(1, FRAMES_PER_SECOND)
        self._stream.codec_context.time_base = self._time_base
        self._container.start_encoding()  # opens the file now, not at some later picture

    def __enter__(self) -> Movie:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def add(self, picture: NDArray[np.uint8], at: int) -> None:
        """Add a picture, uint8 [height, width, 3] BGR, shown from frame ``at`` of the film on."""
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts, frame.time_base = at, self._time_base
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
