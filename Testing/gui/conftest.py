"""The panel of the module in a real window, offscreen, with a scene and models to try."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import slicer

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from panel_actions import choose_model
from testbed import Testbed
from testbed.slice_view import SliceView
from testbed.slicer_source import VARIABLE, slicer_source
from tiny_detector import ENDLESS, write_tiny_bundle

from LandmarkDetectionLib.measurements import MeasurementDefinition
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle

MEASUREMENTS = (
    MeasurementDefinition("AC-PC", "Distance of the commissures", "distance", ("AC", "PC"), "mm"),
    MeasurementDefinition("at AC", "Angle at the anterior commissure", "angle", ("PC", "AC", "RE"), "deg"),
)


@pytest.fixture(scope="session", params=["stand-ins", *(["Slicer's own classes"] if slicer_source() else [])])
def testbed(request: pytest.FixtureRequest) -> Iterator[Testbed]:
    """The application: of the testbed's own, and, where SLICER_SOURCE names a checkout, then of Slicer's classes."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "stand-ins":
            patch.delenv(VARIABLE, raising=False)
        application = Testbed()
        yield application
        application.close()


@pytest.fixture(scope="session")
def module(testbed: Testbed, repository_root: Path) -> ModuleType:
    """The Python module LandmarkDetection."""
    return testbed.load_module(repository_root / "LandmarkDetection" / "LandmarkDetection.py")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's folder of imported models.

    "tiny"; "tiny-endless", whose detection never ends; "tiny-restricted", for research alone, which measures;
    "tiny-uncalibrated", which measures too.
    """
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder)
    bundle = load_bundle(write_tiny_bundle(folder, "tiny-restricted"))
    card = dataclasses.replace(bundle.card, badge="research use only", measurements=MEASUREMENTS)
    save_bundle(bundle.folder, card, bundle.tensors)
    bundle = load_bundle(write_tiny_bundle(folder, "tiny-uncalibrated"))
    card = dataclasses.replace(bundle.card, calibration=None, measurements=MEASUREMENTS)
    save_bundle(bundle.folder, card, bundle.tensors)
    write_tiny_bundle(folder, "tiny-endless", **ENDLESS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANDMARK_DETECTION_MODELS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def opened_panel(testbed: Testbed, module: ModuleType, models: Path) -> Iterator[object]:
    """The module's panel, the same for all tests, because its child process takes seconds to start."""
    panel = testbed.open_panel(module)
    yield panel
    testbed.close_panel(panel)


@pytest.fixture
def scene(testbed: Testbed) -> Iterator[slicer.vtkMRMLScene]:
    """The application's scene, empty but for its views, before and after the test."""
    testbed.scene.Clear(False)
    yield testbed.scene
    testbed.scene.Clear(False)


@pytest.fixture
def panel(testbed: Testbed, opened_panel: object, scene: slicer.vtkMRMLScene) -> Iterator[object]:
    """The panel, idle, with the model "tiny"; every exception that leaves a slot must be taken by the test."""
    testbed.messages.clear()
    testbed.uncaught.clear()
    testbed.answers.clear()
    opened_panel.enter()
    choose_model(opened_panel, "tiny")
    opened_panel.ui.deviceSelector.setCurrentIndex(0)
    yield opened_panel
    scene.Clear(False)
    assert testbed.uncaught == []
    assert testbed.answers == []


@pytest.fixture
def head(panel: object) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume of noise in the scene, which the panel has chosen by itself."""
    voxels = np.random.default_rng(0).integers(0, 100, (30, 30, 30), dtype=np.int16)
    return slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.diag([2.0, 2.0, 2.0, 1.0]), name="head")


@pytest.fixture
def detected(panel: object, head: object, module: ModuleType) -> slicer.vtkMRMLMarkupsFiducialNode:
    """The landmarks that "tiny" finds in "head", shown in the panel."""
    landmarks = module.LandmarkDetectionLogic().detect(head, "tiny", device="cpu")
    panel.ui.landmarksSelector.setCurrentNode(landmarks)
    return landmarks


@pytest.fixture
def uncalibrated(panel: object, head: object, module: ModuleType) -> slicer.vtkMRMLMarkupsFiducialNode:
    """What a model that was never calibrated finds in "head", shown in the panel."""
    landmarks = module.LandmarkDetectionLogic().detect(head, "tiny-uncalibrated", device="cpu")
    panel.ui.landmarksSelector.setCurrentNode(landmarks)
    return landmarks


@pytest.fixture(scope="module")
def red_view(testbed: Testbed) -> Iterator[SliceView]:
    """The red slice view, in a window."""
    view = testbed.open_slice_view("Red")
    yield view
    view.close()
