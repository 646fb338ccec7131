"""The panel's whole state lives in the scene: saved, closed and loaded it comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from panel_actions import choose_model, detect, is_idle, start_endless

from LandmarkDetectionLib.mrml import review_of, volume_node_of


@pytest.fixture
def reload_scene(testbed, scene, tmp_path):
    """Saves the scene with all its files, closes it, and loads it again."""

    def reload():
        testbed.application.processEvents()
        scene.SetRootDirectory(str(tmp_path))
        scene.SetURL(str(tmp_path / "scene.mrml"))
        for number, node in enumerate(slicer.util.getNodesByClass("vtkMRMLStorableNode")):
            if node.GetSaveWithScene() and (node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLMarkupsNode")):
                node.AddDefaultStorageNode()
                suffix = "nrrd" if node.IsA("vtkMRMLVolumeNode") else "mrk.json"
                node.GetStorageNode().SetFileName(str(tmp_path / f"{number}.{suffix}"))
                assert node.GetStorageNode().WriteData(node)
        assert scene.Commit()
        scene.Clear(False)
        assert slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") == []
        scene.SetURL(str(tmp_path / "scene.mrml"))
        assert scene.Connect()
        testbed.application.processEvents()

    return reload


def table(panel):
    widget = panel.ui.landmarksTable
    return [[widget.item(row, column).text() for column in range(7)] for row in range(widget.rowCount)]


def test_a_reviewed_scene_comes_back_as_it_was(testbed, panel, detected, reload_scene):
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    testbed.application.processEvents()
    panel.ui.landmarksTable.setCurrentCell(1, 0)
    panel.ui.acceptButton.click()
    panel.ui.landmarksTable.setCurrentCell(2, 0)
    panel.ui.missingButton.click()
    panel.ui.deviceSelector.setCurrentIndex(panel.ui.deviceSelector.findText("CPU"))
    panel.ui.optionsTable.item(1, 1).setText("3")
    panel.ui.seedSpinBox.setValue(5)
    panel.ui.planeSelector.setCurrentIndex(1)
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    green = slicer.util.getFirstNodeByName("Green", "vtkMRMLSliceNode")
    panel.ui.sliceViewSelector.setCurrentNode(green)
    before = table(panel)
    changes = [(change.label, change.action, change.by, change.at) for change in review_of(detected).changes]

    reload_scene()

    assert table(panel) == before
    assert [row[-1] for row in before] == ["corrected", "accepted", "missing", "predicted"]
    loaded = panel.ui.landmarksSelector.currentNode()
    assert [(change.label, change.action, change.by, change.at) for change in review_of(loaded).changes] == changes
    assert panel.ui.reviewLabel.text == "3 of 4 reviewed"
    assert panel.ui.volumeSelector.currentNode() is volume_node_of(loaded)
    assert panel.ui.modelSelector.currentData == "tiny"
    assert panel.ui.deviceSelector.currentText == "CPU"
    assert panel.ui.deviceUsedLabel.text == "used: cpu"
    assert panel.ui.optionsTable.item(1, 1).text() == "3"
    assert panel.ui.seedSpinBox.value == 5
    assert panel.ui.planeSelector.currentText == "axial from below"
    assert panel.ui.sliceViewSelector.currentNode().GetName() == "Green"
    assert panel.ui.ellipsoidsCheckBox.checked
    assert slicer.util.getFirstNodeByName("Landmark uncertainty", "vtkMRMLModelNode") is not None


def test_a_loaded_point_can_still_be_put_back(panel, detected, reload_scene):
    predicted = detected.GetNthControlPointPositionWorld(0)
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    reload_scene()
    panel.ui.landmarksTable.setCurrentCell(0, 0)
    panel.ui.resetButton.click()
    loaded = panel.ui.landmarksSelector.currentNode()
    np.testing.assert_allclose(loaded.GetNthControlPointPositionWorld(0), predicted, atol=1e-3)


def test_an_alignment_can_be_undone_after_loading(testbed, panel, detected, reload_scene):
    position = np.array(detected.GetNthControlPointPositionWorld(0))
    detected.SetNthControlPointPositionWorld(0, position + np.array([2.0, 3.0, 9.0]))
    testbed.application.processEvents()
    panel.ui.addPlaneButton.click()
    panel.ui.alignButton.click()
    reload_scene()
    assert table(panel)[1][-1] == "predicted"
    panel.ui.undoAlignmentButton.click()
    assert panel.ui.volumeSelector.currentNode().GetParentTransformNode() is None
    loaded = panel.ui.landmarksSelector.currentNode()
    np.testing.assert_allclose(
        loaded.GetNthControlPointPositionWorld(0), position + np.array([2.0, 3.0, 9.0]), atol=1e-3
    )


def test_closing_the_scene_empties_the_panel(panel, detected, scene):
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    scene.Clear(False)
    assert panel.ui.landmarksTable.rowCount == 0
    assert panel.ui.measurementsLabel.text == "Detect landmarks first."
    assert not panel.ui.exportButton.enabled
    assert panel.ui.deviceUsedLabel.text == ""
    assert not panel.ui.ellipsoidsCheckBox.checked


def test_a_scene_loaded_during_a_detection_ends_it(testbed, panel, head, reload_scene):
    start_endless(testbed, panel)
    reload_scene()
    assert is_idle(panel)
    choose_model(panel, "tiny")
    detect(testbed, panel)
    assert panel.ui.landmarksTable.rowCount == 4


def test_a_volume_renamed_meanwhile_gives_its_new_name(testbed, panel, head):
    panel.ui.detectButton.click()
    head.SetName("renamed")
    testbed.wait_until(lambda: is_idle(panel))
    assert panel.ui.landmarksSelector.currentNode().GetName() == "renamed tiny"


def test_a_second_volume_leaves_the_first_as_it_was(testbed, panel, detected):
    other = slicer.util.addVolumeFromArray(np.random.default_rng(1).random((20, 20, 20)), name="other")
    other.SetSpacing(3.0, 3.0, 3.0)
    panel.ui.volumeSelector.setCurrentNode(other)
    detect(testbed, panel)
    assert panel.ui.landmarksSelector.currentNode() is not detected
    panel.ui.landmarksSelector.setCurrentNode(detected)
    assert panel.shown.name == "head"
    assert [row[-1] for row in table(panel)] == ["predicted"] * 4


def test_a_volume_deleted_after_the_detection_leaves_its_landmarks(panel, head, detected, scene):
    scene.RemoveNode(head)
    assert panel.ui.landmarksTable.rowCount == 4
    assert panel.shown.name == "head tiny"
    assert panel.ui.detectButton.toolTip == "Load a volume and choose it first."


def test_landmarks_of_a_model_that_is_gone_can_be_reviewed_but_define_no_plane(panel, detected, tmp_path, monkeypatch):
    monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(tmp_path))
    panel.shown.show(detected)
    assert panel.ui.landmarksTable.rowCount == 4
    assert panel.ui.nextButton.enabled
    assert panel.ui.planeProblemLabel.text == "The model of these landmarks defines no standard plane."
