"""The Standard planes section: the model's planes through the landmarks, in a view, as markups and as images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.models.joint_card import JointCard
from LandmarkDetectionLib.models.registry import find_model
from LandmarkDetectionLib.mrml import (
    add_plane,
    add_volume,
    detection_of,
    is_warped,
    landmarks_from_node,
    show_plane,
    volume_from_node,
    volume_node_of,
)
from LandmarkDetectionLib.planes import PlaneDefinition, StandardPlane, standard_plane
from LandmarkDetectionLib.reslicing import reslice, write_plane_png
from LandmarkDetectionLib.volume import Volume


class PlanesSection(VTKObservationMixin):
    """Offers the planes that the model behind a list of landmarks defines, wherever the landmarks are now.

    Args:
        ui: widgets of the panel by name.
    """

    def __init__(self, ui: Any) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self._definitions: tuple[PlaneDefinition, ...] = ()
        self._buttons = {
            ui.showPlaneButton: _("Turn the slice view to the plane."),
            ui.addPlaneButton: _("Add a plane markup to the scene."),
            ui.addPlaneImageButton: _("Add the volume's picture on the plane to the scene."),
            ui.savePlaneImageButton: _("Save the volume's picture on the plane to a file."),
        }
        ui.showPlaneButton.clicked.connect(self._on_show_clicked)
        ui.addPlaneButton.clicked.connect(self._on_add_clicked)
        ui.addPlaneImageButton.clicked.connect(self._on_add_image_clicked)
        ui.savePlaneImageButton.clicked.connect(self._on_save_image_clicked)
        ui.planeSelector.currentIndexChanged.connect(self._update_buttons)
        self._update_buttons()

    def show(self, node: slicer.vtkMRMLMarkupsFiducialNode | None) -> None:
        """Offer the planes of a list of landmarks, or none."""
        self.removeObservers()
        self._node = node
        self._definitions = () if node is None else _definitions_of(node)
        self._ui.planeSelector.clear()
        for definition in self._definitions:
            self._ui.planeSelector.addItem(definition.name)
        if node is not None:
            for event in (node.PointModifiedEvent, vtk.vtkCommand.ModifiedEvent):
                self.addObserver(node, event, self._on_node_modified)
        self._update_buttons()

    def _on_node_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._update_buttons()

    def _update_buttons(self) -> None:
        problem = self._problem()
        self._ui.planeProblemLabel.setText(problem)
        self._ui.planeProblemLabel.setVisible(bool(problem))
        for button, purpose in self._buttons.items():
            button.setEnabled(not problem)
            button.setToolTip(problem or purpose)
        definition = self._definition
        self._ui.planeSelector.setToolTip("" if definition is None else definition.description)

    def _problem(self) -> str:
        if self._node is None:
            return _("Detect landmarks first.")
        if self._definition is None:
            return _("The model of these landmarks defines no standard plane.")
        try:
            self._plane()
        except LandmarkDetectionError as error:
            return str(error)
        return ""

    @property
    def _definition(self) -> PlaneDefinition | None:
        index = self._ui.planeSelector.currentIndex
        return self._definitions[index] if 0 <= index < len(self._definitions) else None

    def _plane(self) -> StandardPlane:
        return standard_plane(self._definition, landmarks_from_node(self._node))

    def _image(self) -> Volume:
        """The picture of the landmarks' volume on the plane, with its finest voxel size."""
        volume_node = volume_node_of(self._node)
        if volume_node is None:
            message = _("The volume of these landmarks is no longer in the scene: load it and detect again.")
            raise LandmarkDetectionError(message)
        if is_warped(volume_node):
            message = _("{volume} is under a non-linear transform: harden the transform first.")
            raise LandmarkDetectionError(message.format(volume=volume_node.GetName()))
        volume = volume_from_node(volume_node)
        return reslice(volume, self._plane(), float(volume.spacing_mm.min()))

    def _on_show_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The plane could not be shown.")):
            show_plane(self._plane(), self._ui.sliceViewSelector.currentNode())

    def _on_add_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The plane could not be added.")):
            add_plane(self._plane())

    def _on_add_image_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The image could not be added."), waitCursor=True):
            add_volume(self._image())

    def _on_save_image_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The image was not saved.")):
            image = self._image()
            file = qt.QFileDialog.getSaveFileName(
                self._ui.savePlaneImageButton,
                _("Save the picture on the plane"),
                f"{image.name}.nrrd",
                _("Images with geometry (*.nrrd *.nii.gz *.mha);;Pictures (*.png)"),
            )
            if file:
                _writer_for(Path(file))(image, Path(file))


def _writer_for(path: Path) -> Callable[[Volume, Path], None]:
    return write_plane_png if path.suffix.lower() == ".png" else write_volume


def _definitions_of(node: slicer.vtkMRMLMarkupsFiducialNode) -> tuple[PlaneDefinition, ...]:
    """The planes of the models a list of landmarks came from; none if one is no longer there."""
    detection = detection_of(node)
    if detection is None:
        return ()
    try:
        return JointCard.of([load_card(find_model(name)) for name in detection.model_names]).planes
    except LandmarkDetectionError:
        return ()
