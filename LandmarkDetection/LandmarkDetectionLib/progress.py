"""The progress bar of the command line, on stderr."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress:
    """A bar that fills while parts of a whole are done; lines of results go past it to stdout.

    A bar is for a person who watches: in a pipe or a file, and in Slicer's own Python, which has no tqdm, a run shows
    its lines alone.

    Args:
        parts: how many parts the whole has.

    Example:
        >>> with Progress(parts=2) as progress:
        ...     progress.show(0.5, "half of the first part")
        ...     progress.write("what the first part gave")
    """

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._bar: tqdm | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: float, text: str) -> None:
        """How many parts are done, and what is being done now; the bar appears with the first call."""
        if self._bar is None and is_watched():
            self._bar = _new_bar()
        if self._bar is not None:
            self._bar.set_description_str(text, refresh=False)
            self._bar.update(100.0 * done / self._parts - self._bar.n)

    def write(self, text: str, stream: TextIO | None = None) -> None:
        """Lines above the bar, on stdout unless another stream is given."""
        if self._bar is not None:
            self._bar.clear()
        print(text, file=stream or sys.stdout, flush=True)
        if self._bar is not None:
            self._bar.refresh()


def is_watched() -> bool:
    """Whether a terminal shows what goes to stderr, so that a bar can be drawn over itself."""
    return sys.stderr.isatty()


def _new_bar() -> tqdm | None:
    if find_spec("tqdm") is None:
        return None
    from tqdm import tqdm

    return tqdm(
        total=100.0,
        bar_format="{percentage:3.0f} %|{bar:30}| {elapsed} {desc}",
        file=sys.stderr,
    )
