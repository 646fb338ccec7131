"""The table of landmarks shows what was found, follows the points, and centres the slice views."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import slicer

from LandmarkDetectionLib.mrml import detection_of, set_detection


def row(panel, index):
    slicer.app.processEvents()
    return [panel.ui.landmarksTable.item(index, column).text() for column in range(panel.ui.landmarksTable.columnCount)]


def test_a_row_names_the_landmark_and_says_where_it_is_and_how_sure_the_model_is(panel, detected):
    r, a, s = detected.GetNthControlPointPositionWorld(0)
    assert row(panel, 0) == ["AC", "1.00", "3.5", f"{r:.1f}", f"{a:.1f}", f"{s:.1f}", "predicted"]
    assert panel.ui.landmarksTable.item(0, 0).toolTip() == "AC\nAC of a test"


def test_an_uncalibrated_landmark_shows_its_spread_and_says_so(panel, detected):
    assert row(panel, 1)[2] == f"{detection_of(detected)['PC'].spread_mm:.1f}"
    assert "not calibrated" in panel.ui.landmarksTable.item(1, 2).toolTip()
    assert "90 % probability" in panel.ui.landmarksTable.item(0, 2).toolTip()


def test_a_model_that_was_never_calibrated_says_so_below_the_table(panel, uncalibrated):
    assert panel.ui.calibrationLabel.visible
    assert panel.ui.calibrationLabel.text == (
        "± is the model's own guess: it is not calibrated, and may err by much more."
    )


def test_before_a_detection_nothing_is_said_of_it(panel):
    assert not panel.ui.calibrationLabel.visible


def test_a_calibrated_model_leaves_that_out(panel, detected):
    assert not panel.ui.calibrationLabel.visible


def test_landmarks_of_a_person_are_not_said_to_be_uncalibrated(panel, uncalibrated):
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "by hand")
    panel.ui.landmarksSelector.setCurrentNode(by_hand)
    assert not panel.ui.calibrationLabel.visible


def test_a_moved_point_is_corrected_in_the_table_too(panel, detected):
    detected.SetNthControlPointPositionWorld(2, (1.0, 2.0, 3.0))
    assert row(panel, 2)[3:] == ["1.0", "2.0", "3.0", "corrected"]
    assert row(panel, 2)[2] == "", "the model's uncertainty does not hold for it any more"
    assert row(panel, 1)[-1] == "predicted"


def test_a_point_marked_missing_has_no_position(panel, detected):
    detected.SetNthControlPointPositionMissing(3)
    assert row(panel, 3)[3:] == ["", "", "", "missing"]


def test_a_presence_that_a_person_has_overruled_is_not_shown_beside_the_person_s_word(panel, detected):
    detected.SetNthControlPointPositionMissing(3)
    assert row(panel, 3)[1] == ""
    assert panel.ui.landmarksTable.item(3, 1).toolTip() == (
        "The model gave it a presence of 1.00; a person has decided since."
    )
    panel.ui.landmarksTable.setCurrentCell(3, 0)
    panel.ui.resetButton.click()
    assert row(panel, 3)[1] == "1.00"
    assert panel.ui.landmarksTable.item(3, 1).toolTip() == ""


def test_the_presence_that_made_the_model_call_it_missing_stays_even_if_a_person_agrees(panel, head, module):
    found = module.LandmarkDetectionLogic().detect(head, "tiny", device="cpu")
    absent = dataclasses.replace(detection_of(found).landmarks[2], presence=0.04, missing=True)
    detection = detection_of(found)
    landmarks = (*detection.landmarks[:2], absent, *detection.landmarks[3:])
    set_detection(found, dataclasses.replace(detection, landmarks=landmarks), head, {})
    panel.ui.landmarksSelector.setCurrentNode(found)
    assert row(panel, 2) == ["RE", "0.04", "", "", "", "", "missing"]
    panel.ui.landmarksTable.setCurrentCell(2, 0)
    panel.ui.acceptButton.click()
    assert row(panel, 2)[1] == "0.04"


def test_an_unset_point_of_the_model_is_missing_too(panel, detected):
    detected.UnsetNthControlPointPosition(3)
    assert row(panel, 3)[3:] == ["", "", "", "missing"]


def test_a_renamed_point_is_no_longer_the_model_s(panel, detected):
    detected.SetNthControlPointLabel(0, "my point")
    assert row(panel, 0)[:3] == ["my point", "", ""]
    assert row(panel, 0)[-1] == "placed"


@pytest.mark.parametrize("chosen_by", ["mouse", "keyboard"])
def test_choosing_a_row_centres_the_slice_views(panel, detected, chosen_by):
    if chosen_by == "mouse":
        panel.ui.landmarksTable.cellClicked.emit(2, 0)
    else:
        panel.ui.landmarksTable.setCurrentCell(2, 0)
    position = np.append(detected.GetNthControlPointPositionWorld(2), 1.0)
    for name in ("Red", "Green", "Yellow"):
        view = slicer.util.getFirstNodeByName(name, "vtkMRMLSliceNode")
        in_view = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())) @ position
        np.testing.assert_allclose(in_view[:3], 0.0, atol=1e-6)


def test_choosing_a_missing_point_moves_nothing(panel, detected):
    red = slicer.util.getFirstNodeByName("Red", "vtkMRMLSliceNode")
    detected.SetNthControlPointPositionMissing(2)
    before = red.GetSliceOffset()
    panel.ui.landmarksTable.setCurrentCell(2, 0)
    assert red.GetSliceOffset() == before


def test_a_list_that_a_person_made_can_be_shown(panel, detected):
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "by hand")
    by_hand.AddControlPoint(np.array([1.0, 2.0, 3.0]), "nasion")
    by_hand.UnsetNthControlPointPosition(by_hand.AddControlPoint(np.array([1.0, 2.0, 3.0]), "sella"))
    panel.ui.landmarksSelector.setCurrentNode(by_hand)
    assert panel.ui.landmarksTable.rowCount == 2
    assert row(panel, 0) == ["nasion", "", "", "1.0", "2.0", "3.0", "placed"]
    assert row(panel, 1) == ["sella", "", "", "", "", "", "not placed"]


def test_names_that_cover_the_anatomy_can_be_taken_away(testbed, panel, detected, red_view, head):
    red_view.show_volume(head)
    panel.ui.landmarksTable.cellClicked.emit(0, 0)
    testbed.application.processEvents()
    with_names = red_view.grab().toImage()
    assert panel.ui.namesCheckBox.checked
    panel.ui.namesCheckBox.click()
    testbed.application.processEvents()
    assert not detected.GetDisplayNode().GetPointLabelsVisibility()
    assert red_view.grab().toImage() != with_names


def test_the_box_of_the_names_follows_the_module_markups_and_the_list(panel, detected):
    detected.GetDisplayNode().SetPointLabelsVisibility(False)
    assert not panel.ui.namesCheckBox.checked
    panel.ui.landmarksSelector.setCurrentNode(None)
    assert not panel.ui.namesCheckBox.enabled
    assert panel.ui.namesCheckBox.toolTip == "Detect landmarks first."
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "by hand")
    panel.ui.landmarksSelector.setCurrentNode(by_hand)
    assert panel.ui.namesCheckBox.checked


def test_a_deleted_list_leaves_an_empty_table(panel, detected, scene):
    scene.RemoveNode(detected)
    assert panel.ui.landmarksTable.rowCount == 0


def test_closing_the_scene_empties_the_table(panel, detected, scene):
    scene.Clear(False)
    assert panel.ui.landmarksTable.rowCount == 0
