"""The model's measurements follow the landmarks, and say how sure they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer

from LandmarkDetectionLib.landmarks import Doubt
from LandmarkDetectionLib.mrml import detection_of, landmarks_from_node, set_detection, volume_node_of


@pytest.fixture
def measured(panel, head, module):
    """Landmarks of a model that defines two measurements, shown in the panel."""
    landmarks = module.LandmarkDetectionLogic().detect(head, "tiny-restricted", device="cpu")
    panel.ui.landmarksSelector.setCurrentNode(landmarks)
    return landmarks


def cell(panel, row, column):
    slicer.app.processEvents()
    return panel.ui.measurementsTable.item(row, column)


def test_before_a_detection_it_says_so(panel):
    assert panel.ui.measurementsLabel.text == "Detect landmarks first."


def test_a_model_without_measurements_says_so(panel, detected):
    assert panel.ui.measurementsLabel.text == "The model of these landmarks defines no measurement."
    assert not panel.ui.measurementsTable.visible


def test_where_the_model_was_never_calibrated_it_says_so_below_the_table(panel, uncalibrated):
    assert panel.ui.measurementsTable.visible
    assert panel.ui.measurementsLabel.visible
    assert "not calibrated" in panel.ui.measurementsLabel.text


def test_where_it_was_nothing_is_below_the_table(panel, measured):
    assert panel.ui.measurementsTable.visible
    assert not panel.ui.measurementsLabel.visible


def test_each_has_a_name_a_value_and_its_uncertainty(panel, measured):
    assert panel.ui.measurementsTable.rowCount == 2
    assert cell(panel, 0, 0).text() == "AC-PC"
    assert cell(panel, 0, 0).toolTip() == "Distance of the commissures"
    found = landmarks_from_node(measured)
    distance_mm = np.linalg.norm(found["AC"] - found["PC"])
    assert cell(panel, 0, 1).text().startswith(f"{distance_mm:.1f} ± ")
    assert cell(panel, 0, 1).text().endswith(" mm")
    assert cell(panel, 1, 1).text().endswith("°")


def test_a_correction_changes_them_at_once_and_takes_the_uncertainty_away(panel, measured):
    position = np.array(measured.GetNthControlPointPositionWorld(1))
    measured.SetNthControlPointPositionWorld(0, position + np.array([0.0, 30.0, 0.0]))
    assert cell(panel, 0, 1).text() == "30.0 mm"
    assert cell(panel, 0, 1).toolTip() == "Without ±, because AC was placed by a person."


def test_one_of_a_doubtful_landmark_says_what_to_review_first(panel, measured):
    detection = detection_of(measured)
    doubtful = replace(detection.landmarks[1], doubts=(Doubt.UNSURE,))
    marks = (detection.landmarks[0], doubtful, *detection.landmarks[2:])
    set_detection(measured, replace(detection, landmarks=marks), volume_node_of(measured), {})
    assert cell(panel, 0, 1).text().endswith(" mm · review first")
    assert cell(panel, 0, 1).toolTip() == "Look at PC first."
    panel.ui.landmarksTable.setCurrentCell(1, 0)
    panel.ui.acceptButton.click()
    assert cell(panel, 0, 1).text().endswith(" mm")


def test_a_missing_landmark_leaves_a_dash_and_a_reason(panel, measured):
    measured.SetNthControlPointPositionMissing(2)
    assert cell(panel, 0, 1).text() != "-"
    assert cell(panel, 1, 1).text() == "-"
    assert 'needs the missing landmark "RE"' in cell(panel, 1, 1).toolTip()


def test_a_transform_that_stretches_the_landmarks_stretches_value_and_uncertainty(panel, measured, scene):
    before = [float(part) for part in cell(panel, 0, 1).text().removesuffix(" mm").split(" ± ")]
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, np.diag([10.0, 10.0, 10.0, 1.0]))
    measured.SetAndObserveTransformNodeID(transform.GetID())
    after = [float(part) for part in cell(panel, 0, 1).text().removesuffix(" mm").split(" ± ")]
    np.testing.assert_allclose(after, np.multiply(before, 10.0), atol=0.6)
