"""How numbers of a report are written for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Mapping[str, Mapping[str, str]]
"""Cells by title of the row and heading of the column."""

ABSENT = "–"
_SMALLEST_P = 0.001


def millimetres(value: float | None) -> str:
    """Two decimals, or a dash."""
    return ABSENT if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """Two decimals and a sign, or a dash; nothing is minus zero."""
    return ABSENT if value is None else f"{value:+.2f}".replace("-0.00", "+0.00").replace("-", "−")


def percent(share: float | None) -> str:
    """A share as a percentage, or a dash."""
    return ABSENT if share is None else f"{100.0 * share:.1f} %"


def probability(p: float | None) -> str:
    """A p-value to three decimals, "< 0.001", or a dash."""
    if p is None:
        return ABSENT
    return f"< {_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.3f}"


def size(value: float | None) -> str:
    """Three digits, or a dash: volumes of regions spread over many powers of ten."""
    return ABSENT if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def mean_and_deviation(summary: Mapping[str, Any], mean: str, deviation: str) -> str:
    """mean ± deviation of a summary, by its keys."""
    return f"{millimetres(summary[mean])} ± {millimetres(summary[deviation])}"


def interval(ends: Sequence[float] | None) -> str:
    """The two ends of an interval of shares, or a dash."""
    return ABSENT if ends is None else f"{100.0 * ends[0]:.1f} to {100.0 * ends[1]:.1f} %"


def threshold(limit: str | float) -> str:
    """A threshold without needless decimals."""
    return f"{float(limit):g}"


def without_idle_columns(rows: Rows, headings: Sequence[str]) -> Rows:
    """The rows without those of the columns that are "0" in every row."""
    idle = {heading for heading in headings if all(row.get(heading, "0") == "0" for row in rows.values())}
    return {title: {h: cell for h, cell in row.items() if h not in idle} for title, row in rows.items()}
