"""How the figures of a report look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#24323d"
FAINT = "#d5dade"
METHOD_COLOURS = ("#0b6e8f", "#c2185b", "#5a9e5f", "#7a5195", "#b8860b", "#4c6ef5", "#8b4513", "#4a5a5a")
"""Of the methods that are judged, in order."""
RIVAL_COLOURS = ("#b0b7bd", "#e08a1e", "#8c6bb1", "#74a57f", "#d16ba5")
"""Of the baselines and observers beside them."""

_PIXELS_PER_INCH = 120


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty white figure."""
    from matplotlib.figure import Figure

    return Figure((width_inches, height_inches), dpi=_PIXELS_PER_INCH, facecolor="white", layout="constrained")


def tidy(axes: Axes) -> None:
    """Only two spines, small quiet text."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)
    axes.title.set(color=INK, fontsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9)
