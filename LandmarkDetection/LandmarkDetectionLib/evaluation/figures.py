"""Figures of errors, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, cycle

import numpy as np

from ..geometry import FloatArray
from ..pictures import png_bytes
from .figure_style import FAINT, INK, METHOD_COLOURS, RIVAL_COLOURS, new_figure, tidy
from .metrics import ErrorTable, case_means_mm


def cumulative_error_curve(
    methods: Mapping[str, ErrorTable], rivals: Mapping[str, ErrorTable], thresholds_mm: Sequence[float]
) -> bytes:
    """Share of the counted points within each error, of the methods and of what stands beside them.

    A point without a prediction is never reached, so such a curve ends below 100 %.
    """
    figure = new_figure(7.2, 3.8)
    axes = figure.subplots()
    limit_mm = max(_curve_limit_mm(table, thresholds_mm) for table in methods.values())
    widths = chain([2.5] * len(methods), cycle([1.4]))
    colours = chain(_colours(METHOD_COLOURS, len(methods)), cycle(RIVAL_COLOURS))
    for (name, table), colour, width in zip({**methods, **rivals}.items(), colours, widths, strict=False):
        errors = np.sort(table.errors_mm[~np.isnan(table.errors_mm)])
        share = 100.0 * np.arange(len(errors) + 1) / max(int(table.is_counted.sum()), 1)
        steps = np.append(errors, max(limit_mm, errors.max(initial=0.0)))
        line = {"color": colour, "linewidth": width}
        axes.step(np.append(0.0, steps), np.append(0.0, share), where="post", label=name, **line)
    for threshold_mm in thresholds_mm:
        axes.axvline(threshold_mm, color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
    axes.set(xlim=(0, limit_mm), ylim=(0, 101), xlabel="Error (mm)", ylabel="Landmarks within this error (%)")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    tidy(axes)
    return png_bytes(figure)


def landmark_boxes(table: ErrorTable) -> bytes:
    """Errors of each landmark: box (quartiles), whiskers (1.5 interquartile ranges) and every single case."""
    count = len(table.labels)
    figure = new_figure(7.2, 0.9 + 0.26 * count)
    axes = figure.subplots()
    rows = np.arange(count)[::-1]
    errors = [column[~np.isnan(column)] for column in table.errors_mm.T]
    line = {"color": METHOD_COLOURS[0], "linewidth": 1.2}
    styles = {"boxprops": line, "whiskerprops": line, "capprops": line, "medianprops": {**line, "linewidth": 2.5}}
    axes.boxplot(errors, positions=rows, orientation="horizontal", widths=0.6, showfliers=False, **styles)
    scatter = np.random.default_rng(0)
    for row, values in zip(rows, errors, strict=True):
        heights = row + scatter.uniform(-0.18, 0.18, len(values))
        axes.plot(values, heights, "o", color=METHOD_COLOURS[0], alpha=0.35, markersize=3, markeredgewidth=0)
    axes.set_yticks(rows, table.labels)
    axes.set(xlim=(0, None), xlabel="Error (mm)")
    tidy(axes)
    return png_bytes(figure)


def landmark_means(methods: Mapping[str, ErrorTable]) -> bytes:
    """Mean error of each landmark, a dot for each method, so that lines of landmarks can be read across."""
    labels = next(iter(methods.values())).labels
    figure = new_figure(7.2, 1.1 + 0.24 * len(labels))
    axes = figure.subplots()
    rows = np.arange(len(labels))[::-1]
    axes.hlines(rows, 0, 1, color=FAINT, linewidth=0.8, zorder=0, transform=axes.get_yaxis_transform())
    for (name, table), colour in zip(methods.items(), _colours(METHOD_COLOURS, len(methods)), strict=True):
        axes.plot(case_means_mm(table.errors_mm.T), rows, "o", color=colour, markersize=6, alpha=0.85, label=name)
    axes.set_yticks(rows, labels)
    axes.set(xlim=(0, None), xlabel="Mean error (mm)")
    figure.legend(frameon=False, fontsize=8, labelcolor=INK, loc="outside upper center", ncols=3)
    tidy(axes)
    return png_bytes(figure)


def case_means(methods: Mapping[str, ErrorTable]) -> bytes:
    """Mean error of every case: a row for each method, a line for each case, as the paired test sees them."""
    means = np.array([case_means_mm(table.errors_mm) for table in methods.values()])
    rows = np.arange(len(methods))[::-1]
    figure = new_figure(7.2, 0.9 + 0.45 * len(methods))
    axes = figure.subplots()
    axes.plot(means, rows, "-", color=FAINT, linewidth=0.9, zorder=0)
    for row, errors_mm, colour in zip(rows, means, _colours(METHOD_COLOURS, len(methods)), strict=True):
        known: FloatArray = errors_mm[~np.isnan(errors_mm)]
        axes.plot(known, np.full(len(known), row), "o", color=colour, markersize=4, alpha=0.7, markeredgewidth=0)
        if len(known):
            axes.vlines(np.median(known), row - 0.25, row + 0.25, color=colour, linewidth=2.5)
    axes.set_yticks(rows, list(methods))
    axes.set(xlim=(0, None), ylim=(-0.5, len(methods) - 0.5), xlabel="Mean error of a case (mm)")
    tidy(axes)
    return png_bytes(figure)


def _colours(colours: Sequence[str], count: int) -> list[str]:
    return [colours[index % len(colours)] for index in range(count)]


def _curve_limit_mm(table: ErrorTable, thresholds_mm: Sequence[float]) -> float:
    """Far enough for the thresholds and nearly all of a method's errors."""
    errors = table.errors_mm[~np.isnan(table.errors_mm)]
    return max(2.0 * max(thresholds_mm), float(np.percentile(errors, 98)) if len(errors) else 0.0)
