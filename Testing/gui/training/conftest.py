"""The panel of Landmark Training in a real window, offscreen, with a dataset and models to try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import slicer
from testbed import Testbed
from testbed.plot_view import PlotView, add_plots
from training_actions import LIMIT_S, prepare
from training_datasets import write_settings, write_spots

from LandmarkDetectionLib.models.registry import MODELS_FOLDER_VARIABLE


@pytest.fixture(scope="session")
def plot_view(testbed: Testbed) -> PlotView:
    """The application's plot view."""
    return add_plots(testbed)


@pytest.fixture(scope="session")
def training_module(testbed: Testbed, module: ModuleType, repository_root: Path, plot_view: PlotView) -> ModuleType:
    """The Python module LandmarkTraining; Landmark Detection, which it depends on, is loaded before."""
    return testbed.load_module(repository_root / "LandmarkTraining" / "LandmarkTraining.py")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, testbed: Testbed) -> Path:
    """The user's folder of models, for each application one; trainings lie beside it."""
    return tmp_path_factory.mktemp("user") / "models"


@pytest.fixture(scope="session")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of small volumes with two spots, divided into splits."""
    return write_spots(tmp_path_factory.mktemp("data") / "spots")


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of settings: see `write_settings`."""
    return write_settings(tmp_path_factory.mktemp("settings"))


@pytest.fixture(scope="session")
def opened_training(testbed: Testbed, training_module: ModuleType) -> Iterator[object]:
    """The module's panel, the same for all tests."""
    panel = testbed.open_panel(training_module)
    yield panel
    testbed.close_panel(panel)


@pytest.fixture
def panel(
    testbed: Testbed, opened_training: object, scene: slicer.vtkMRMLScene, store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[object]:
    """The panel, idle, in an empty scene; every exception that leaves a slot must be taken by the test."""
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, str(store))
    testbed.messages.clear()
    testbed.uncaught.clear()
    opened_training.enter()
    yield opened_training
    for section in (opened_training.training, opened_training.evaluation):
        section.stop()
    scene.Clear(False)
    assert testbed.uncaught == []


@pytest.fixture
def ready(panel: object, spots: Path, settings: dict[str, Path]) -> object:
    """The panel with everything chosen that a short training needs, but a name."""
    prepare(panel, spots, settings["short"])
    return panel


@pytest.fixture(scope="session")
def trained(testbed: Testbed, opened_training: object, store: Path, spots: Path, settings: dict[str, Path]) -> str:
    """Name of a model that was trained and evaluated through the panel."""
    panel = opened_training
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_FOLDER_VARIABLE, str(store))
        testbed.scene.Clear(False)
        testbed.messages.clear()
        panel.enter()
        prepare(panel, spots, settings["short"])
        panel.ui.nameEdit.setText("trained")
        for button, section in ((panel.ui.trainButton, panel.training), (panel.ui.evaluateButton, panel.evaluation)):
            button.click()
            testbed.wait_until(lambda section=section: not section.is_busy, LIMIT_S)
        testbed.scene.Clear(False)
    assert testbed.messages == []
    return "trained"
