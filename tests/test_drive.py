from __future__ import annotations

import fcntl
import math
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from robo import config
from robo.driving.dashboard import Dashboard, lines
from robo.driving.keyboard import BRAKE_SECONDS, TURN_STEP, Controls, Key, Keyboard, KeyDecoder
from robo.terminal import fit, half_blocks, page
from scripts.drive import SKIPPED_FRAMES, Painter

COMMAND = [sys.executable, "-m", "scripts.drive"]
PATIENCE = 60.0
SPEED = re.compile(rb"(\d+\.\d\d) m/s")


class TestKeyDecoder:
    def test_letters_and_arrows(self) -> None:
        keys = KeyDecoder().feed(b"wSaD r\x1b[A\x1bOB\x1b[1;2D\x1b[C\x03q")
        turns = [Key.FASTER, Key.SLOWER, Key.LEFT, Key.RIGHT]
        assert keys == [*turns, Key.BRAKE, Key.RESTART, *turns[:3], Key.RIGHT, Key.QUIT, Key.QUIT]

    def test_sequences_in_pieces(self) -> None:
        decoder = KeyDecoder()
        assert [key for byte in b"\x1b[A\x1bOCw" for key in decoder.feed(bytes([byte]))] == [
            Key.FASTER,
            Key.RIGHT,
            Key.FASTER,
        ]

    def test_other_keys_do_nothing(self) -> None:
        decoder = KeyDecoder()
        assert decoder.feed(b"\x1b[3~\x1b[15~xyz\xc3\xa4\x00\xff") == []
        assert decoder.feed(b"\x1b") == []
        assert decoder.feed(b"w") == [Key.FASTER]

    def test_a_sequence_without_end_is_not_kept_for_ever(self) -> None:
        decoder = KeyDecoder()
        decoder.feed(b"\x1b[" + b"1" * 1000)
        assert decoder.feed(b"w") == [Key.FASTER]


class TestKeyboard:
    def test_the_throttle_stays_between_none_and_full(self) -> None:
        keyboard = Keyboard(0.5)
        keyboard.press(Key.FASTER, 0.0)
        assert keyboard.controls(60.0) == Controls(pytest.approx(0.1), 0.0, 0.0)
        for _ in range(9):
            keyboard.press(Key.FASTER, 1.0)
        assert keyboard.controls(1.0).throttle == 0.5
        for _ in range(9):
            keyboard.press(Key.SLOWER, 2.0)
        assert keyboard.controls(2.0).throttle == 0.0

    def test_steering_adds_up_and_fades(self) -> None:
        keyboard = Keyboard(1.0)
        keyboard.press(Key.LEFT, 1.0)
        assert keyboard.controls(1.0).turn == TURN_STEP
        assert 0 < keyboard.controls(1.2).turn < TURN_STEP
        assert keyboard.controls(5.0).turn == 0.0
        for repeat in range(30):
            keyboard.press(Key.LEFT, 6.0 + repeat / 30)
        assert keyboard.controls(6.0 + 29 / 30).turn == 1.0

    def test_the_other_side_counts_from_the_middle(self) -> None:
        keyboard = Keyboard(1.0)
        for _ in range(5):
            keyboard.press(Key.LEFT, 0.0)
        keyboard.press(Key.RIGHT, 0.0)
        assert keyboard.controls(0.0).turn == -TURN_STEP

    def test_the_brake_ends_the_throttle_and_then_itself(self) -> None:
        keyboard = Keyboard(1.0)
        keyboard.press(Key.FASTER, 0.0)
        keyboard.press(Key.BRAKE, 1.0)
        assert keyboard.controls(1.0) == Controls(0.0, 1.0, 0.0)
        assert keyboard.controls(1.0 + 2 * BRAKE_SECONDS) == Controls(0.0, 0.0, 0.0)

    def test_throttle_releases_the_brake(self) -> None:
        keyboard = Keyboard(1.0)
        keyboard.press(Key.BRAKE, 0.0)
        keyboard.press(Key.FASTER, 0.0)
        assert keyboard.controls(0.0).brake == 0.0
        assert keyboard.controls(0.0).throttle > 0.0


