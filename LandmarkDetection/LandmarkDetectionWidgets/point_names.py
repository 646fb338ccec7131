"""Whether the names of the landmarks are written beside their points: where many lie close, names cover each other."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .shown_landmarks import ShownLandmarks


class PointNames(VTKObservationMixin):
    """A check box for what the list's display says, which the module Markups can change too.

    Args:
        ui: widgets of the panel by name.
        shown: the list of landmarks.
    """

    def __init__(self, ui: Any, shown: ShownLandmarks) -> None:
        VTKObservationMixin.__init__(self)
        self._box = ui.namesCheckBox
        self._shown = shown
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self._box.clicked.connect(self._on_clicked)
        shown.on_change(self._watch)
        self._update()

    @property
    def _display(self) -> slicer.vtkMRMLMarkupsDisplayNode | None:
        return None if self._node is None else self._node.GetDisplayNode()

    def _watch(self) -> None:
        if self._shown.node is not self._node:
            self.removeObservers()
            self._node = self._shown.node
            if self._node is not None:
                self.addObserver(self._node, self._node.DisplayModifiedEvent, self._on_display_modified)
            self._update()

    def _on_display_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._update()

    def _update(self) -> None:
        display = self._display
        self._box.setChecked(display is not None and bool(display.GetPointLabelsVisibility()))
        self._box.setEnabled(display is not None)
        self._box.setToolTip(_("Write their names beside the points.") if display else _("Detect landmarks first."))

    def _on_clicked(self) -> None:
        self._display.SetPointLabelsVisibility(self._box.checked)
