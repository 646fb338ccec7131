"""Curves in Slicer's plot view: a chart, a series for each curve, a table for each series, kept with the scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import slicer

_COLOURS = ((0.12, 0.47, 0.71), (0.95, 0.61, 0.07), (0.35, 0.62, 0.25), (0.55, 0.55, 0.55))
_LINE_WIDTH = 2.0


@dataclass(frozen=True)
class Sheet:
    """Title of a chart and of its axes."""

    title: str
    x_title: str
    y_title: str


def draw_curves(
    owner: slicer.vtkMRMLScriptedModuleNode,
    role: str,
    sheet: Sheet,
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> None:
    """Make the chart that a node refers to in a role show these curves; it is made if it is not there.

    Args:
        owner: refers to the chart.
        role: of the reference.
        sheet: titles.
        curves: (x, y) pairs by name; a curve without any is left out.
    """
    shown = {name: np.asarray(points, dtype=np.float64) for name, points in curves.items() if len(points)}
    chart = chart_of(owner, role)
    if chart is None:
        if not shown:
            return
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", sheet.title)
        owner.SetNodeReferenceID(role, chart.GetID())
    with slicer.util.NodeModify(chart):
        chart.SetTitle(sheet.title)
        chart.SetXAxisTitle(sheet.x_title)
        chart.SetYAxisTitle(sheet.y_title)
        chart.SetLegendVisibility(len(shown) > 1)  # it covers the end of a curve
        for index in reversed(range(len(shown), chart.GetNumberOfPlotSeriesNodes())):
            _remove_series(chart.GetNthPlotSeriesNode(index))
        for index, (name, points) in enumerate(shown.items()):
            series = chart.GetNthPlotSeriesNode(index) or _added_series(chart, _COLOURS[index % len(_COLOURS)])
            series.SetName(name)
            _set_points(series, sheet, points)


def chart_of(owner: slicer.vtkMRMLScriptedModuleNode, role: str) -> slicer.vtkMRMLPlotChartNode | None:
    """The chart that a node refers to in a role, if there is one."""
    return owner.GetNodeReference(role)


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart in the plot view, in a layout that has one."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def _added_series(chart: slicer.vtkMRMLPlotChartNode, colour: Sequence[float]) -> slicer.vtkMRMLPlotSeriesNode:
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode")
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"{chart.GetName()} data")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleSolid)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series.SetLineWidth(_LINE_WIDTH)
    series.SetColor(*colour)
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return series


def _remove_series(series: slicer.vtkMRMLPlotSeriesNode) -> None:
    if series.GetTableNode() is not None:
        slicer.mrmlScene.RemoveNode(series.GetTableNode())
    slicer.mrmlScene.RemoveNode(series)


def _set_points(series: slicer.vtkMRMLPlotSeriesNode, sheet: Sheet, points: np.ndarray) -> None:
    titles = [sheet.x_title, sheet.y_title]
    slicer.util.updateTableFromArray(series.GetTableNode(), points, titles)
    series.SetXColumnName(titles[0])
    series.SetYColumnName(titles[1])
