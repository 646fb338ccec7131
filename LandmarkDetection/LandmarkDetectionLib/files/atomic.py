"""Files that appear whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import LandmarkDetectionError
from .path_text import check_path_is_text

_PARTIAL_PREFIX = ".partial-"


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; it takes the name `path` when the block succeeds.

    The folder is made if it is not there. When the block fails, the temporary file goes and `path` stays as it was.

    Raises:
        LandmarkDetectionError: if the folder cannot be made or written to, or the disk is full.

    Example:
        >>> with whole_file("results/table.csv") as temporary:
        ...     temporary.write_text("label,l,p,s")
    """
    path = Path(path)
    check_path_is_text(path)
    temporary = path.with_name(f"{_PARTIAL_PREFIX}{uuid.uuid4().hex}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        temporary.unlink()
        yield temporary
        temporary.replace(path)
    except OSError as error:
        message = f"{path} could not be written ({error.strerror or error}): choose a folder you may write to."
        raise LandmarkDetectionError(message) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed run left unfinished in a folder."""
    for leftover in folder.glob(f"{_PARTIAL_PREFIX}*"):
        with suppress(OSError):
            leftover.unlink()
