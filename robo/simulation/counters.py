"""What the simulator's server counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """Counts since the server's start; frames, images and logins apart, they are signs of trouble."""

    frames: int = 0
    """Frames simulated."""
    images: int = 0
    """Frames sent to cars."""
    unanswered: int = 0
    """Frames that were for a car, and not sent: it had not answered the one before."""
    logins: int = 0
    refused_logins: int = 0
    refused_connections: int = 0
    """Connections closed at once because there were too many."""
    silent_connections: int = 0
    """Car connections closed because no login came."""
    malformed_lines: int = 0
    """Of cars; each counts as an answer and does nothing else."""
    overlong_lines: int = 0
    """Of cars; dropped."""
    passed_over: int = 0
    """Lockstep: answers that did not come within the limit."""
    dropped_frames: int = 0
    """Realtime: frames not simulated because the machine was too slow."""
    slow_spectators: int = 0
    """Spectators dropped because they did not read."""
    unruly_spectators: int = 0
    """Spectators dropped because they sent something that is not a command."""
    lost_log_lines: int = 0
    """Lines of the race log that the disk did not take."""
    lost_results: int = 0
    """Results of races that the disk did not take."""
