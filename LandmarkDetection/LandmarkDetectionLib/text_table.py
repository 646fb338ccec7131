"""Tables of aligned columns for the terminal."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Lines of a table.

    Args:
        headings: of the columns.
        rows: cells.
        texts: the first so many columns are texts, set to the left; the others are numbers, set to the right.

    Example:
        >>> print(text_table(["landmark", "R"], [["AC", "0.1"], ["PC", "-10.0"]]))
        landmark      R
        AC          0.1
        PC        -10.0
    """
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
