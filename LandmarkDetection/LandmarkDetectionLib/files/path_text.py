"""Paths that are text: some systems allow names that are not, and ITK ends the whole process on one."""

from __future__ import annotations

from pathlib import Path

from ..errors import LandmarkDetectionError


def check_path_is_text(path: Path) -> None:
    """Refuse a path with bytes that are no letters.

    Raises:
        LandmarkDetectionError: if there are some.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = str(path).encode("utf-8", "replace").decode("utf-8")
        message = f"{shown}: the name holds bytes that are no letters: rename the file or folder."
        raise LandmarkDetectionError(message) from None
