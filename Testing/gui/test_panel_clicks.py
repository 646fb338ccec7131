"""How little it takes: from a scene with nothing but a volume, or even without, to landmarks in three clicks."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from panel_actions import is_idle
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


@pytest.mark.parametrize("name", ["brain-t1", "fetal-head-2d"])
def test_a_sample_has_its_landmarks_after_three_clicks_on_an_empty_scene(testbed, scene, module, button, name):
    """One on the sample, one on the module, one on Detect landmarks: the volume and the model are chosen already."""
    testbed.application.emit("startupCompleted()")
    sample = next(one for one in slicer.modules.sampleDataSources["Landmark Detection"] if one.sampleName == name)
    hand, opened = Hand(), []
    hand.click(button(name, lambda: sample.customDownloader(sample)))
    hand.click(button("Landmark Detection", lambda: opened.append(testbed.open_panel(module))))
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
    testbed.close_panel(panel)
