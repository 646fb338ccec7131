"""A person corrects, accepts and takes away landmarks, with the mouse and from the keyboard; who did what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from LandmarkDetectionLib.mrml import detection_of, review_of
from LandmarkDetectionLib.review import Action, review_order


def states(panel):
    slicer.app.processEvents()
    table = panel.ui.landmarksTable
    return [table.item(row, table.columnCount - 1).text() for row in range(table.rowCount)]


def interaction():
    return slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")


def select(panel, row):
    panel.ui.landmarksTable.setCurrentCell(row, 0)


def predicted_position(node, index):
    return detection_of(node).landmarks[index].position_ras


@pytest.fixture
def drag(testbed, red_view, head):
    """Drags a landmark in the red slice view by some pixels, with the mouse."""

    def drag_point(node, index, right, down):
        red_view.show_volume(head)
        slicer.modules.markups.logic().JumpSlicesToNthPointInMarkup(node.GetID(), index, True)
        testbed.application.processEvents()
        start = red_view.place_of(node.GetNthControlPointPositionWorld(index))
        red_view.drag(start, start + QPoint(right, down))
        testbed.application.processEvents()

    return drag_point


def test_a_point_dragged_in_a_slice_view_is_corrected_and_the_table_follows(panel, detected, drag, red_view):
    before = np.array(detected.GetNthControlPointPositionWorld(0))
    drag(detected, 0, 20, 30)
    after = np.array(detected.GetNthControlPointPositionWorld(0))
    mm_per_pixel = red_view.node.GetFieldOfView()[0] / red_view.node.GetDimensions()[0]
    np.testing.assert_allclose(after - before, (-20 * mm_per_pixel, -30 * mm_per_pixel, 0.0), atol=mm_per_pixel)
    assert states(panel) == ["corrected", "predicted", "predicted", "predicted"]
    shown = [float(panel.ui.landmarksTable.item(0, column).text()) for column in (3, 4, 5)]
    np.testing.assert_allclose(shown, after, atol=0.06)


def test_one_drag_is_one_change_with_its_beginning_and_its_end(panel, detected, drag):
    before = detected.GetNthControlPointPositionWorld(1)
    drag(detected, 1, -25, 10)
    (change,) = review_of(detected).changes
    assert (change.label, change.action) == ("PC", Action.MOVED)
    np.testing.assert_allclose(change.from_ras, before, atol=1e-6)
    np.testing.assert_allclose(change.to_ras, detected.GetNthControlPointPositionWorld(1), atol=1e-6)
    assert change.by
    assert change.at.endswith("+00:00")


def test_a_correction_is_undone_by_reset(panel, detected, drag):
    drag(detected, 2, 20, 0)
    select(panel, 2)
    panel.ui.resetButton.click()
    assert states(panel)[2] == "predicted"
    np.testing.assert_allclose(detected.GetNthControlPointPositionWorld(2), predicted_position(detected, 2), atol=1e-9)
    assert [change.action for change in review_of(detected).changes] == [Action.MOVED, Action.RESET]


def test_before_a_detection_they_say_so(panel, scene):
    for button in (panel.ui.acceptButton, panel.ui.resetButton, panel.ui.missingButton, panel.ui.nextButton):
        assert not button.enabled
        assert button.toolTip == "Detect landmarks first."


def test_without_a_selected_row_they_ask_for_one(panel, detected):
    assert panel.ui.acceptButton.toolTip == "Select a landmark in the table first."
    assert panel.ui.nextButton.enabled


def test_accept(panel, detected):
    select(panel, 1)
    panel.ui.acceptButton.click()
    assert states(panel)[1] == "accepted"
    assert panel.ui.reviewLabel.text == "1 of 4 reviewed"
    assert panel.ui.acceptButton.toolTip == "It is accepted already."
    assert panel.ui.resetButton.enabled, "an acceptance can be taken back"
    panel.ui.resetButton.click()
    assert states(panel)[1] == "predicted"


def test_mark_missing_and_reset(panel, detected):
    select(panel, 3)
    panel.ui.missingButton.click()
    assert states(panel)[3] == "missing"
    assert detected.GetNthControlPointPositionStatus(3) == detected.PositionMissing
    panel.ui.resetButton.click()
    assert states(panel)[3] == "predicted"


def test_a_missing_landmark_is_placed_with_a_click_in_a_view(testbed, panel, detected, red_view, head):
    red_view.show_volume(head)
    detected.SetNthControlPointPositionMissing(2)
    select(panel, 2)
    assert states(panel)[2] == "missing"
    assert panel.ui.missingButton.text == "Place"
    assert panel.ui.missingButton.toolTip == "Click in a view where it is (M)."
    panel.ui.missingButton.click()
    testbed.application.processEvents()
    predicted = red_view.place_of(predicted_position(detected, 2))
    assert abs(predicted.x() - red_view.width / 2) <= 1, "the views are where the model takes it to be"
    red_view.click(predicted + QPoint(-20, 15))
    assert states(panel) == ["predicted", "predicted", "corrected", "predicted"]
    placed = red_view.place_of(detected.GetNthControlPointPositionWorld(2))
    assert (placed - predicted - QPoint(-20, 15)).manhattanLength() <= 1
    assert panel.ui.missingButton.text == "Mark missing"
    assert panel.ui.reviewLabel.text == "1 of 4 reviewed"
    assert [change.action for change in review_of(detected).changes] == [Action.MARKED_MISSING, Action.MOVED]
    red_view.click(predicted)
    assert detected.GetNumberOfControlPoints() == 4, "one click places one landmark"


def test_while_a_click_is_waited_for_the_panel_says_so_and_one_can_give_up(panel, detected, red_view, head):
    red_view.show_volume(head)
    detected.SetNthControlPointPositionMissing(2)
    select(panel, 2)
    assert states(panel)[2] == "missing"
    for give_up in (panel.ui.missingButton.click, interaction().SwitchToViewTransformMode):
        panel.ui.missingButton.click()
        assert panel.ui.missingButton.text == "Do not place"
        assert panel.ui.reviewLabel.text == f"Click in a view to place {panel.shown.landmarks[2].label}."
        give_up()
        assert states(panel)[2] == "missing"
        assert detected.GetNthControlPointPositionStatus(2) == detected.PositionMissing
        assert interaction().GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.ViewTransform
        assert panel.ui.missingButton.text == "Place"
        assert panel.ui.reviewLabel.text == "1 of 4 reviewed"


def test_another_row_ends_the_placing_and_its_key_is_for_that_row_again(panel, detected, red_view, head):
    red_view.show_volume(head)
    for row in (0, 2):
        detected.SetNthControlPointPositionMissing(row)
    select(panel, 2)
    panel.ui.missingButton.click()
    select(panel, 0)
    assert interaction().GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.ViewTransform
    assert panel.ui.reviewLabel.text == "2 of 4 reviewed"
    assert panel.ui.missingButton.text == "Place"
    panel.ui.missingButton.click()
    assert panel.ui.missingButton.text == "Do not place"
    assert detected.GetNthControlPointPositionStatus(2) == detected.PositionMissing


def test_while_a_click_is_waited_for_the_panel_can_be_as_narrow_as_before(testbed, panel, detected, red_view, head):
    testbed.application.processEvents()
    before = panel.ui.landmarksCollapsibleButton.minimumSizeHint().width()
    red_view.show_volume(head)
    detected.SetNthControlPointPositionMissing(2)
    select(panel, 2)
    panel.ui.missingButton.click()
    testbed.application.processEvents()
    assert panel.ui.landmarksCollapsibleButton.minimumSizeHint().width() <= before


@pytest.mark.parametrize("leave", ["reset", "another list", "no list"])
def test_no_click_is_waited_for_once_it_has_become_pointless(panel, detected, red_view, head, leave):
    red_view.show_volume(head)
    detected.SetNthControlPointPositionMissing(2)
    select(panel, 2)
    assert states(panel)[2] == "missing"
    panel.ui.missingButton.click()
    assert interaction().GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.Place
    if leave == "reset":
        panel.ui.resetButton.click()
    elif leave == "another list":
        panel.ui.landmarksSelector.setCurrentNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode"))
    else:
        slicer.mrmlScene.RemoveNode(detected)
    slicer.app.processEvents()
    assert interaction().GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.ViewTransform
    before = [detected.GetNthControlPointPositionStatus(index) for index in range(4)]
    lists = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode")
    red_view.click(QPoint(40, 40))
    assert [detected.GetNthControlPointPositionStatus(index) for index in range(4)] == before
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == lists


def test_what_cannot_be_done_says_why(panel, detected):
    select(panel, 0)
    assert panel.ui.resetButton.toolTip == "It is as predicted."
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    slicer.app.processEvents()
    assert panel.ui.acceptButton.toolTip == "It was corrected, and so it counts as reviewed."


def test_next_leads_through_all_that_is_left_the_most_doubtful_first(panel, detected):
    order = review_order(panel.shown.landmarks)
    for label in order:
        panel.ui.nextButton.click()
        assert panel.ui.landmarksTable.item(panel.ui.landmarksTable.currentRow(), 0).text() == label
        panel.ui.acceptButton.click()
    assert not panel.ui.nextButton.enabled
    assert panel.ui.nextButton.toolTip == "All landmarks are reviewed."
    assert panel.ui.reviewLabel.text == "4 of 4 reviewed"


def test_a_point_no_model_predicted_has_nothing_to_review(panel, detected):
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "by hand")
    by_hand.AddControlPoint(np.array([1.0, 2.0, 3.0]), "nasion")
    panel.ui.landmarksSelector.setCurrentNode(by_hand)
    select(panel, 0)
    assert panel.ui.acceptButton.toolTip == "No model predicted this landmark."
    assert panel.ui.nextButton.toolTip == "Detect landmarks first."
    assert panel.ui.reviewLabel.text == ""


def test_a_whole_review_needs_no_mouse(testbed, panel, detected):
    table = panel.ui.landmarksTable
    panel.parent.activateWindow()
    table.setFocus()
    testbed.application.processEvents()
    QTest.keyClick(table, Qt.Key.Key_N)
    first = table.currentRow()
    assert first >= 0
    QTest.keyClick(table, Qt.Key.Key_A)
    assert states(panel)[first] == "accepted"
    QTest.keyClick(table, Qt.Key.Key_N)
    second = table.currentRow()
    assert second != first
    QTest.keyClick(table, Qt.Key.Key_M)
    assert states(panel)[second] == "missing"
    QTest.keyClick(table, Qt.Key.Key_R)
    assert states(panel)[second] == "predicted"


def test_every_button_can_be_reached_with_the_tabulator(panel):
    names = [name for name in vars(panel.ui) if name.endswith(("Button", "Selector", "Table", "CheckBox"))]
    unreachable = [
        name
        for name in names
        if not name.endswith("CollapsibleButton")
        and not getattr(panel.ui, name).focusPolicy & Qt.FocusPolicy.TabFocus
        and getattr(panel.ui, name).focusProxy() is None
    ]
    assert unreachable == []


def surface():
    return slicer.util.getFirstNodeByName("Landmark uncertainty", "vtkMRMLModelNode")


@pytest.fixture(autouse=True)
def _off_afterwards(panel):
    yield
    panel.ui.ellipsoidsCheckBox.setChecked(False)


def test_there_is_nothing_to_draw_before_a_detection(panel, scene):
    assert not panel.ui.ellipsoidsCheckBox.enabled


def test_they_are_shown_and_hidden(panel, detected):
    assert panel.ui.ellipsoidsCheckBox.enabled
    assert surface() is None
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    assert surface().GetPolyData().GetNumberOfPoints() > 4 * 100
    assert surface().GetDisplayNode().GetVisibility2D()
    panel.ui.ellipsoidsCheckBox.setChecked(False)
    assert surface() is None


def test_one_lies_around_every_landmark_with_the_size_of_its_90_percent(panel, detected):
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    points = slicer.util.arrayFromModelPoints(surface()).reshape(4, -1, 3)
    for found, mark in zip(points, detection_of(detected).landmarks, strict=True):
        offsets = found - mark.position_ras
        if np.linalg.eigvalsh(mark.covariance_ras)[0] > 0.1:
            squared = np.einsum("na,ab,nb->n", offsets, np.linalg.inv(mark.covariance_ras), offsets)
            np.testing.assert_allclose(squared, 6.251, rtol=1e-3)
        np.testing.assert_allclose(offsets.mean(axis=0), 0.0, atol=0.5)


def test_they_are_drawn_in_the_slice_views(testbed, panel, detected, red_view, head):
    red_view.show_volume(head)
    slicer.modules.markups.logic().JumpSlicesToNthPointInMarkup(detected.GetID(), 0, True)
    testbed.application.processEvents()
    without = red_view.grab().toImage()
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    testbed.application.processEvents()
    assert red_view.grab().toImage() != without


def test_a_corrected_landmark_has_none(panel, detected):
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    before = surface().GetPolyData().GetNumberOfPoints()
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    slicer.app.processEvents()
    assert surface().GetPolyData().GetNumberOfPoints() == before * 3 // 4


def test_they_follow_a_transform_and_are_not_saved(panel, detected, scene):
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    before = slicer.util.arrayFromModelPoints(surface()).copy()
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 10.0
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    detected.SetAndObserveTransformNodeID(transform.GetID())
    slicer.app.processEvents()
    moved = slicer.util.arrayFromModelPoints(surface()) - before
    np.testing.assert_allclose(moved, np.broadcast_to([10.0, 0.0, 0.0], moved.shape), atol=1e-4)
    assert not surface().GetSaveWithScene()
    assert states(panel) == ["predicted"] * 4
