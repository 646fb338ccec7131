"""The command line: landmark-detection detect | train | evaluate | dataset | models | demo."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__
from .commands import dataset, demo, detect, evaluate, models, train
from .errors import LandmarkDetectionError
from .failures import unexpected_failure

SUCCESS, SOME_CASE_FAILED, WRONG_CALL = 0, 1, 2
INTERRUPTED, READER_LEFT = 130, 141
"""What a shell reports for a program ended by Ctrl-C, and for one whose output nobody reads."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong call in one sentence, like every other error."""

    def error(self, message: str) -> NoReturn:
        sentence = f"{message}; see {self.prog} --help."
        raise LandmarkDetectionError(sentence)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: what follows the program's name; default: that of this process.

    Returns:
        The exit status: 0 all succeeded, 1 some case failed (the others are done and written), 2 the call itself is
        wrong, 130 interrupted.
    """
    _escape_what_the_terminal_cannot_show()
    try:
        arguments = _parser().parse_args(argv)
        status = arguments.run(arguments)
        sys.stdout.flush()
    except LandmarkDetectionError as error:
        print(f"landmark-detection: {error}", file=sys.stderr)
        return WRONG_CALL
    except SystemExit:  # argparse has printed the help or the version
        return SUCCESS
    except KeyboardInterrupt:
        print("landmark-detection: interrupted; what was done is written.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except Exception as error:
        print(f"landmark-detection: {unexpected_failure(error)}", file=sys.stderr)
        return SOME_CASE_FAILED
    return status


def _parser() -> _Parser:
    parser = _Parser(
        prog="landmark-detection",
        description="Finds anatomical landmarks in medical images. For research; not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (detect, train, evaluate, dataset, models, demo):
        command.add_parser(commands)
    return parser


def _escape_what_the_terminal_cannot_show() -> None:
    """A case or landmark with a letter outside the terminal's alphabet must not end a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
