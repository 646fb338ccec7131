"""A transform of the landmarks, and hardening it, corrects nothing: nobody has looked where they lie in the image."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from LandmarkDetectionLib.mrml import detection_of, landmarks_from_node, review_of


def states(panel):
    slicer.app.processEvents()
    table = panel.ui.landmarksTable
    return [table.item(row, table.columnCount - 1).text() for row in range(table.rowCount)]


@pytest.fixture
def turned(scene):
    """A transform that turns by a quarter about S and shifts."""
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turned")
    matrix = np.array([[0.0, -1.0, 0.0, 10.0], [1.0, 0.0, 0.0, 20.0], [0.0, 0.0, 1.0, 30.0], [0.0, 0.0, 0.0, 1.0]])
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    return transform


@pytest.fixture
def bent(scene):
    """A transform that is not linear."""
    rng = np.random.default_rng(0)
    source = np.array([[r, a, s] for r in (-40, 100) for a in (-40, 100) for s in (-40, 100)], dtype=float)
    points = [vtk.vtkPoints(), vtk.vtkPoints()]
    for places, target in zip((source, source + rng.uniform(-8, 8, source.shape)), points, strict=True):
        for place in places:
            target.InsertNextPoint(place)
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(points[0])
    spline.SetTargetLandmarks(points[1])
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
    transform.SetAndObserveTransformToParent(spline)
    return transform


@pytest.mark.parametrize("kind", ["turned", "bent"])
def test_hardening_corrects_nothing_and_keeps_what_was_corrected(panel, detected, kind, request):
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    panel.ui.landmarksTable.setCurrentCell(1, 0)
    panel.ui.acceptButton.click()
    panel.ui.landmarksTable.setCurrentCell(2, 0)
    panel.ui.missingButton.click()
    expected = ["corrected", "accepted", "missing", "predicted"]
    assert states(panel) == expected
    detected.SetAndObserveTransformNodeID(request.getfixturevalue(kind).GetID())
    assert states(panel) == expected
    world = landmarks_from_node(detected)
    actions = [change.action for change in review_of(detected).changes]
    detected.HardenTransform()
    assert states(panel) == expected
    assert [change.action for change in review_of(detected).changes] == actions
    np.testing.assert_allclose(review_of(detected).changes[0].to_ras, world["AC"], atol=1e-3)


def test_what_was_hardened_is_reset_to_where_the_prediction_is_now(panel, detected, turned):
    detected.SetAndObserveTransformNodeID(turned.GetID())
    states(panel)
    world = np.array(detected.GetNthControlPointPositionWorld(0))
    detected.HardenTransform()
    states(panel)
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    assert states(panel)[0] == "corrected"
    panel.ui.landmarksTable.setCurrentCell(0, 0)
    panel.ui.resetButton.click()
    np.testing.assert_allclose(detected.GetNthControlPointPositionWorld(0), world, atol=1e-6)


def test_the_covariance_turns_with_a_hardened_transform(panel, detected, turned):
    before = detection_of(detected)["RE"].covariance_ras
    detected.SetAndObserveTransformNodeID(turned.GetID())
    states(panel)
    detected.HardenTransform()
    states(panel)
    rotation = slicer.util.arrayFromTransformMatrix(turned)[:3, :3]
    np.testing.assert_allclose(detection_of(detected)["RE"].covariance_ras, rotation @ before @ rotation.T, atol=1e-6)


def test_it_is_recognised_while_another_module_is_open_and_after_the_transform_is_gone(panel, detected, turned, scene):
    detected.SetAndObserveTransformNodeID(turned.GetID())
    states(panel)
    panel.exit()
    detected.HardenTransform()
    scene.RemoveNode(turned)
    states(panel)
    panel.enter()
    assert states(panel) == ["predicted"] * 4


def test_all_points_moved_together_by_hand_are_corrected(panel, detected):
    """As when the whole list is dragged: the image stayed where it is."""
    for index in range(4):
        position = np.array(detected.GetNthControlPointPositionWorld(index))
        detected.SetNthControlPointPositionWorld(index, position + np.array([5.0, 0.0, 0.0]))
    assert states(panel) == ["corrected"] * 4


def test_a_point_moved_in_the_same_moment_as_the_hardening_shows(panel, detected, turned):
    detected.SetAndObserveTransformNodeID(turned.GetID())
    states(panel)
    detected.HardenTransform()
    detected.SetNthControlPointPositionWorld(3, (1.0, 2.0, 3.0))
    assert states(panel)[3] == "corrected"
