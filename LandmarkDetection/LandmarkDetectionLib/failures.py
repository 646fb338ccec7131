"""Failures nobody foresaw: their kind, a sentence for the user, a log for whoever mends the program."""

from __future__ import annotations

import errno
import tempfile
import traceback
from pathlib import Path

OUT_OF_DEVICE_MEMORY = "out of device memory"
"""Kind of failure: the graphics processor's memory was too small; the CPU may do."""
OUT_OF_MEMORY = "out of memory"
"""Kind of failure: the computer's memory was too small."""
UNEXPECTED = "unexpected"
"""Kind of failure: a mistake in the program; a log has its traceback."""

_ALLOCATION_FAILURES = ("can't allocate memory", "not enough memory", "Failed to allocate memory", "bad_alloc")
"""How PyTorch on Linux and Windows, ITK and C++ say in a RuntimeError that memory ran out."""


def kind_of(error: Exception) -> str:
    """Which of the kinds above an exception is of."""
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which a run without it has not imported
        return OUT_OF_DEVICE_MEMORY
    is_memory_error = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return OUT_OF_MEMORY if is_memory_error or any(text in str(error) for text in _ALLOCATION_FAILURES) else UNEXPECTED


def unexpected_failure(error: Exception, log: Path | None = None) -> str:
    """One sentence about an exception that is not a LandmarkDetectionError; a mistake of the program is logged.

    Args:
        error: what was raised.
        log: the file to write the traceback to; default: a new one in the folder for temporary files.
    """
    summary = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")
    kind = kind_of(error)
    if kind == OUT_OF_MEMORY:
        return f"The memory does not suffice ({summary}): close other programs, or use a smaller image."
    if kind == OUT_OF_DEVICE_MEMORY:
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
