"""A progress bar is drawn for a person who watches, and for nobody else."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from LandmarkDetectionLib.progress import Progress


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


def run(stderr: io.StringIO) -> str:
    """What a short run writes to stderr."""
    with redirect_stderr(stderr), Progress(parts=2) as progress:
        progress.show(0.5, "half of the first part")
        progress.write("a result")
        progress.write("a failure", stderr)
        progress.show(2, "2 of 2 done")
    return stderr.getvalue()


def test_a_bar_fills_in_a_terminal(capsys):
    drawn = run(Terminal())
    assert "100 %" in drawn
    assert "2 of 2 done" in drawn
    assert capsys.readouterr().out == "a result\n"


def test_a_pipe_gets_lines_alone(capsys):
    assert run(io.StringIO()) == "a failure\n"
    assert capsys.readouterr().out == "a result\n"
