"""Tables of aligned columns, and texts, within the width of the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

_GAP = "  "
_NARROWEST_TEXT = 20


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1, width: int | None = None) -> str:
    """Lines of a table.

    Args:
        headings: of the columns.
        rows: cells.
        texts: the first so many columns are texts, set to the left; the others are numbers, set to the right.
        width: letters that a line may have, if there is a limit. In a table of texts the last column is wrapped; others
            are continued below, the first column repeated.

    Example:
        >>> print(text_table(["landmark", "R"], [["AC", "0.1"], ["PC", "-10.0"]]))
        landmark      R
        AC          0.1
        PC        -10.0
    """
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    if width is None or _line_width(widths) <= width:
        return _aligned(headings, rows, widths, texts)
    if texts == len(headings):
        last = max(_NARROWEST_TEXT, width - _line_width([*widths[:-1], 0]))
        return _aligned(headings, list(_with_last_wrapped(rows, last)), widths, texts)
    blocks = (
        text_table(
            [headings[i] for i in block], [[row[i] for i in block] for row in rows], sum(i < texts for i in block)
        )
        for block in _blocks(widths, width)
    )
    return "\n\n".join(blocks)


def text_lines(text: str, width: int | None, hanging: int = 0) -> str:
    """A text in as many lines as a width makes necessary, all but the first set in by `hanging` letters."""
    return text if width is None else textwrap.fill(text, width, subsequent_indent=" " * hanging)


def _line_width(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], texts: int) -> str:
    return "\n".join(
        _GAP.join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (headings, *rows)
    )


def _with_last_wrapped(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[str]]:
    """The rows with as many lines as the text in their last column needs."""
    for *others, text in rows:
        first, *further = textwrap.wrap(text, width) or [""]
        yield [*others, first]
        yield from ([*[""] * len(others), line] for line in further)


def _blocks(widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """The columns that stand side by side, the first one in every block."""
    block = [0]
    for column in range(1, len(widths)):
        if len(block) > 1 and _line_width([widths[i] for i in (*block, column)]) > width:
            yield block
            block = [0]
        block.append(column)
    yield block
