"""Bland-Altman plots, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from ..geometry import FloatArray
from ..pictures import png_bytes
from .agreement import axes_of, coordinates_along, limits_of_agreement
from .cells import signed
from .figure_style import FAINT, INK, METHOD_COLOURS, new_figure, tidy
from .metrics import ErrorTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS_IN_A_ROW = 3


class _Panel(NamedTuple):
    title: str
    predicted: FloatArray
    true: FloatArray
    unit: str


def axis_agreement(table: ErrorTable, dimension: int) -> bytes:
    """A plot for each axis: difference of every located point against the mean of its two coordinates."""
    directions = axes_of(dimension)
    panels = [
        _Panel(f"towards {name}" if dimension == 3 else name, *coordinates_along(table, direction), "mm")
        for name, direction in directions.items()
    ]
    return _drawn(panels)


def measurement_agreement(measured: Mapping[str, tuple[FloatArray, FloatArray]], units: Mapping[str, str]) -> bytes:
    """A plot for each measurement: difference in every case against the mean of the two values.

    Args:
        measured: true and predicted values (m,) by measurement.
        units: "mm" or "deg" by measurement.
    """
    return _drawn([_Panel(name, found, true, units[name]) for name, (true, found) in measured.items()])


def axis_biases(methods: Mapping[str, ErrorTable], dimension: int) -> bytes:
    """Bias and limits of agreement along each axis, method under method."""
    directions = axes_of(dimension)
    figure = new_figure(7.2, 1.0 + 0.3 * len(methods))
    rows = range(len(methods))[::-1]
    for axes, (name, direction) in zip(
        figure.subplots(1, len(directions), sharey=True), directions.items(), strict=True
    ):
        for index, (row, table) in enumerate(zip(rows, methods.values(), strict=True)):
            predicted, true = coordinates_along(table, direction)
            limits = limits_of_agreement(predicted - true)
            colour = METHOD_COLOURS[index % len(METHOD_COLOURS)]
            if limits["sd"] is not None:
                axes.hlines(row, limits["lower"], limits["upper"], color=colour, linewidth=2)
                axes.plot(limits["bias"], row, "o", color=colour, markersize=6)
        axes.axvline(0.0, color=FAINT, linewidth=1, zorder=0)
        axes.set_yticks(rows, list(methods))
        axes.set(title=f"towards {name}" if dimension == 3 else name, xlabel="mm", ylim=(-0.6, len(methods) - 0.4))
        tidy(axes)
    return png_bytes(figure)


def _drawn(panels: Sequence[_Panel]) -> bytes:
    rows = ceil(len(panels) / _PANELS_IN_A_ROW)
    columns = min(len(panels), _PANELS_IN_A_ROW)
    figure = new_figure(2.9 * columns + 0.2, 2.7 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return png_bytes(figure)


def _draw(axes: Axes, panel: _Panel) -> None:
    unit = "°" if panel.unit == "deg" else panel.unit
    differences = panel.predicted - panel.true
    middle = (panel.predicted + panel.true) / 2.0
    opacity = 0.6 if len(differences) < 100 else 0.25
    axes.plot(middle, differences, "o", color=METHOD_COLOURS[0], alpha=opacity, markersize=3.5, markeredgewidth=0)
    axes.axhline(0.0, color=FAINT, linewidth=1, zorder=0)
    limits = limits_of_agreement(differences)
    for key, style in (("bias", "-"), ("lower", "--"), ("upper", "--")):
        if limits[key] is not None:
            axes.axhline(limits[key], color=INK, linewidth=1, linestyle=style)
            place = {"xy": (1.0, limits[key]), "xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
            axes.annotate(signed(limits[key]), fontsize=7, color=INK, **place)
    axes.set(title=panel.title, xlabel=f"mean of both ({unit})", ylabel=f"predicted − true ({unit})")
    tidy(axes)
