"""Figures of a report, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, cycle
from typing import TYPE_CHECKING

import numpy as np

from ..pictures import png_bytes
from .metrics import ErrorTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = "#24323d"
_MODEL_COLOUR = "#0b6e8f"
_RIVAL_COLOURS = ("#b0b7bd", "#e08a1e", "#7a5195", "#5a9e5f", "#c2185b")
_PIXELS_PER_INCH = 120


def cumulative_error_curve(tables: Mapping[str, ErrorTable], thresholds_mm: Sequence[float]) -> bytes:
    """Share of the counted points within each error; the first table is the model, the others its rivals.

    A point without a prediction is never reached, so such a curve ends below 100 %.
    """
    from matplotlib.figure import Figure

    figure = Figure((7.2, 3.8), dpi=_PIXELS_PER_INCH, facecolor="white", layout="constrained")
    axes = figure.subplots()
    limit_mm = _curve_limit_mm(next(iter(tables.values())), thresholds_mm)
    for (name, table), colour in zip(tables.items(), chain([_MODEL_COLOUR], cycle(_RIVAL_COLOURS)), strict=False):
        errors = np.sort(table.errors_mm[~np.isnan(table.errors_mm)])
        share = 100.0 * np.arange(len(errors) + 1) / max(int(table.is_counted.sum()), 1)
        steps = np.append(errors, max(limit_mm, errors.max(initial=0.0)))
        line = {"color": colour, "linewidth": 2.5 if colour == _MODEL_COLOUR else 1.6}
        axes.step(np.append(0.0, steps), np.append(0.0, share), where="post", label=name, **line)
    for threshold_mm in thresholds_mm:
        axes.axvline(threshold_mm, color="#d5dade", linewidth=0.8, linestyle=":", zorder=0)
    axes.set(xlim=(0, limit_mm), ylim=(0, 101), xlabel="Error (mm)", ylabel="Landmarks within this error (%)")
    axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
    _tidy(axes)
    return png_bytes(figure)


def landmark_boxes(table: ErrorTable) -> bytes:
    """Errors of each landmark: box (quartiles), whiskers (1.5 interquartile ranges) and every single case."""
    from matplotlib.figure import Figure

    count = len(table.labels)
    figure = Figure((7.2, 0.9 + 0.26 * count), dpi=_PIXELS_PER_INCH, facecolor="white", layout="constrained")
    axes = figure.subplots()
    rows = np.arange(count)[::-1]
    errors = [column[~np.isnan(column)] for column in table.errors_mm.T]
    line = {"color": _MODEL_COLOUR, "linewidth": 1.2}
    styles = {"boxprops": line, "whiskerprops": line, "capprops": line, "medianprops": {**line, "linewidth": 2.5}}
    axes.boxplot(errors, positions=rows, orientation="horizontal", widths=0.6, showfliers=False, **styles)
    scatter = np.random.default_rng(0)
    for row, values in zip(rows, errors, strict=True):
        heights = row + scatter.uniform(-0.18, 0.18, len(values))
        axes.plot(values, heights, "o", color=_MODEL_COLOUR, alpha=0.35, markersize=3, markeredgewidth=0)
    axes.set_yticks(rows, table.labels)
    axes.set(xlim=(0, None), xlabel="Error (mm)")
    _tidy(axes)
    return png_bytes(figure)


def _curve_limit_mm(table: ErrorTable, thresholds_mm: Sequence[float]) -> float:
    """Far enough for the thresholds and nearly all of the model's errors."""
    errors = table.errors_mm[~np.isnan(table.errors_mm)]
    return max(2.0 * max(thresholds_mm), float(np.percentile(errors, 98)) if len(errors) else 0.0)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=_INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=_INK, fontsize=9)
