"""CommandRunner: a command in a child process, watched by a timer of the program's own event loop."""

from __future__ import annotations

from collections.abc import Callable

import qt

from LandmarkDetectionLib.command_client import CommandFailed, CommandFinished, CommandProcess

_POLL_INTERVAL_MS = 250


class CommandRunner:
    """Runs one command at a time without holding up the program.

    Args:
        on_finished: called with what the command printed.
        on_failed: called with why it printed nothing.
        on_tick: called again and again while it runs.
    """

    def __init__(
        self,
        on_finished: Callable[[str], None],
        on_failed: Callable[[CommandFailed], None],
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_finished = on_finished
        self._on_failed = on_failed
        self._on_tick = on_tick
        self._command = CommandProcess()
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_INTERVAL_MS)
        self._timer.timeout.connect(self._on_timeout)

    @property
    def is_busy(self) -> bool:
        """Whether a command is running."""
        return self._command.is_busy

    @property
    def process_id(self) -> int | None:
        """Of the child process, None if there is none."""
        return self._command.process_id

    def start(self, *arguments: str) -> None:
        """Run a command.

        Raises:
            LandmarkDetectionError: if it cannot be started.
        """
        self._command.start(*arguments)
        self._timer.start()

    def stop(self) -> None:
        """End the command, if one is running, with all the processes it started."""
        self._timer.stop()
        self._command.cancel()

    def _on_timeout(self) -> None:
        result = self._command.poll()
        if result is None:
            self._on_tick()
            return
        self._timer.stop()
        if isinstance(result, CommandFinished):
            self._on_finished(result.output)
        else:
            self._on_failed(result)