class TestPictures:
    def test_two_pixels_a_cell(self) -> None:
        picture = np.array([[[1, 2, 3], [1, 2, 3]], [[255, 0, 40], [255, 0, 41]]], np.uint8)  # BGR
        assert half_blocks(picture, 2, 1) == [
            b"\x1b[38;2;003;002;001;48;2;040;000;255m\xe2\x96\x80"
            b"\x1b[38;2;003;002;001;48;2;041;000;255m\xe2\x96\x80\x1b[0m"
        ]

    def test_colours_are_named_where_they_change(self) -> None:
        rows = half_blocks(np.full((80, 128, 3), 7, np.uint8), 100, 31)
        assert len(rows) == 31
        assert all(row.count(b"\x1b[38") == 1 and row.decode().count("▀") == 100 for row in rows)

    @pytest.mark.parametrize("columns, lines", [(80, 21), (200, 57), (20, 50), (1, 1), (300, 2)])
    def test_it_fits_and_keeps_its_shape(self, columns: int, lines: int) -> None:
        across, down = fit(128, 80, columns, lines)
        assert 1 <= across <= columns
        assert 1 <= down <= lines
        assert abs(across * 80 / 128 - 2 * down) <= 2

    def test_a_page_stays_within_the_terminal(self) -> None:
        picture = np.zeros((80, 128, 3), np.uint8)
        for columns, height in [(80, 24), (10, 4), (5, 3), (2, 1), (1, 1)]:
            text = page(picture, ["x" * 300] * 3, columns, height, clear=True)
            places = re.findall(rb"\x1b\[(\d+);(\d+)H", text)
            assert all(1 <= int(row) <= height and 1 <= int(column) <= columns for row, column in places)
            assert max(map(len, re.findall(rb"x+", text)), default=0) < columns

    def test_a_page_without_a_picture_yet(self) -> None:
        assert b"waiting" in page(None, ["waiting"], 80, 24, clear=False)


class TestDashboard:
    def test_laps(self) -> None:
        board = Dashboard()
        assert "lap 1   last -   best -" in lines(board, Controls(0.0, 0.0, 0.0))[1]
        for seconds in (9.5, 8.25, 8.75, math.nan):
            board.finish_lap(seconds)
        assert "lap 5   last 8.75 s   best 8.25 s" in lines(board, Controls(0.0, 0.0, 0.0))[1]

    def test_controls(self) -> None:
        assert "throttle 0.10   steering right 0.50" in " ".join(
            lines(Dashboard(), Controls(0.1, 0.0, -0.5))[0].split(" ")
        )
        assert "brake" in lines(Dashboard(), Controls(0.0, 1.0, 0.0))[0]


class FakeScreen:
    def __init__(self) -> None:
        self.pending = False
        self.pages = 0

    def size(self) -> tuple[int, int]:
        return 40, 12

    def show(self, data: bytes) -> None:
        self.pages += 1


class FakeCar:
    def __init__(self) -> None:
        self.dashboard = Dashboard()
        self.frame = 0
        self.due_in = 0.01

    def wait(self, now: float) -> float:
        return self.due_in

    def picture(self) -> np.ndarray:
        return np.zeros((80, 128, 3), np.uint8)


class TestPainter:
    def paint(self, frames: int, *, pending: bool = False, due_in: float = 0.01) -> int:
        """How many pages are drawn for so many frames."""
        screen, car = FakeScreen(), FakeCar()
        screen.pending, car.due_in = pending, due_in
        painter = Painter(screen)
        for car.frame in range(1, frames + 1):
            painter.paint(car, Keyboard(1.0), 0.0)
            painter.paint(car, Keyboard(1.0), 0.0)
        return screen.pages

    def test_every_frame_once(self) -> None:
        assert self.paint(12) == 12

    def test_none_while_the_terminal_has_not_taken_the_last(self) -> None:
        assert self.paint(12, pending=True) == 0

    def test_few_while_frames_are_overdue(self) -> None:
        assert self.paint(5 + 10 * SKIPPED_FRAMES, due_in=0.0) == 11


