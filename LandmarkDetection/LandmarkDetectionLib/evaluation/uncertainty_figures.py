"""Figures of predicted uncertainty beside error, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pictures import png_bytes
from .confidence import ConfidenceTable
from .figure_style import FAINT, METHOD_COLOURS, RIVAL_COLOURS, new_figure, tidy
from .metrics import ErrorTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spread_and_error(table: ErrorTable, confidence: ConfidenceTable, uncertainty: Mapping[str, Any]) -> bytes:
    """Every point's error against its spread, the errors in bins of rising spread, and promised against found
    coverage.

    Args:
        table, confidence: the points.
        uncertainty: what `summarise_uncertainty` found in them.
    """
    figure = new_figure(8.9, 3.0)
    scatter, bins, calibration = figure.subplots(1, 3)
    _draw_scatter(scatter, table, confidence)
    _draw_bins(bins, uncertainty["quantile_bins"])
    _draw_calibration(calibration, uncertainty["regions"]["calibration"])
    for axes in (scatter, bins, calibration):
        tidy(axes)
    return png_bytes(figure)


def _draw_scatter(axes: Axes, table: ErrorTable, confidence: ConfidenceTable) -> None:
    is_known = ~np.isnan(table.errors_mm) & ~np.isnan(confidence.spread_mm)
    spread_mm, errors_mm = confidence.spread_mm[is_known], table.errors_mm[is_known]
    axes.plot(spread_mm, errors_mm, "o", color=METHOD_COLOURS[0], alpha=0.3, markersize=3.5, markeredgewidth=0)
    limit_mm = float(np.percentile(errors_mm, 99)) * 1.1
    axes.plot([0, limit_mm], [0, limit_mm], "-", color=FAINT, linewidth=1, zorder=0)
    widest_mm = float(np.percentile(spread_mm, 99)) * 1.1
    axes.set(title="each point", xlabel="predicted spread (mm)", ylabel="error (mm)", ylim=(0, limit_mm or None))
    axes.set_xlim(0, widest_mm or None)


def _draw_bins(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    places = np.arange(1, len(bins) + 1)
    axes.bar(places, [one["p95_mm"] for one in bins], width=0.7, color="#dcebf1", label="95 %")
    axes.bar(places, [one["mre_mm"] for one in bins], width=0.7, color=METHOD_COLOURS[0], label="mean")
    axes.set_xticks(places)
    axes.set(title="fifths of rising spread", xlabel="fifth, the surest first", ylabel="error (mm)")
    axes.set_ylim(0, 1.25 * max((one["p95_mm"] for one in bins), default=1.0))
    axes.legend(frameon=False, fontsize=7, loc="upper left", ncols=2)


def _draw_calibration(axes: Axes, calibration: Mapping[str, Sequence[float]]) -> None:
    axes.plot([0, 100], [0, 100], "-", color=FAINT, linewidth=1, zorder=0)
    promised, found = (100.0 * np.array(calibration[key]) for key in ("promised", "found"))
    axes.plot(promised, found, "o-", color=METHOD_COLOURS[0], markersize=3, linewidth=1.4)
    axes.axvline(90.0, color=RIVAL_COLOURS[0], linewidth=0.8, linestyle=":")
    axes.set(title="regions of the covariance", xlabel="promised (%)", ylabel="truth inside (%)")
    axes.set(xlim=(0, 100), ylim=(0, 101))
