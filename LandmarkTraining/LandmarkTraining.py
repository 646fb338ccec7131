"""Landmark Training, a module of 3D Slicer: models that find your landmarks, from the cases you have."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from LandmarkDetection import LandmarkDetectionLogic
from LandmarkDetectionLib.command_client import CommandFailed, CommandProcess
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset_division import TEST, divide_cases
from LandmarkDetectionLib.files.dataset_writer import OtherLandmarks
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.models.registry import MODELS_FOLDER_VARIABLE, find_model, import_model
from LandmarkDetectionLib.mrml import add_landmarks, add_volume, detection_of
from LandmarkDetectionLib.spots import SPOTS, SPOTS_MODEL, spots_case, spots_models_folder
from LandmarkDetectionLib.training_setup import TrainingSetup, suggested_name
from LandmarkDetectionWidgets.packages import Packages
from LandmarkDetectionWidgets.packages_row import PackagesRow
from LandmarkTrainingWidgets.bundle_section import BundleSection
from LandmarkTrainingWidgets.case_adding import add_nodes, add_scene, add_scene_asking, may_replace
from LandmarkTrainingWidgets.case_section import CaseSection
from LandmarkTrainingWidgets.dataset_section import DatasetSection
from LandmarkTrainingWidgets.evaluation_section import EvaluationSection
from LandmarkTrainingWidgets.model_section import ModelSection
from LandmarkTrainingWidgets.parameters import LandmarkTrainingParameterNode, keep_setup, setup_of, typed_path
from LandmarkTrainingWidgets.scene_cases import likely_volume
from LandmarkTrainingWidgets.training_section import TrainingSection, may_begin


class LandmarkTraining(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Landmark Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = ["LandmarkDetection", "Markups", "Plots", "Tables", "Volumes"]
        self.parent.contributors = ["The LandmarkDetection contributors"]
        self.parent.helpText = _(
            "Trains models that find landmarks, on volumes with markups, and tells how well they do on cases they have "
            "never seen. What you correct in Landmark Detection becomes training data. For research; not a medical "
            "device."
        )
        self.parent.acknowledgementText = _(
            "Implements the training of the patch-based iterative network of Li et al., MICCAI 2018, and others."
        )


class LandmarkTrainingWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: wires its sections to the parameter node and to the logic."""

    def __init__(self, parent: object = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameter_node: LandmarkTrainingParameterNode | None = None
        self._gui_tag: int | None = None
        self._shown_case: tuple[vtkMRMLMarkupsFiducialNode | None, vtkMRMLScalarVolumeNode | None] = (None, None)

    def setup(self) -> None:
        """Build the panel; called when the user first opens the module."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/LandmarkTraining.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = LandmarkTrainingLogic()
        self.dataset = DatasetSection(self.ui, self._show_parameters)
        self.case = CaseSection(self.ui, self._on_add_case, self._on_add_all_cases)
        requirements = Path(self.resourcePath("training-requirements.txt"))
        self.packages = PackagesRow(self.ui, Packages(requirements, _("Landmark Training")))
        self.model = ModelSection(self.ui, self._on_method_chosen, self._on_initial_chosen)
        self.training = TrainingSection(self.ui, self._on_train, self._on_model_changed)
        self.evaluation = EvaluationSection(self.ui, self._on_evaluate, self._show_parameters)
        self.bundle = BundleSection(self.ui, self.model.reload_models)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self._on_scene_end_close)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self._on_scene_end_import)
        self._initialise_parameter_node()

    def cleanup(self) -> None:
        """Leave nothing running or observed; called when the module is unloaded or Slicer ends."""
        self._set_parameter_node(None)
        for section in (self.training, self.evaluation):
            section.stop()
        self.dataset.close()
        self.case.close()
        self.removeObservers()

    def enter(self) -> None:
        """Called when the user opens the module."""
        self.model.reload_models()
        self._initialise_parameter_node()
        self.dataset.reload()
        self._show_parameters()

    def exit(self) -> None:
        """Called when the user opens another module; a running training goes on."""
        self._disconnect_gui()

    def _on_scene_start_close(self, _caller: vtk.vtkObject, _event: str) -> None:
        """A running training goes on: its data are not in the scene."""
        self._set_parameter_node(None)
        self._shown_case = (None, None)
        self.case.show(None, None, "")
        self.training.forget_scene()
        self.evaluation.forget_scene()

    def _on_scene_end_close(self, _caller: vtk.vtkObject, _event: str) -> None:
        if self.parent.isEntered:
            self._initialise_parameter_node()

    def _on_scene_end_import(self, _caller: vtk.vtkObject, _event: str) -> None:
        if self._parameter_node is not None:
            self._keep_running_setup(self._parameter_node)
        self._show_parameters()

    def _initialise_parameter_node(self) -> None:
        node = self.logic.getParameterNode()
        self._keep_running_setup(node)
        self._set_parameter_node(node)

    def _keep_running_setup(self, node: LandmarkTrainingParameterNode) -> None:
        running = self.training.running or self.evaluation.running
        if running is not None:
            keep_setup(node, running)

    def _set_parameter_node(self, node: LandmarkTrainingParameterNode | None) -> None:
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
        self._show_parameters()

    def _show_parameters(self) -> None:
        node = self._parameter_node
        if node is None or slicer.mrmlScene.IsImporting():
            return
        self._follow_landmarks()
        self.dataset.show(typed_path(node.dataset))
        self.case.show(node.landmarks, node.volume, self.dataset.adding_problem)
        setup, owner = self._setup(), node.parameterNode
        suggestion = "" if self.dataset.dataset is None else self._suggested_name()
        self.model.show(setup, suggestion)
        self.training.show(owner, setup, self._training_problem(setup))
        self.evaluation.show(owner, setup, self._evaluation_problem(setup))
        self.bundle.show(setup, self._saving_problem(setup))
        is_free = not (self.training.is_busy or self.evaluation.is_busy)
        self.model.set_enabled(is_free)
        for widget in (self.ui.datasetEdit, self.ui.browseDatasetButton, self.ui.browsePackButton):
            widget.setEnabled(is_free)

    def _follow_landmarks(self) -> None:
        """Landmarks that were just chosen bring their volume; one that came with them, in a saved scene, stays."""
        node = self._parameter_node
        (landmarks, volume), self._shown_case = self._shown_case, (node.landmarks, node.volume)
        if node.landmarks is landmarks or node.volume is not volume:
            return
        likely = None if node.landmarks is None else likely_volume(node.landmarks)
        if likely is not None or landmarks is not None:
            node.volume = likely

    def _setup(self) -> TrainingSetup:
        return setup_of(self._parameter_node, self._suggested_name())

    def _suggested_name(self) -> str:
        dataset, node = self.dataset.dataset, self._parameter_node
        return "" if dataset is None else suggested_name(dataset, node.method, node.initial)

    def _training_problem(self, setup: TrainingSetup) -> str:
        if self.evaluation.is_busy:
            return _("An evaluation is running.")
        if self.dataset.dataset is None:
            return self.dataset.problem
        return setup.problem(self.dataset.dataset, self.model.card(setup.initial))

    def _evaluation_problem(self, setup: TrainingSetup) -> str:
        return self._saving_problem(setup) or self.dataset.testing_problem

    def _saving_problem(self, setup: TrainingSetup) -> str:
        if self.training.is_busy:
            return _("A training is running.")
        return "" if setup.is_trained else _("Train the model first.")

    def _on_method_chosen(self, method: str) -> None:
        self._parameter_node.method = method

    def _on_initial_chosen(self, name: str) -> None:
        """A model is trained further with the method it was trained with."""
        card, node = self.model.card(name), self._parameter_node
        if card is not None:
            node.method = card.method
        node.initial = name

    def _on_model_changed(self) -> None:
        self.evaluation.reload()
        self._show_parameters()

    def _on_train(self, resume: bool) -> None:
        with slicer.util.tryWithErrorDisplay(_("The training could not start.")):
            if resume:
                self._parameter_node.folds = self._setup().folds_begun
            elif not may_begin(self._setup()):
                return
            self.packages.ensure()
            self.training.start(self._setup(), resume=resume)
            self._show_parameters()

    def _on_evaluate(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The evaluation could not start.")):
            self.packages.ensure()
            self.evaluation.start(self._setup())
            self._show_parameters()

    def _on_add_case(self) -> None:
        node = self._parameter_node
        landmarks, folder = node.landmarks, typed_path(node.dataset)
        add = functools.partial(self.logic.add_reviewed_case, landmarks, folder, node.volume)
        with slicer.util.tryWithErrorDisplay(_("The case was not added.")):
            try:
                with slicer.util.WaitCursor():
                    name = add(replace=False)
            except OtherLandmarks as problem:
                if not may_replace([str(problem)]):
                    return
                name = add()
            self._show_added([name])
            self._prepare_fine_tuning(landmarks)

    def _on_add_all_cases(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("Not every case was added.")):
            added = add_scene_asking(typed_path(self._parameter_node.dataset))
            if added.names:
                self._show_added(added.names)
            if added.left_out:
                title = _("Cases added: {count}. Left out:").format(count=len(added.names))
                slicer.util.warningDisplay("\n\n".join([title, *added.left_out]))

    def _show_added(self, names: list[str]) -> None:
        self.dataset.reload()
        self._show_parameters()
        self.dataset.start_check()
        slicer.util.showStatusMessage(_("Added to the dataset: {names}").format(names=", ".join(names)), 5000)

    def _prepare_fine_tuning(self, landmarks: vtkMRMLMarkupsFiducialNode) -> None:
        """The model that was corrected is the one to train further, if it is one that can be."""
        detection = detection_of(landmarks)
        if detection is not None and self.model.card(detection.model_name) is not None:
            self._on_initial_chosen(detection.model_name)


class LandmarkTrainingLogic(ScriptedLoadableModuleLogic):
    """What scripts use; it needs no window and never asks anything.

    Example:
        >>> LandmarkTrainingLogic().add_reviewed_case(slicer.util.getNode("MRHead brain-t1"), "my-dataset")
    """

    def getParameterNode(self) -> LandmarkTrainingParameterNode:
        """The panel's state in the scene."""
        return LandmarkTrainingParameterNode(super().getParameterNode())

    def add_reviewed_case(
        self,
        landmarks_node: vtkMRMLMarkupsFiducialNode,
        folder: str | Path,
        volume_node: vtkMRMLScalarVolumeNode | None = None,
        *,
        replace: bool = True,
    ) -> str:
        """Add what a person has accepted, corrected, placed or marked missing in a volume to a dataset folder.

        Args:
            landmarks_node: the landmarks; those that nobody has decided about are left out.
            folder: of the dataset; made if it is not there.
            volume_node: their volume; default: the one they were detected in, or that is likely theirs.
            replace: whether landmarks that the dataset has of this volume may take other positions.

        Returns:
            The name of the case.

        Raises:
            OtherLandmarks: if they would, and may not; nothing is changed.
            LandmarkDetectionError: if the volume is not known, nothing is reviewed, or the dataset does not take it.
        """
        return add_nodes(landmarks_node, volume_node, folder, replace=replace)

    def add_all_cases(self, folder: str | Path) -> list[str]:
        """Add every list of landmarks of the scene whose volume is known; the names of the cases.

        Raises:
            LandmarkDetectionError: if lists are left out, saying which and why; all others are added.
        """
        added = add_scene(folder, replace=True)
        if added.left_out:
            raise LandmarkDetectionError("\n".join(added.left_out))
        return added.names

    def run(self, arguments: list[str]) -> str:
        """Run a command of `landmark-detection` in a child process to its end; what it printed.

        Raises:
            LandmarkDetectionError: if it failed.
        """
        command = CommandProcess()
        command.start(*arguments)
        while (result := command.poll()) is None:
            slicer.app.processEvents()
            time.sleep(0.05)
        if isinstance(result, CommandFailed):
            raise result.error
        return result.output


class LandmarkTrainingTest(ScriptedLoadableModuleTest):
    """Trains a tiny model further for real, a few steps, on a dataset made from the scene, and uses it."""

    _CASES = 4
    _LARGEST_MEAN_ERROR_MM = 1.0
    """Where the spots lie on average is 3.2 mm off in the case that is looked at."""

    _SETTINGS = '{"optimisation": {"steps": 6, "validate_every": 3, "batch_size": 8, "pool_size": 4}}'

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def test_a_model_is_trained_on_the_scene_evaluated_and_used(self) -> None:
        """From volumes with landmarks in the scene to landmarks found by a model that learned from them."""
        # Slicer does not tear down a test that failed, after which the user's own models must be there again.
        from unittest.mock import patch  # slow to import, and Slicer imports this file at its start

        with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, {MODELS_FOLDER_VARIABLE: f"{name}/models"}):
            self._train_evaluate_and_detect(Path(name))
        self.delayDisplay("Test passed")

    def _train_evaluate_and_detect(self, folder: Path) -> None:
        logic = LandmarkTrainingLogic()
        cases = [self._add_case(seed) for seed in range(self._CASES)]
        assert len(logic.add_all_cases(folder / "cases")) == self._CASES
        assert set(divide_cases(folder / "cases")) == {"train", "validation", "test"}
        import_model(spots_models_folder() / SPOTS_MODEL)
        (folder / "settings.json").write_text(self._SETTINGS, encoding="utf-8")
        setup = TrainingSetup(
            str(folder / "cases"),
            "pin",
            "quick",
            "spots-tuned",
            device="cpu",
            initial=SPOTS_MODEL,
            config=str(folder / "settings.json"),
        )

        logic.run(setup.training_arguments(resume=False))
        logic.run(setup.evaluation_arguments(TEST))
        import_model(setup.output)
        volume, truth = cases[0]
        found = detection_of(LandmarkDetectionLogic().detect(volume, setup.name, device="cpu"))

        assert found.labels == SPOTS
        assert found.weights_sha256 != load_card(find_model(SPOTS_MODEL)).weights_sha256, "nothing was learned"
        errors_mm = [np.linalg.norm(one.position_ras - truth[one.label]) for one in found.landmarks]
        assert np.mean(errors_mm) < self._LARGEST_MEAN_ERROR_MM, f"{np.mean(errors_mm):.1f} mm off"
        assert (setup.report_folder / "index.html").exists()

    def _add_case(self, seed: int) -> tuple[vtkMRMLScalarVolumeNode, LandmarkSet]:
        """A test pattern in the scene, with its landmarks."""
        volume, truth = spots_case(seed)
        landmarks = add_landmarks(volume.name)
        for label, position in truth.items():
            landmarks.AddControlPointWorld(vtk.vtkVector3d(*position), label)
        return add_volume(volume), truth