class Terminal:
    """The program in a pseudo-terminal of 60 x 20."""

    def __init__(self, *arguments: str) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
        self.before = termios.tcgetattr(self._slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=config.ROOT,
            stdin=self._slave,
            stdout=self._slave,
            stderr=subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "SIMULATOR_HOST"},
        )

    @property
    def settings(self) -> list:
        return termios.tcgetattr(self._slave)

    @property
    def blocking(self) -> bool:
        return os.get_blocking(self._slave)

    def stop_output(self) -> None:
        termios.tcflow(self._slave, termios.TCOOFF)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def forget(self) -> None:
        self.seen = b""

    def read_until(self, found: Callable[[bytes], object]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not found(self.seen):
            assert time.monotonic() < give_up, self.seen[-300:]
            if select.select([self._master], [], [], 0.5)[0]:
                self.seen += os.read(self._master, 1 << 16)
            elif self.process.poll() is not None:
                pytest.fail(f"it ended: {self.process.returncode} {self.process.stderr.read().decode()}")

    def end(self) -> int:
        """The exit code. What the program still writes is read, for it may wait for that."""
        done = threading.Event()

        def drain() -> None:
            while not done.is_set():
                if select.select([self._master], [], [], 0.05)[0]:
                    self.seen += os.read(self._master, 1 << 16)

        reader = threading.Thread(target=drain)
        reader.start()
        try:
            return self.process.wait(PATIENCE)
        finally:
            done.set()
            reader.join()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self._master)
        os.close(self._slave)


@contextmanager
def driving(*arguments: str) -> Iterator[Terminal]:
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()


def moves(seen: bytes) -> bool:
    return any(float(speed) > 0.05 for speed in SPEED.findall(seen))


class TestProgram:
    @pytest.mark.parametrize("key, leave", [(b"\x1b[A", b"q"), (b"w", b"\x03")])
    def test_draws_drives_and_gives_the_terminal_back(self, key: bytes, leave: bytes) -> None:
        with driving() as terminal:
            terminal.read_until(lambda seen: "▀".encode() in seen and SPEED.search(seen))
            assert terminal.settings != terminal.before
            terminal.press(key * 3)
            terminal.read_until(moves)
            terminal.press(b"a")
            terminal.read_until(lambda seen: b"steering left" in seen)
            terminal.press(leave)
            assert terminal.end() == 0
            assert terminal.settings == terminal.before
            assert terminal.blocking
            assert terminal.seen.endswith(b"\x1b[?25h\x1b[?1049l")

    def test_a_signal_gives_the_terminal_back(self) -> None:
        with driving() as terminal:
            terminal.read_until(SPEED.search)
            terminal.process.send_signal(signal.SIGTERM)
            assert terminal.end() == 0
            assert terminal.settings == terminal.before

    def test_a_terminal_that_takes_nothing_can_be_left(self) -> None:
        with driving() as terminal:
            terminal.read_until(SPEED.search)
            terminal.stop_output()
            terminal.press(b"q")
            assert terminal.process.wait(PATIENCE) == 0
            assert terminal.settings == terminal.before

    def test_without_a_terminal(self) -> None:
        done = subprocess.run(
            COMMAND, check=False, cwd=config.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert done.stderr.startswith("error: standard input: not a terminal")
        assert done.stderr.count("\n") == 1

    def test_no_simulator_there(self) -> None:
        with driving("--host", "127.0.0.1", "--car-port", "1", "--spectator-port", "2") as terminal:
            assert terminal.end() == 2
            assert terminal.process.stderr.read().startswith(b"error: simulator at 127.0.0.1:2")
            assert terminal.settings == terminal.before


class TestRemote:
    @pytest.fixture
    def simulator(self) -> Iterator[subprocess.Popen]:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.simulator", "--car-port", "0", "--spectator-port", "0"],
            cwd=config.ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        yield process
        process.kill()
        process.wait()
        process.stdout.close()

    def test_drives_restarts_and_tells_when_the_simulator_is_gone(self, simulator: subprocess.Popen) -> None:
        ports = re.findall(r"127\.0\.0\.1:(\d+)", simulator.stdout.readline())
        with driving("--host", "127.0.0.1", "--car-port", ports[0], "--spectator-port", ports[1]) as terminal:
            terminal.read_until(lambda seen: "▀".encode() in seen)
            terminal.press(b"www")
            terminal.read_until(moves)
            terminal.press(b"r")
            terminal.forget()
            terminal.read_until(lambda seen: SPEED.findall(seen)[-1:] == [b"0.00"])
            terminal.press(b"www")
            terminal.forget()
            terminal.read_until(moves)
            simulator.kill()
            assert terminal.end() == 2
            assert terminal.process.stderr.read().startswith(
                b"error: simulator at 127.0.0.1:" + ports[0].encode()
            )
            assert terminal.settings == terminal.before
