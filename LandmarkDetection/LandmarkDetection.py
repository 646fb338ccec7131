"""Landmark Detection, a module of 3D Slicer: named anatomical landmarks, found in the volume you choose."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import qt
import slicer
import vtk
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLSliceNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.landmarks import MODELS_SEPARATOR, Detection
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.joint_card import AnyCard, JointCard
from LandmarkDetectionLib.models.registry import MODELS_FOLDER_VARIABLE, find_model
from LandmarkDetectionLib.mrml import (
    add_landmarks,
    add_volume,
    detection_in_world,
    is_untouched_detection,
    landmarks_from_node,
    set_detection,
    volume_from_node,
    volume_node_of,
)
from LandmarkDetectionLib.spots import SPOTS_MODEL, spots_case, spots_models_folder
from LandmarkDetectionLib.volume import Volume
from LandmarkDetectionWidgets.advanced_section import AdvancedSection
from LandmarkDetectionWidgets.alignment import join_alignment
from LandmarkDetectionWidgets.detection_section import DetectionSection
from LandmarkDetectionWidgets.device import Device
from LandmarkDetectionWidgets.ellipsoids import Ellipsoids
from LandmarkDetectionWidgets.export_section import ExportSection
from LandmarkDetectionWidgets.input_section import InputSection
from LandmarkDetectionWidgets.measurements_section import MeasurementsSection
from LandmarkDetectionWidgets.packages import Packages
from LandmarkDetectionWidgets.packages_row import PackagesRow
from LandmarkDetectionWidgets.planes_section import PlanesSection
from LandmarkDetectionWidgets.point_names import PointNames
from LandmarkDetectionWidgets.review_section import ReviewSection
from LandmarkDetectionWidgets.sample_data import register_sample_data
from LandmarkDetectionWidgets.shown_landmarks import ShownLandmarks


class LandmarkDetection(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Landmark Detection")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = ["Markups", "Volumes"]
        self.parent.contributors = ["The LandmarkDetection contributors"]
        self.parent.helpText = _(
            "Finds named anatomical landmarks in a volume, with the model you choose, says how sure it is of each, "
            "and derives the model's standard planes from them. For research; not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Implements the patch-based iterative network of Li et al., MICCAI 2018, and others; "
            "each model's card names its source."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


@parameterNodeWrapper
class LandmarkDetectionParameterNode:
    """What the panel remembers with the scene.

    volume - where to find landmarks.
    model - name of the model.
    secondOpinions - names of further models for a consensus, with a "+" between.
    device - where to run it.
    options - of the models' methods, by model and name, as JSON.
    seed - of the random initialisations.
    landmarks - the list that the panel shows.
    ellipsoids - whether the uncertainty is drawn around the landmarks.
    plane - name of the chosen standard plane.
    sliceView - the slice view that turns to it.
    """

    volume: vtkMRMLScalarVolumeNode
    model: str = ""
    secondOpinions: str = ""  # noqa: N815 - parameters are named as in Slicer
    device: Device = Device.AUTO
    options: str = ""
    seed: Annotated[int, WithinRange(0, 999_999)] = 0
    landmarks: vtkMRMLMarkupsFiducialNode
    ellipsoids: bool = False
    plane: str = ""
    sliceView: vtkMRMLSliceNode  # noqa: N815


class LandmarkDetectionWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: wires its sections to the parameter node and to the logic."""

    def __init__(self, parent: object = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameter_node: LandmarkDetectionParameterNode | None = None
        self._gui_tag: int | None = None
        self._request: tuple[Volume, vtkMRMLScalarVolumeNode, JointCard] | None = None

    def setup(self) -> None:
        """Build the panel; called when the user first opens the module."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/LandmarkDetection.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = LandmarkDetectionLogic()
        models_ui_file = self.resourcePath("UI/LandmarkModels.ui")
        self.input = InputSection(
            self.ui, models_ui_file, self._on_model_chosen, self._on_opinions_chosen, self._show_parameters
        )
        self.detection = DetectionSection(self.ui, self._on_detect, self._on_detected, self._on_cpu_wanted)
        self.shown = ShownLandmarks()
        self.review = ReviewSection(self.ui, self.shown)
        self.names = PointNames(self.ui, self.shown)
        self.ellipsoids = Ellipsoids(self.ui.ellipsoidsCheckBox, self.shown)
        self.planes = PlanesSection(self.ui, self.shown, self._on_plane_chosen)
        self.measurements = MeasurementsSection(self.ui, self.shown)
        self.export = ExportSection(self.ui, self.shown)
        self.advanced = AdvancedSection(self.ui, self._on_options_changed)
        packages = Packages(Path(self.resourcePath("requirements.txt")), _("Landmark Detection"))
        self.packages = PackagesRow(self.ui, packages)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._on_scene_start_close)
        for event in (slicer.mrmlScene.EndCloseEvent, slicer.mrmlScene.EndImportEvent):
            self.addObserver(slicer.mrmlScene, event, self._on_scene_replaced)
        self._initialise_parameter_node()

    def cleanup(self) -> None:
        """Leave nothing running or observed; called when the module is unloaded or Slicer ends."""
        self.detection.close()
        self._set_parameter_node(None)
        self.input.close()
        self.removeObservers()

    def enter(self) -> None:
        """Called when the user opens the module."""
        self.input.reload_models()
        self._initialise_parameter_node()

    def exit(self) -> None:
        """Called when the user opens another module; a running detection goes on."""
        self._disconnect_gui()

    def _on_scene_start_close(self, _caller: vtk.vtkObject, _event: str) -> None:
        self.detection.stop()
        self._set_parameter_node(None)

    def _on_scene_replaced(self, _caller: vtk.vtkObject, _event: str) -> None:
        if self.parent.isEntered:
            self._initialise_parameter_node()

    def _initialise_parameter_node(self) -> None:
        self._set_parameter_node(self.logic.getParameterNode())
        if self._parameter_node.volume is None:
            self._parameter_node.volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        if self._parameter_node.sliceView is None:
            self._parameter_node.sliceView = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode")

    def _set_parameter_node(self, node: LandmarkDetectionParameterNode | None) -> None:
        self._disconnect_gui()
        self._parameter_node = node
        if node is not None:
            self._gui_tag = node.connectGui(self.ui)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_parameters_changed)
        self._show_parameters()

    def _disconnect_gui(self) -> None:
        if self._gui_tag is not None:
            self._parameter_node.disconnectGui(self._gui_tag)
            self._gui_tag = None
            self.removeObserver(self._parameter_node, vtk.vtkCommand.ModifiedEvent, self._on_parameters_changed)

    def _on_parameters_changed(self, _caller: vtk.vtkObject, _event: str) -> None:
        chosen, left = self._parameter_node.landmarks, self.shown.node
        if chosen is not None and chosen is not left:
            chosen.SetDisplayVisibility(True)
            if left is not None and volume_node_of(left) is volume_node_of(chosen) is not None:
                left.SetDisplayVisibility(False)  # lest the points of both lie on top of each other
        self._show_parameters()

    def _show_parameters(self) -> None:
        node = self._parameter_node
        opinions = node.secondOpinions.split(MODELS_SEPARATOR) if node else []
        self.input.choose(node and node.model, opinions, node and node.volume)
        if node is not None and not node.model:
            node.model = self.input.likely_model
        self.advanced.show(self.input.card, node.options if node else "")
        self.detection.set_problem(self.input.problem())
        landmarks = node and node.landmarks
        if landmarks is not self.shown.node:
            self._show_landmarks(landmarks)
        if node is not None:
            self.planes.choose_plane(node.plane)
        self.ellipsoids.set_on(node is not None and node.ellipsoids)

    def _show_landmarks(self, landmarks: vtkMRMLMarkupsFiducialNode | None) -> None:
        self.shown.show(landmarks)
        found = self.shown.detection
        self.ui.deviceUsedLabel.setText(_("used: {device}").format(device=found.device) if found else "")

    def _on_model_chosen(self, name: str) -> None:
        self._parameter_node.model = name

    def _on_opinions_chosen(self, names: tuple[str, ...]) -> None:
        self._parameter_node.secondOpinions = MODELS_SEPARATOR.join(names)

    def _on_plane_chosen(self, name: str) -> None:
        self._parameter_node.plane = name

    def _on_options_changed(self, options: str) -> None:
        self._parameter_node.options = options

    def _on_cpu_wanted(self) -> None:
        self._parameter_node.device = Device.CPU
        self._on_detect()

    def _on_detect(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The detection could not start.")):
            if not self.input.is_agreed():
                return
            self.packages.ensure()
            parameters = self._parameter_node
            volume = volume_from_node(parameters.volume)
            cards = self.input.cards
            self._request = volume, parameters.volume, JointCard.of(cards)
            models = {find_model(card.name): self.advanced.options_of(card.name) for card in cards}
            self.detection.start(volume, models, parameters.device.value, parameters.seed)

    def _on_detected(self, detection: Detection) -> None:
        volume, volume_node, card = self._request
        self._request = None
        if not slicer.mrmlScene.IsNodePresent(volume_node):
            message = _("{volume} was removed from the scene before its landmarks were found.")
            raise LandmarkDetectionError(message.format(volume=volume.name))
        current = self._parameter_node.landmarks
        replaced = current if current is not None and is_untouched_detection(current, volume_node, card.name) else None
        landmarks = self.logic.show(detection, volume, volume_node, card, replaced)
        self._parameter_node.landmarks = landmarks
        self._show_landmarks(landmarks)


class LandmarkDetectionLogic(ScriptedLoadableModuleLogic):
    """What scripts use; it needs no window and never asks anything.

    Example:
        >>> landmarks = LandmarkDetectionLogic().detect(slicer.util.getNode("MRHead"), "brain-t1")
    """

    def getParameterNode(self) -> LandmarkDetectionParameterNode:
        """The panel's state in the scene."""
        return LandmarkDetectionParameterNode(super().getParameterNode())

    def detect(
        self,
        volume_node: vtkMRMLScalarVolumeNode,
        model: str | Path | Sequence[str | Path],
        *,
        device: str = "auto",
        seed: int = 0,
        options: Mapping[str, str] | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> vtkMRMLMarkupsFiducialNode:
        """Find landmarks in this process, and return when they are in the scene.

        Args:
            volume_node: where to look; its transforms are taken into account.
            model: name of a model, or the folder or zip of a bundle; of several, their consensus.
            device: "auto", "cpu", "cuda" or "mps".
            seed: of the random initialisations.
            options: of the method, by name; given to every model.
            progress: called with a fraction from 0 to 1 and a text.

        Raises:
            LandmarkDetectionError: if the volume, a model or the device cannot be used.
        """
        from LandmarkDetectionLib.detectors.registry import load_consensus

        models = [model] if isinstance(model, str | Path) else model
        bundles = [load_bundle(find_model(one)) for one in models]
        detector = load_consensus(bundles, device, [options or {}] * len(bundles))
        volume = volume_from_node(volume_node)
        detection = detector.detect(volume, progress=progress, seed=seed)
        return self.show(detection, volume, volume_node, detector.card)

    def show(
        self,
        detection: Detection,
        volume: Volume,
        volume_node: vtkMRMLScalarVolumeNode,
        card: AnyCard,
        landmarks: vtkMRMLMarkupsFiducialNode | None = None,
    ) -> vtkMRMLMarkupsFiducialNode:
        """Put a detection in `volume`, as it was read from `volume_node`, into the scene.

        Args:
            detection, volume, volume_node: what was found, in which coordinates, and where.
            card: of the model, or the models, that found it.
            landmarks: the list to fill; a new one if not given.
        """
        if landmarks is None:
            name = slicer.mrmlScene.GenerateUniqueName(f"{volume_node.GetName()} {card.name}")
            landmarks = add_landmarks(name)
        join_alignment(landmarks, volume_node)
        descriptions = {definition.label: definition.description for definition in card.landmarks}
        set_detection(landmarks, detection_in_world(detection, volume, volume_node), volume_node, descriptions)
        return landmarks


class LandmarkDetectionTest(ScriptedLoadableModuleTest):
    """Detects for real, with a tiny model, on a test pattern whose truth is known."""

    _LARGEST_MEAN_ERROR_MM = 1.0
    """Where the spots lie on average is 3.9 mm off."""

    _LONGEST_DETECTION_S = 600.0

    def setUp(self) -> None:
        """Start from an empty scene with the test pattern, which a transform has moved."""
        slicer.mrmlScene.Clear()
        volume, truth = spots_case(seed=4)
        shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = np.array([[1, 0, 0, 30], [0, 1, 0, -20], [0, 0, 1, 10], [0, 0, 0, 1]])
        slicer.util.updateTransformMatrixFromArray(shift, matrix)
        self._volume_node = add_volume(volume)
        self._volume_node.SetAndObserveTransformNodeID(shift.GetID())
        self._truth = truth.transformed(matrix)

    def test_a_script_finds_the_spots(self) -> None:
        """In this process, in world coordinates."""
        model = spots_models_folder() / SPOTS_MODEL
        self._check(LandmarkDetectionLogic().detect(self._volume_node, model, device="cpu"))
        self.delayDisplay("Test passed")

    def test_the_panel_finds_the_spots(self) -> None:
        """With a click, in the child process."""
        from unittest.mock import patch  # slow to import, and Slicer imports this file at its start

        with patch.dict(os.environ, {MODELS_FOLDER_VARIABLE: str(spots_models_folder())}):
            self._check(self._landmarks_after_a_click())
        self.delayDisplay("Test passed")

    def _landmarks_after_a_click(self) -> vtkMRMLMarkupsFiducialNode | None:
        window = slicer.qMRMLWidget()
        window.setLayout(qt.QVBoxLayout())
        panel = LandmarkDetectionWidget(window)
        panel.setup()
        try:
            panel.enter()
            parameters = panel.logic.getParameterNode()
            parameters.volume, parameters.model = self._volume_node, SPOTS_MODEL
            parameters.device = Device.CPU
            panel.ui.detectButton.click()
            ends = time.monotonic() + self._LONGEST_DETECTION_S
            while panel.detection.is_busy and time.monotonic() < ends:
                slicer.app.processEvents()
                time.sleep(0.01)
            return parameters.landmarks
        finally:
            panel.exit()
            panel.cleanup()
            window.deleteLater()

    def _check(self, landmarks: vtkMRMLMarkupsFiducialNode | None) -> None:
        assert landmarks is not None, "nothing was detected"
        found = landmarks_from_node(landmarks)
        assert set(found.present) == set(self._truth.present)
        errors_mm = np.linalg.norm(found.to_array() - self._truth.to_array(list(found)), axis=1)
        assert errors_mm.mean() < self._LARGEST_MEAN_ERROR_MM, f"{errors_mm.mean():.1f} mm off"
