"""Failures nobody foresaw: a sentence for the user, the traceback in a log for whoever mends the program."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path


def unexpected_failure(error: Exception, log: Path | None = None) -> str:
    """One sentence about an exception that is not a LandmarkDetectionError; a mistake of the program is logged.

    Args:
        error: what was raised.
        log: the file to write the traceback to; default: a new one in the folder for temporary files.
    """
    summary = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")
    if isinstance(error, MemoryError):
        return f"The memory does not suffice ({summary}): close other programs, or use a smaller image."
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which a run without it has not imported
        return "The memory of the graphics processor does not suffice: use --device cpu or a smaller image."
    if isinstance(error, ModuleNotFoundError):
        return f'The Python package "{error.name}" is missing: install it with pip, or let Slicer\'s module install it.'
    if log is None:
        log = Path(tempfile.mkdtemp(prefix="landmark-detection-")) / "failure.log"
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return f"An unexpected failure ({printable(summary)}): please report it with the details in {log}."


def printable(text: str) -> str:
    """Text that every file and terminal can take: bytes of a file name that are no letters become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
