"""The Standard planes section: the model's planes through the landmarks, in a view, as markups and as images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.mrml import (
    add_plane,
    add_volume,
    is_warped,
    move_plane,
    planes_of,
    show_plane,
    volume_from_node,
    volume_node_of,
)
from LandmarkDetectionLib.planes import PlaneDefinition, StandardPlane, standard_plane
from LandmarkDetectionLib.reslicing import reslice, write_plane_png
from LandmarkDetectionLib.volume import Volume

from .alignment import align, alignment_of, undo_alignment
from .shown_landmarks import ShownLandmarks


class PlanesSection:
    """Offers the planes that the model behind a list of landmarks defines, wherever the landmarks are now.

    Args:
        ui: widgets of the panel by name.
        shown: the list.
        on_plane_chosen: called with the name of the plane that the user chose.
    """

    def __init__(self, ui: Any, shown: ShownLandmarks, on_plane_chosen: Callable[[str], None]) -> None:
        self._ui = ui
        self._shown = shown
        self._on_plane_chosen = on_plane_chosen
        self._is_filling = False
        self._definitions: tuple[PlaneDefinition, ...] = ()
        self._buttons = {
            ui.showPlaneButton: _("Turn the slice view to the plane."),
            ui.addPlaneButton: _("Add a plane markup to the scene, which follows the landmarks."),
            ui.alignButton: _(
                "Turn the volume, with all that moves with it, until the plane lies along the slice views."
            ),
            ui.addPlaneImageButton: _("Add the volume's picture on the plane to the scene."),
            ui.savePlaneImageButton: _("Save the volume's picture on the plane to a file."),
        }
        ui.showPlaneButton.clicked.connect(self._on_show_clicked)
        ui.addPlaneButton.clicked.connect(self._on_add_clicked)
        ui.addPlaneImageButton.clicked.connect(self._on_add_image_clicked)
        ui.savePlaneImageButton.clicked.connect(self._on_save_image_clicked)
        ui.alignButton.clicked.connect(self._on_align_clicked)
        ui.undoAlignmentButton.clicked.connect(self._on_undo_clicked)
        ui.planeSelector.currentIndexChanged.connect(self._on_index_changed)
        shown.on_change(self._update)
        self._update()

    def choose_plane(self, name: str) -> None:
        """Show a plane as chosen, without telling; the one chosen before stays if there is none of that name."""
        names = [definition.name for definition in self._definitions]
        if name in names:
            self._is_filling = True
            self._ui.planeSelector.setCurrentIndex(names.index(name))
            self._is_filling = False
            self._update_buttons()

    def _update(self) -> None:
        definitions = () if self._shown.card is None else self._shown.card.planes
        if definitions != self._definitions:
            self._definitions = definitions
            self._is_filling = True
            self._ui.planeSelector.clear()
            for definition in definitions:
                self._ui.planeSelector.addItem(definition.name)
            self._is_filling = False
        self._move_markups()
        self._update_buttons()

    def _move_markups(self) -> None:
        """Have the plane markups follow the landmarks; those that are no longer defined stay where they were."""
        if self._shown.node is None:
            return
        definitions = {definition.name: definition for definition in self._definitions}
        for name, node in planes_of(self._shown.node):
            if name in definitions:
                with suppress(LandmarkDetectionError):
                    move_plane(node, self._plane(definitions[name]))

    def _on_index_changed(self) -> None:
        if not self._is_filling and self._definition is not None:
            self._on_plane_chosen(self._definition.name)
            self._update_buttons()

    def _update_buttons(self) -> None:
        problem = self._problem()
        self._ui.planeProblemLabel.setText(problem)
        self._ui.planeProblemLabel.setVisible(bool(problem))
        for button, purpose in self._buttons.items():
            button.setEnabled(not problem)
            button.setToolTip(problem or purpose)
        definition = self._definition
        self._ui.planeSelector.setEnabled(definition is not None)
        self._ui.planeSelector.setToolTip("" if definition is None else definition.description)
        is_aligned = self._shown.node is not None and alignment_of(self._shown.node) is not None
        self._ui.undoAlignmentButton.setVisible(is_aligned)

    def _problem(self) -> str:
        if self._shown.node is None:
            return _("Detect landmarks first.")
        if self._definition is None:
            return _("The model of these landmarks defines no standard plane.")
        try:
            self._plane(self._definition)
        except LandmarkDetectionError as error:
            return str(error)
        return ""

    @property
    def _definition(self) -> PlaneDefinition | None:
        index = self._ui.planeSelector.currentIndex
        return self._definitions[index] if 0 <= index < len(self._definitions) else None

    def _plane(self, definition: PlaneDefinition) -> StandardPlane:
        return standard_plane(definition, self._shown.landmarks_in_world())

    def _volume_node(self) -> slicer.vtkMRMLScalarVolumeNode:
        volume_node = volume_node_of(self._shown.node)
        if volume_node is None:
            message = _("The volume of these landmarks is no longer in the scene: load it and detect again.")
            raise LandmarkDetectionError(message)
        return volume_node

    def _image(self) -> Volume:
        """The picture of the landmarks' volume on the plane, with its finest voxel size."""
        volume_node = self._volume_node()
        if is_warped(volume_node):
            message = _("{volume} is under a non-linear transform: harden the transform first.")
            raise LandmarkDetectionError(message.format(volume=volume_node.GetName()))
        volume = volume_from_node(volume_node)
        return reslice(volume, self._plane(self._definition), float(volume.spacing_mm.min()))

    def _on_show_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The plane could not be shown.")):
            view = self._ui.sliceViewSelector.currentNode()
            if view is None:
                message = _("There is no slice view: choose one first.")
                raise LandmarkDetectionError(message)
            show_plane(self._plane(self._definition), view)

    def _on_add_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The plane could not be added.")):
            add_plane(self._plane(self._definition), self._shown.node)

    def _on_align_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The volume could not be aligned.")):
            align(self._shown.node, self._volume_node(), self._plane(self._definition))
            self._shown.refresh()

    def _on_undo_clicked(self) -> None:
        undo_alignment(self._shown.node)
        self._shown.refresh()

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
