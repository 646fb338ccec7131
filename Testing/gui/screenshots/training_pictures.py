"""Pictures of Landmark Training, on simulated heads."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import slicer
from testbed import Testbed
from testbed.plot_view import PlotView

from LandmarkDetectionLib.mrml import add_landmarks, add_volume
from LandmarkDetectionLib.phantom import generate_phantom, write_phantom_dataset

from .window import Album, Window

_COUNTS = {"train": 16, "validation": 3, "test": 3}
_SPACING_MM = 3.0
_SHOWN_SEED = 77
_METHOD = "multiscale-locnet"
_SETTINGS = {"optimisation": {"steps": 600, "minutes": 10.0, "validate_every": 25, "pool_size": 32}}
_LIMIT_S = 900.0


def picture_training(testbed: Testbed, module: ModuleType, plot_view: PlotView, album: Album) -> None:
    """From a dataset folder to an evaluated model."""
    write_phantom_dataset("fetal-heads", _COUNTS, spacing_mm=_SPACING_MM)
    Path("short.json").write_text(json.dumps(_SETTINGS))
    panel = testbed.open_panel(module)
    window = Window(testbed, panel)
    _picture_dataset(testbed, panel, window, album)
    window.show_plots(plot_view)
    panel.ui.methodSelector.setCurrentIndex(panel.ui.methodSelector.findData(_METHOD))
    panel.ui.configEdit.setText("short.json")
    panel.ui.trainButton.click()
    testbed.wait_until(lambda: len(panel.training.progress.errors_mm) > 6 or not panel.training.is_busy, _LIMIT_S)
    window.open_sections("model", "train")
    album.add("landmark-training-curves", window)
    testbed.wait_until(lambda: not panel.training.is_busy, _LIMIT_S)
    panel.ui.evaluateButton.click()
    testbed.wait_until(lambda: not panel.evaluation.is_busy, _LIMIT_S)
    window.open_sections("evaluate", "save")
    panel.ui.showCurveButton.click()
    album.add("landmark-training-evaluation", window)
    window.close()
    testbed.close_panel(panel)


def _picture_dataset(testbed: Testbed, panel: object, window: Window, album: Album) -> None:
    """The dataset was checked, and a case of the scene could be added."""
    phantom = generate_phantom(_SHOWN_SEED, 1.0)
    window.show_volume(add_volume(phantom.volume))
    landmarks = add_landmarks("fetal head")
    for label, position in phantom.landmarks.items():
        landmarks.AddControlPointWorld(position, label)
    slicer.modules.markups.logic().JumpSlicesToNthPointInMarkup(landmarks.GetID(), 0, True)
    window.zoom(1.7)
    panel.ui.datasetEdit.setText("fetal-heads")
    panel.ui.caseLandmarksSelector.setCurrentNode(landmarks)
    at_rest = panel.ui.checkButton.text
    panel.ui.checkButton.click()
    testbed.wait_until(lambda: panel.ui.checkButton.text == at_rest, _LIMIT_S)
    window.open_sections("dataset", "scene", "model")
    album.add("landmark-training-dataset", window)
