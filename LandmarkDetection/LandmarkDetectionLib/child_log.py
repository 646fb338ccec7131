"""What a child process printed, and how it ended if it never answered."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .failures import OUT_OF_MEMORY

CRASH = "crash"
"""Kind of failure: the child process ended on its own."""

_TAIL_LINES = 12
_PROGRESS_BAR = "%|"
"""Is in what tqdm draws, and says nothing about a crash."""


@dataclass(frozen=True)
class Death:
    """How a child process ended without an answer: the kind of failure, and a sentence for the user."""

    kind: str
    message: str


def read_lines(log: Path) -> list[str]:
    """The lines of a log as a terminal would show them in the end: a progress bar is drawn over itself."""
    text = log.read_bytes().decode("utf-8", "replace")  # read as text, every carriage return would end a line
    shown = (re.split(r"\r+", line.rstrip("\r"))[-1].rstrip() for line in text.split("\n"))
    return [line for line in shown if line]


def tail_of(lines: Sequence[str]) -> str:
    """The last lines of a log, enough to see what went wrong."""
    return "\n".join(lines[-_TAIL_LINES:])


def death_of(status: int, lines: Sequence[str], process: str = "process") -> Death:
    """What to say of a child that is no more.

    Args:
        status: its exit status; below zero the signal that ended it.
        lines: of its log.
        process: what the user knows it as.
    """
    if status == -getattr(signal, "SIGKILL", 9):
        text = f"The {process} was killed, most often because memory ran out: close other programs or data."
        return Death(OUT_OF_MEMORY, text)
    telling = [line for line in lines if _PROGRESS_BAR not in line]
    reason = f"status {status}; {telling[-1]}" if telling else f"status {status}"
    return Death(CRASH, f"The {process} crashed ({reason}): try again, or report this with its log.")
