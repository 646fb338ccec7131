"""The standard planes of the model: in a slice view, as markups, as images, and why they cannot be had."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from panel_actions import detect

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.mrml import landmarks_from_node, reviewed_landmarks_of, volume_from_node
from LandmarkDetectionLib.planes import standard_plane


@pytest.fixture
def plane(detected, models):
    """The first of the model's planes through the detected landmarks."""
    return standard_plane(load_card(models / "tiny").planes[0], landmarks_from_node(detected))


def buttons(panel):
    ui = panel.ui
    return [ui.showPlaneButton, ui.addPlaneButton, ui.alignButton, ui.addPlaneImageButton, ui.savePlaneImageButton]


def transforms():
    """Those a person sees: every slice view has a hidden one."""
    nodes = slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")
    return [node for node in nodes if not node.GetHideFromEditors()]


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


def test_a_plane_markup_follows_the_landmarks_and_nothing_else(panel, detected, models):
    panel.ui.addPlaneButton.click()
    (node,) = slicer.util.getNodesByClass("vtkMRMLMarkupsPlaneNode")
    assert node.GetLocked()
    position = np.array(detected.GetNthControlPointPositionWorld(0))
    detected.SetNthControlPointPositionWorld(0, position + np.array([0.0, 3.0, 9.0]))
    slicer.app.processEvents()
    moved = standard_plane(load_card(models / "tiny").planes[0], landmarks_from_node(detected))
    np.testing.assert_allclose(node.GetNormalWorld(), moved.normal, atol=1e-6)
    np.testing.assert_allclose(node.GetOriginWorld(), moved.origin_ras, atol=1e-6)
    detected.SetNthControlPointPositionMissing(1)
    slicer.app.processEvents()
    np.testing.assert_allclose(node.GetOriginWorld(), moved.origin_ras, atol=1e-6)


class TestAlignment:
    def turn(self, detected):
        """Moves a landmark so that the plane is oblique."""
        position = np.array(detected.GetNthControlPointPositionWorld(0))
        detected.SetNthControlPointPositionWorld(0, position + np.array([2.0, 3.0, 9.0]))
        slicer.app.processEvents()

    def plane_now(self, detected, models):
        return standard_plane(load_card(models / "tiny").planes[0], landmarks_from_node(detected))

    def test_the_plane_lies_along_the_views_and_the_volume_goes_with_it(self, panel, head, detected, models):
        self.turn(detected)
        before = self.plane_now(detected, models)
        panel.ui.alignButton.click()
        after = self.plane_now(detected, models)
        np.testing.assert_allclose(np.sort(np.abs(after.normal)), [0.0, 0.0, 1.0], atol=1e-6)
        np.testing.assert_allclose(np.sort(np.abs(after.x_axis)), [0.0, 0.0, 1.0], atol=1e-6)
        np.testing.assert_allclose(after.origin_ras, before.origin_ras, atol=1e-6)
        assert head.GetParentTransformNode() is detected.GetParentTransformNode()
        assert head.GetParentTransformNode().GetName() == "head aligned to axial"
        assert panel.ui.landmarksTable.item(1, 6).text() == "predicted"

    def test_it_can_be_undone(self, panel, head, detected):
        self.turn(detected)
        before = landmarks_from_node(detected)
        assert not panel.ui.undoAlignmentButton.visible
        panel.ui.alignButton.click()
        assert panel.ui.undoAlignmentButton.visible
        panel.ui.undoAlignmentButton.click()
        assert head.GetParentTransformNode() is None
        assert landmarks_from_node(detected) == before
        assert transforms() == []
        assert not panel.ui.undoAlignmentButton.visible

    def test_transforms_that_were_there_stay(self, panel, head, detected, models, scene):
        shift = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
        for node in (head, detected):
            node.SetAndObserveTransformNodeID(shift.GetID())
        self.turn(detected)
        panel.ui.alignButton.click()
        assert head.GetParentTransformNode() is shift
        assert shift.GetParentTransformNode().GetName() == "head aligned to axial"
        normal = self.plane_now(detected, models).normal
        np.testing.assert_allclose(np.sort(np.abs(normal)), [0.0, 0.0, 1.0], atol=1e-6)
        panel.ui.undoAlignmentButton.click()
        assert shift.GetParentTransformNode() is None

    def test_a_second_alignment_replaces_the_first(self, panel, detected, models):
        panel.ui.alignButton.click()
        self.turn(detected)
        panel.ui.alignButton.click()
        assert len(transforms()) == 1
        normal = self.plane_now(detected, models).normal
        np.testing.assert_allclose(np.sort(np.abs(normal)), [0.0, 0.0, 1.0], atol=1e-6)

    def test_a_new_detection_of_the_aligned_volume_lies_in_it_and_goes_back_with_it(
        self, testbed, panel, head, detected
    ):
        self.turn(detected)
        panel.ui.alignButton.click()
        to_aligned = slicer.util.arrayFromTransformMatrix(head.GetParentTransformNode())
        detect(testbed, panel)
        newest = panel.ui.landmarksSelector.currentNode()
        assert newest is not detected
        assert [found.state.value for found in reviewed_landmarks_of(newest)] == ["predicted"] * 4
        aligned = landmarks_from_node(newest)
        panel.ui.undoAlignmentButton.click()
        assert head.GetParentTransformNode() is None
        back = landmarks_from_node(newest).transformed(to_aligned)
        np.testing.assert_allclose(back.to_array(), aligned.to_array(), atol=1e-6)

    @pytest.mark.usefixtures("detected")
    def test_without_the_volume_nothing_is_aligned(self, testbed, panel, head, scene):
        scene.RemoveNode(head)
        panel.ui.alignButton.click()
        assert "no longer in the scene" in testbed.messages[0]
        testbed.uncaught.clear()


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
    slicer.app.processEvents()
    sentence = 'Plane "axial" needs the missing landmark "RE"; place it first.'
    assert panel.ui.planeProblemLabel.text == sentence
    assert all(not button.enabled and button.toolTip == sentence for button in buttons(panel))
    detected.RestoreNthControlPointPosition(2)
    slicer.app.processEvents()
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


def test_without_a_slice_view_it_says_so(testbed, panel, plane):
    panel.ui.sliceViewSelector.setCurrentNode(None)
    panel.ui.showPlaneButton.click()
    assert "There is no slice view: choose one first." in testbed.messages[-1]
    testbed.uncaught.clear()
