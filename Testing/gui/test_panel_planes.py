"""The standard planes of the model: in a slice view, as markups, as images, and why they cannot be had."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.mrml import landmarks_from_node, volume_from_node
from LandmarkDetectionLib.planes import standard_plane


@pytest.fixture
def plane(detected, models):
    """The first of the model's planes through the detected landmarks."""
    return standard_plane(load_card(models / "tiny").planes[0], landmarks_from_node(detected))


def buttons(panel):
    ui = panel.ui
    return [ui.showPlaneButton, ui.addPlaneButton, ui.addPlaneImageButton, ui.savePlaneImageButton]


def test_before_a_detection_there_is_nothing_to_show(testbed, module, scene):
    panel = testbed.open_panel(module)
    testbed.close_panel(panel)
    assert not any(button.enabled for button in buttons(panel))
    assert panel.ui.showPlaneButton.toolTip == "Detect landmarks first."


def test_the_model_s_planes_can_be_chosen(panel, detected):
    selector = panel.ui.planeSelector
    assert [selector.itemText(index) for index in range(selector.count)] == ["axial", "axial from below"]
    assert selector.toolTip == "Through the first three landmarks."
    assert all(button.enabled for button in buttons(panel))


def test_a_slice_view_turns_to_the_plane(panel, plane):
    green = slicer.util.getFirstNodeByName("Green", "vtkMRMLSliceNode")
    panel.ui.sliceViewSelector.setCurrentNode(green)
    panel.ui.showPlaneButton.click()
    slice_to_ras = slicer.util.arrayFromVTKMatrix(green.GetSliceToRAS())
    np.testing.assert_allclose(slice_to_ras[:3, 0], plane.x_axis, atol=1e-6)
    np.testing.assert_allclose(slice_to_ras[:3, 1], -plane.y_axis, atol=1e-6)
    np.testing.assert_allclose(slice_to_ras[:3, 3], plane.origin_ras, atol=1e-6)


def test_a_plane_markup_is_added(panel, plane):
    panel.ui.addPlaneButton.click()
    (node,) = slicer.util.getNodesByClass("vtkMRMLMarkupsPlaneNode")
    assert node.GetName() == "axial"
    np.testing.assert_allclose(node.GetNormalWorld(), plane.normal, atol=1e-6)


def test_the_picture_on_the_plane_is_added_to_the_scene(panel, plane):
    panel.ui.addPlaneImageButton.click()
    node = slicer.util.getFirstNodeByName("head axial")
    volume = volume_from_node(node)
    assert volume.size == (20, 15, 1)
    np.testing.assert_allclose(volume.centre_ras, plane.origin_ras, atol=1e-6)


def test_the_plane_follows_corrected_points(panel, detected, plane):
    for index in range(3):
        r, a, s = detected.GetNthControlPointPositionWorld(index)
        detected.SetNthControlPointPositionWorld(index, (r, a, s + 5.0))
    panel.ui.addPlaneButton.click()
    (node,) = slicer.util.getNodesByClass("vtkMRMLMarkupsPlaneNode")
    np.testing.assert_allclose(np.array(node.GetOriginWorld()) - plane.origin_ras, [0.0, 0.0, 5.0], atol=1e-6)


def test_the_picture_is_saved_with_its_geometry(panel, plane, tmp_path, monkeypatch):
    file = tmp_path / "plane.nrrd"
    monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: str(file))
    panel.ui.savePlaneImageButton.click()
    np.testing.assert_allclose(read_volume(file).centre_ras, plane.origin_ras, atol=1e-4)


def test_the_picture_is_saved_as_png(panel, detected, tmp_path, monkeypatch):
    file = tmp_path / "plane.png"
    monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: str(file))
    panel.ui.savePlaneImageButton.click()
    assert sitk.ReadImage(str(file)).GetSize() == (20, 15)


def test_a_dismissed_file_dialog_saves_nothing(testbed, panel, detected, tmp_path, monkeypatch):
    monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: "")
    monkeypatch.chdir(tmp_path)
    panel.ui.savePlaneImageButton.click()
    assert list(tmp_path.iterdir()) == []
    assert testbed.messages == []


def test_a_missing_landmark_is_named(panel, detected):
    detected.SetNthControlPointPositionMissing(2)
    sentence = 'Plane "axial" needs the missing landmark "RE"; place it first.'
    assert panel.ui.planeProblemLabel.text == sentence
    assert all(not button.enabled and button.toolTip == sentence for button in buttons(panel))
    detected.RestoreNthControlPointPosition(2)
    assert all(button.enabled for button in buttons(panel))


def test_a_list_of_another_origin_has_no_planes(panel, detected):
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "by hand")
    panel.ui.landmarksSelector.setCurrentNode(by_hand)
    assert panel.ui.planeProblemLabel.text == "The model of these landmarks defines no standard plane."


def test_without_the_volume_there_is_no_picture(testbed, panel, head, detected, scene):
    scene.RemoveNode(head)
    panel.ui.addPlaneImageButton.click()
    assert "no longer in the scene" in testbed.messages[0]
    assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)


def test_a_volume_under_a_non_linear_transform_is_not_resliced(testbed, panel, head, detected, scene):
    head.SetAndObserveTransformNodeID(scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode").GetID())
    panel.ui.addPlaneImageButton.click()
    assert "head is under a non-linear transform: harden the transform first." in testbed.messages[0]
    assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
