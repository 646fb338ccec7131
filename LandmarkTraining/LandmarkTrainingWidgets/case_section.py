"""The part of the Dataset section that adds cases from the scene: corrections become training data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from LandmarkDetectionLib.review import LandmarkState

from .scene_cases import landmark_lists, review_summary


class CaseSection(VTKObservationMixin):
    """Says what of a list of landmarks would become truth, and asks for it to be added.

    Args:
        ui: widgets of the panel by name.
        on_add: called when the user wants the case that is shown in the dataset.
        on_add_all: called when the user wants every case of the scene in it.
    """

    def __init__(self, ui: Any, on_add: Callable[[], None], on_add_all: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._landmarks: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self._volume: slicer.vtkMRMLScalarVolumeNode | None = None
        self._folder_problem = ""
        ui.addCaseButton.clicked.connect(on_add)
        ui.addAllCasesButton.clicked.connect(on_add_all)
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(scene, event, self._on_scene_changed)
        self._update_widgets()

    def show(
        self,
        landmarks: slicer.vtkMRMLMarkupsFiducialNode | None,
        volume: slicer.vtkMRMLScalarVolumeNode | None,
        folder_problem: str,
    ) -> None:
        """Show a case, and why no dataset can take it, if none can."""
        if landmarks is not self._landmarks:
            self.removeObservers(self._on_landmarks_changed)
            self._landmarks = landmarks
            if landmarks is not None:
                for event in (landmarks.PointModifiedEvent, vtk.vtkCommand.ModifiedEvent):
                    self.addObserver(landmarks, event, self._on_landmarks_changed)
        self._volume, self._folder_problem = volume, folder_problem
        self._update_widgets()

    def close(self) -> None:
        """Observe nothing any more."""
        self.removeObservers()

    def _on_landmarks_changed(self, _caller: vtk.vtkObject, _event: str) -> None:
        """A point is dragged in many small steps; who does not look here must not wait for this."""
        if self._ui.caseLabel.visible:
            self._update_widgets()

    def _on_scene_changed(self, scene: slicer.vtkMRMLScene, _event: str) -> None:
        if not scene.IsBatchProcessing():
            self._update_widgets()

    def _update_widgets(self) -> None:
        ui = self._ui
        problem = self._folder_problem or self._case_problem()
        ui.addCaseButton.setEnabled(not problem)
        purpose = _("Write the volume and its reviewed landmarks to the dataset.")
        ui.addCaseButton.setToolTip(problem or purpose)
        missing = self._folder_problem or self._scene_problem()
        ui.addAllCasesButton.setEnabled(not missing)
        purpose = _("Write every list of landmarks of the scene, with its volume, to the dataset.")
        ui.addAllCasesButton.setToolTip(missing or purpose)
        ui.caseLabel.setText("" if self._landmarks is None else _review_text(self._landmarks))
        ui.caseLabel.setVisible(self._landmarks is not None)

    def _case_problem(self) -> str:
        if self._landmarks is None:
            return _("Choose a list of landmarks first.")
        if self._volume is None:
            return _("Choose the volume that the landmarks belong to first.")
        return ""

    def _scene_problem(self) -> str:
        return "" if landmark_lists() else _("The scene has no list of landmarks.")


def _review_text(landmarks: slicer.vtkMRMLMarkupsFiducialNode) -> str:
    states, waiting = review_summary(landmarks)
    shown = {
        LandmarkState.ACCEPTED: _("{count} accepted"),
        LandmarkState.CORRECTED: _("{count} corrected"),
        LandmarkState.PLACED: _("{count} placed"),
        LandmarkState.MISSING: _("{count} missing"),
        LandmarkState.UNPLACED: _("{count} missing"),
    }
    parts = [text.format(count=states[state]) for state, text in shown.items() if states[state]]
    if waiting:
        parts.append(_("{count} not reviewed, to be left out").format(count=waiting))
    return ", ".join(parts)
