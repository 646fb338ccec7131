"""CommandProcess: runs a command of `landmark-detection` in a child process, which can be cancelled."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .child_log import death_of, read_lines, tail_of
from .child_process import end_process_tree, start_python
from .errors import LandmarkDetectionError

_PREFIX = "landmark-detection: "
"""Begins the sentence with which a command says why it failed."""


@dataclass(frozen=True)
class CommandFinished:
    """What a command printed on standard output."""

    output: str


@dataclass(frozen=True)
class CommandFailed:
    """Why a command printed nothing: a sentence for the user, and the last lines of its log."""

    error: LandmarkDetectionError
    log_tail: str


class CommandProcess:
    """A child process of the same Python that runs one command at a time.

    It needs no thread: `poll` looks, without waiting, whether the command is over.

    Example:
        >>> command = CommandProcess()
        >>> command.start("dataset", "check", "brain", "--json")
        >>> while command.is_busy:
        ...     result = command.poll()
    """

    def __init__(self) -> None:
        self._process = None
        self._folder: Path | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a command was started whose end `poll` has not yet told, and which was not cancelled."""
        return self._process is not None

    @property
    def process_id(self) -> int | None:
        """Of the child process, None if there is none."""
        return None if self._process is None else self._process.pid

    def start(self, *arguments: str) -> None:
        """Run a command; `poll` tells what becomes of it.

        Raises:
            LandmarkDetectionError: if one is running already, or the process cannot be started.
        """
        if self.is_busy:
            message = f"The command {arguments[0]} has to wait for one that is running: wait or cancel it first."
            raise LandmarkDetectionError(message)
        self._folder = Path(tempfile.mkdtemp(prefix="LandmarkDetection-"))
        request = {"arguments": list(arguments), "output": str(self._output)}
        try:
            with self._log.open("wb") as log:
                self._process = start_python(f"{__package__}.command_child", log=log)
        except OSError as error:
            self._forget()
            message = f"The process for {arguments[0]} could not be started ({error.strerror}): restart the program."
            raise LandmarkDetectionError(message) from error
        with contextlib.suppress(OSError):  # a child that has died meanwhile is noticed by the next poll
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def poll(self) -> CommandFinished | CommandFailed | None:
        """What the command came to, once; None while it is running, or if none is."""
        if self._process is None or self._process.poll() is None:
            return None
        output = self._output.read_text(encoding="utf-8") if self._output.exists() else ""
        # Status 1 with a result: some case has a problem, and the result says which.
        result = CommandFinished(output) if output and self._process.returncode in (0, 1) else self._failure()
        self.cancel()
        return result

    def cancel(self) -> None:
        """End the child and all its children at once, if there is one."""
        if self._process is not None:
            end_process_tree(self._process)
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._forget()

    @property
    def _log(self) -> Path:
        return self._folder / "log.txt"

    @property
    def _output(self) -> Path:
        return self._folder / "output.txt"

    def _forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self._folder = None

    def _failure(self) -> CommandFailed:
        lines = read_lines(self._log)
        reasons = [line.removeprefix(_PREFIX) for line in lines if line.startswith(_PREFIX)]
        message = reasons[-1] if reasons else death_of(self._process.returncode, lines).message
        return CommandFailed(LandmarkDetectionError(message), tail_of(lines))
