"""One training at a time in a folder: the system takes the lock away when the program that holds it ends, however."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import LandmarkDetectionError

LOCK_FILE = "training.lock"

if os.name == "nt":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold the folder of a training, which is there, until the block ends.

    Raises:
        LandmarkDetectionError: if a training holds it already.
    """
    file = folder / LOCK_FILE
    with file.open("a") as stream:
        try:
            _lock(stream.fileno())
        except OSError as error:
            message = f"Another program is training in {folder}; wait until it has ended, or choose another name."
            raise LandmarkDetectionError(message) from error
        try:
            yield
        finally:
            # Windows deletes no file that is open; there it stays, unlocked.
            with suppress(OSError):
                file.unlink()


def is_training(folder: Path) -> bool:
    """Whether a program trains in a folder now, this one or another."""
    try:
        stream = (folder / LOCK_FILE).open("r+")
    except OSError:
        return False
    with stream:
        try:
            _lock(stream.fileno())
        except OSError:
            return True
    return False
