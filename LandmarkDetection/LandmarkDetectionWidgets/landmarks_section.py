"""The Landmarks section: a table of what was found, how sure the model is, and where the points are now."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection
from LandmarkDetectionLib.mrml import LandmarkState, detection_of, landmark_state


class LandmarksSection(VTKObservationMixin):
    """Shows a list of landmarks and follows it as points are moved; a selected row centres the slice views.

    Args:
        ui: widgets of the panel by name.
    """

    def __init__(self, ui: Any) -> None:
        VTKObservationMixin.__init__(self)
        self._table = ui.landmarksTable
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self._detection: Detection | None = None
        headers = [_("Landmark"), _("Presence"), _("± mm"), "R", "A", "S", _("State")]
        self._table.setColumnCount(len(headers))
        self._table.setHorizontalHeaderLabels(headers)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        self._table.verticalHeader().setDefaultSectionSize(22)
        self._table.currentCellChanged.connect(self._on_row_chosen)
        self._table.cellClicked.connect(self._on_row_chosen)

    def show(self, node: slicer.vtkMRMLMarkupsFiducialNode | None) -> None:
        """Show a list of landmarks, or nothing."""
        self.removeObservers()
        self._node = node
        self._detection = None if node is None else detection_of(node)
        if node is not None:
            for event in (node.PointModifiedEvent, vtk.vtkCommand.ModifiedEvent):
                self.addObserver(node, event, self._on_node_modified)
        self._fill()

    def _on_node_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._fill()

    def _fill(self) -> None:
        count = 0 if self._node is None else self._node.GetNumberOfControlPoints()
        self._table.setRowCount(count)
        predicted = {} if self._detection is None else {mark.label: mark for mark in self._detection.landmarks}
        for index in range(count):
            self._fill_row(index, predicted.get(self._node.GetNthControlPointLabel(index)))

    def _fill_row(self, index: int, predicted: DetectedLandmark | None) -> None:
        node = self._node
        is_placed = node.GetNthControlPointPositionStatus(index) == node.PositionDefined
        position = node.GetNthControlPointPositionWorld(index)
        texts = [
            node.GetNthControlPointLabel(index),
            "" if predicted is None else f"{predicted.presence:.2f}",
            "" if predicted is None else f"{_uncertainty_mm(predicted):.1f}",
            *(f"{value:.1f}" if is_placed else "" for value in position),
            _state_text(landmark_state(node, index, predicted)),
        ]
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            if 0 < column < len(texts) - 1:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            self._table.setItem(index, column, item)
        self._table.item(index, 0).setToolTip(node.GetNthControlPointDescription(index))
        self._table.item(index, 2).setToolTip("" if predicted is None else _uncertainty_meaning(predicted))

    def _on_row_chosen(self, row: int) -> None:
        node = self._node
        if 0 <= row < self._table.rowCount and node.GetNthControlPointPositionStatus(row) == node.PositionDefined:
            slicer.modules.markups.logic().JumpSlicesToNthPointInMarkup(node.GetID(), row, True)


def _uncertainty_mm(predicted: DetectedLandmark) -> float:
    return predicted.spread_mm if predicted.radius90_mm is None else predicted.radius90_mm


def _uncertainty_meaning(predicted: DetectedLandmark) -> str:
    if predicted.radius90_mm is None:
        return _("Spread of the model's answers (standard deviation); this model is not calibrated.")
    return _("Calibrated: the truth lies within this radius with 90 % probability.")


def _state_text(state: LandmarkState) -> str:
    return {
        LandmarkState.PREDICTED: _("predicted"),
        LandmarkState.CORRECTED: _("corrected"),
        LandmarkState.MISSING: _("missing"),
        LandmarkState.PLACED: _("placed"),
        LandmarkState.UNPLACED: _("not placed"),
    }[state]
