"""How little it takes: from a scene with nothing but a volume, or even without, to landmarks in three clicks."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from panel_actions import choose_model, is_idle
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from LandmarkDetectionLib.models.registry import list_models
from LandmarkDetectionLib.mrml import detection_of

pytestmark = pytest.mark.skipif(
    not {"brain-t1", "fetal-head-2d"} <= {card.name for card in list_models()},
    reason="Without shipped models there are no samples.",
)


class Hand:
    """A mouse that counts its clicks."""

    def __init__(self):
        self.clicks = 0

    def click(self, button):
        assert button.isVisible()
        assert button.isEnabled()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.clicks += 1


@pytest.fixture
def button():
    """Makes buttons that stand for those of Slicer itself: a sample's picture, a module's entry."""
    shown = []

    def make(text, act):
        made = QPushButton(text)
        made.clicked.connect(act)
        made.show()
        shown.append(made)
        return made

    yield make
    for one in shown:
        one.close()


@pytest.fixture
def open_module(testbed, scene, module):
    """Opens the module as Slicer does when it is chosen."""
    opened = []

    def opening():
        opened.append(testbed.open_panel(module))
        return opened[-1]

    testbed.messages.clear()
    yield opening
    for panel in opened:
        testbed.close_panel(panel)


def sample_named(testbed, name):
    testbed.application.emit("startupCompleted()")
    return next(one for one in slicer.modules.sampleDataSources["Landmark Detection"] if one.sampleName == name)


@pytest.mark.parametrize("name", ["brain-t1", "fetal-head-2d"])
def test_a_sample_has_its_landmarks_after_three_clicks_on_an_empty_scene(testbed, open_module, button, name):
    """One on the sample, one on the module, one on Detect landmarks: the volume and the model are chosen already."""
    sample = sample_named(testbed, name)
    hand, opened = Hand(), []
    hand.click(button(name, lambda: sample.customDownloader(sample)))
    hand.click(button("Landmark Detection", lambda: opened.append(open_module())))
    (panel,) = opened
    hand.click(panel.ui.detectButton)
    testbed.wait_until(lambda: is_idle(panel))
    assert hand.clicks <= 3
    assert testbed.messages == []
    (landmarks,) = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert detection_of(landmarks).model_name == name
    assert landmarks.GetNumberOfDefinedControlPoints() == len(detection_of(landmarks).landmarks)
    bounds = np.zeros(6)
    slicer.util.getNode(name).GetRASBounds(bounds)
    positions = slicer.util.arrayFromMarkupsControlPoints(landmarks, world=True)
    assert (positions >= bounds[::2] - 1.0).all()
    assert (positions <= bounds[1::2] + 1.0).all()


@pytest.mark.parametrize("name", ["brain-t1", "fetal-head-2d"])
def test_a_volume_loaded_into_an_open_panel_chooses_its_model_until_a_person_does(testbed, open_module, name):
    panel = open_module()
    sample = sample_named(testbed, name)
    sample.customDownloader(sample)
    assert panel.ui.modelSelector.currentData == name
    choose_model(panel, "fetal-phantom-3d")
    other = sample_named(testbed, "brain-t1")
    other.customDownloader(other)
    assert panel.ui.modelSelector.currentData == "fetal-phantom-3d"
