"""A stand-in for Slicer's plot view: the real logic of the Plots module, and a widget that draws the chart it shows."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import TYPE_CHECKING

import slicer
from PySide6.QtGui import QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from . import Testbed

_DOTS_PER_INCH = 100


def add_plots(testbed: Testbed) -> PlotView:
    """Give the application the module Plots and a plot view."""
    logic = slicer.vtkSlicerPlotsLogic()
    logic.SetMRMLApplicationLogic(testbed.logics.application)
    logic.SetMRMLScene(testbed.scene)
    slicer.modules.plots = SimpleNamespace(logic=lambda: logic)
    return PlotView(testbed.logics.application)


class PlotView(QWidget):
    """Draws the chart that was shown last."""

    def __init__(self, application_logic: slicer.vtkSlicerApplicationLogic) -> None:
        super().__init__()
        self._selection = application_logic.GetSelectionNode()

    @property
    def chart(self) -> slicer.vtkMRMLPlotChartNode | None:
        """The chart that is shown."""
        identifier = self._selection.GetActivePlotChartID()
        return None if identifier is None else slicer.mrmlScene.GetNodeByID(identifier)

    def paintEvent(self, _event: QPaintEvent) -> None:
        picture = QPixmap()
        picture.loadFromData(picture_of(self.chart, self.width, self.height))
        painter = QPainter(self)
        painter.drawPixmap(0, 0, picture)
        painter.end()


def series_of(chart: slicer.vtkMRMLPlotChartNode) -> dict[str, list[tuple[float, float]]]:
    """The points of a chart by series, read as Slicer's plot view reads them."""
    found = {}
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        table = series.GetTableNode().GetTable()
        columns = [table.GetColumnByName(name) for name in (series.GetXColumnName(), series.GetYColumnName())]
        found[series.GetName()] = [
            tuple(column.GetTuple1(row) for column in columns) for row in range(table.GetNumberOfRows())
        ]
    return found


def picture_of(chart: slicer.vtkMRMLPlotChartNode | None, width: int, height: int) -> bytes:
    """A chart as PNG."""
    from matplotlib.figure import Figure

    figure = Figure((width / _DOTS_PER_INCH, height / _DOTS_PER_INCH), dpi=_DOTS_PER_INCH, layout="constrained")
    if chart is not None:
        axes = figure.subplots()
        axes.set(title=chart.GetTitle(), xlabel=chart.GetXAxisTitle(), ylabel=chart.GetYAxisTitle())
        for index, (name, points) in enumerate(series_of(chart).items()):
            axes.plot(*zip(*points, strict=True), color=chart.GetNthPlotSeriesNode(index).GetColor(), label=name)
        if chart.GetLegendVisibility():
            axes.legend(frameon=False)
    png = io.BytesIO()
    figure.savefig(png)
    return png.getvalue()
