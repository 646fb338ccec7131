"""Detections become fiducials in the world, carry their provenance, and lists of points become landmark sets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import slicer
import vtk

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.markups import read_markups
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection
from LandmarkDetectionLib.mrml import (
    add_landmarks,
    detection_in_world,
    detection_of,
    in_world,
    is_untouched_detection,
    landmarks_from_node,
    place_point,
    review_of,
    reviewed_landmarks_of,
    set_detection,
    set_review,
    volume_from_node,
    volume_node_of,
)
from LandmarkDetectionLib.review import LandmarkState, Review

pytestmark = pytest.mark.usefixtures("scene")

DESCRIPTIONS = {"AC": 'anterior commissure, "midline"', "PC": "posterior commissure"}
QUARTER_TURN_ABOUT_S = np.array(
    [[0.0, -1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)


def a_detection() -> Detection:
    landmarks = (
        DetectedLandmark(
            "AC", np.array([10.0, 2.0, 3.0]), np.diag([1.0, 4.0, 9.0]), 0.9, radius90_mm=2.5, disagreement_mm=5.0
        ),
        DetectedLandmark("PC", np.array([-1.0, -20.0, 4.0]), np.eye(3), 0.8, False, None),
        DetectedLandmark("LE", np.array([-30.0, 60.0, -40.0]), np.eye(3), 0.1, True, 3.0),
    )
    path_ras = np.stack([np.zeros((3, 3)), np.array([landmark.position_ras for landmark in landmarks])])
    return Detection(landmarks, "tiny", "1.0", "ab" * 32, "cpu", 0.5, seed=3, path_ras=path_ras, notes=("Look.",))


@pytest.fixture
def volume_node(scene):
    return slicer.util.addVolumeFromArray(np.ones((4, 5, 6), np.int16), name="head")


@pytest.fixture
def landmarks_node(volume_node):
    node = add_landmarks("head landmarks")
    set_detection(node, a_detection(), volume_node, DESCRIPTIONS)
    return node


def put_under_matrix(node, matrix):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


class TestFiducials:
    def test_points_have_the_detection_s_positions_labels_and_descriptions(self, landmarks_node):
        assert landmarks_node.GetNumberOfControlPoints() == 3
        assert [landmarks_node.GetNthControlPointLabel(i) for i in range(3)] == ["AC", "PC", "LE"]
        assert tuple(landmarks_node.GetNthControlPointPositionWorld(1)) == (-1.0, -20.0, 4.0)
        assert landmarks_node.GetNthControlPointDescription(0) == DESCRIPTIONS["AC"]
        assert landmarks_node.GetNthControlPointDescription(2) == ""
        assert landmarks_node.GetDisplayNode().GetVisibility()

    def test_a_missing_landmark_is_a_point_with_the_status_missing(self, landmarks_node):
        statuses = [landmarks_node.GetNthControlPointPositionStatus(i) for i in range(3)]
        defined, missing = landmarks_node.PositionDefined, landmarks_node.PositionMissing
        assert statuses == [defined, defined, missing]

    def test_positions_are_world_positions_even_when_the_list_is_under_a_transform(self, volume_node):
        node = add_landmarks("moved list")
        put_under_matrix(node, QUARTER_TURN_ABOUT_S)
        set_detection(node, a_detection(), volume_node, {})
        np.testing.assert_allclose(node.GetNthControlPointPositionWorld(0), [10.0, 2.0, 3.0])
        np.testing.assert_allclose(node.GetNthControlPointPosition(0), [2.0, -5.0, 3.0], atol=1e-12)
        np.testing.assert_allclose(landmarks_from_node(node)["AC"], [10.0, 2.0, 3.0])

    def test_a_second_detection_replaces_the_first(self, landmarks_node, volume_node):
        fewer = dataclasses.replace(a_detection(), landmarks=a_detection().landmarks[1:2], path_ras=None)
        set_detection(landmarks_node, fewer, volume_node, {})
        assert list(landmarks_from_node(landmarks_node)) == ["PC"]

    def test_points_cannot_be_added_by_accident(self, landmarks_node):
        assert landmarks_node.GetFixedNumberOfControlPoints()

    def test_the_detection_and_its_volume_stay_with_the_list(self, landmarks_node, volume_node):
        kept = detection_of(landmarks_node)
        assert kept.model_name == "tiny"
        assert kept.weights_sha256 == "ab" * 32
        assert kept.notes == ("Look.",)
        np.testing.assert_allclose(kept["LE"].position_ras, [-30.0, 60.0, -40.0])
        np.testing.assert_allclose(kept["AC"].covariance_ras, np.diag([1.0, 4.0, 9.0]))
        np.testing.assert_allclose(kept.path_ras, a_detection().path_ras)
        assert volume_node_of(landmarks_node) is volume_node

    def test_a_list_that_a_person_made_has_no_detection(self):
        node = add_landmarks("by hand")
        assert detection_of(node) is None
        assert volume_node_of(node) is None

    def test_everything_survives_saving_and_loading_the_scene(self, scene, landmarks_node, tmp_path):
        scene.SetRootDirectory(str(tmp_path))
        for node, name in ((landmarks_node, "points.mrk.json"), (volume_node_of(landmarks_node), "head.nrrd")):
            node.AddDefaultStorageNode()
            node.GetStorageNode().SetFileName(str(tmp_path / name))
            assert node.GetStorageNode().WriteData(node)
        scene.SetURL(str(tmp_path / "scene.mrml"))
        assert scene.Commit()
        scene.Clear(True)

        scene.SetURL(str(tmp_path / "scene.mrml"))
        assert scene.Connect()

        node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
        assert landmarks_from_node(node).present == ("AC", "PC")
        assert detection_of(node)["LE"].missing
        np.testing.assert_allclose(detection_of(node).path_ras, a_detection().path_ras)
        assert volume_node_of(node).GetName() == "head"

    def test_the_markups_file_slicer_writes_is_the_one_this_package_reads(self, landmarks_node, tmp_path):
        file = tmp_path / "points.mrk.json"
        storage = slicer.vtkMRMLMarkupsJsonStorageNode()
        storage.SetFileName(str(file))
        assert storage.WriteData(landmarks_node)
        landmarks = read_markups(file)
        assert landmarks == landmarks_from_node(landmarks_node)
        assert landmarks["LE"] is None


class TestLandmarksFromNode:
    def test_only_placed_points_have_positions(self):
        node = add_landmarks("list")
        for label in ("placed", "unset", "missing"):
            node.AddControlPointWorld(vtk.vtkVector3d(1.0, 2.0, 3.0), label)
        node.UnsetNthControlPointPosition(1)
        node.SetNthControlPointPositionMissing(2)
        landmarks = landmarks_from_node(node)
        assert tuple(landmarks) == ("placed", "unset", "missing")
        assert landmarks.present == ("placed",)

    def test_a_repeated_label_is_refused_with_a_sentence(self):
        node = add_landmarks("list")
        node.AddControlPointWorld(vtk.vtkVector3d(1.0, 2.0, 3.0), "AC")
        node.AddControlPointWorld(vtk.vtkVector3d(4.0, 5.0, 6.0), "AC")
        with pytest.raises(LandmarkDetectionError, match=r'list: two points are named "AC"; give every landmark'):
            landmarks_from_node(node)


class TestDetectionInWorld:
    def test_without_a_transform_nothing_changes(self, volume_node):
        moved = detection_in_world(a_detection(), volume_from_node(volume_node), volume_node)
        for before, after in zip(a_detection().landmarks, moved.landmarks, strict=True):
            np.testing.assert_allclose(after.position_ras, before.position_ras, atol=1e-9)
            np.testing.assert_allclose(after.covariance_ras, before.covariance_ras, atol=1e-9)
            assert after.radius90_mm == pytest.approx(before.radius90_mm)

    def test_a_linear_transform_is_in_the_volume_already(self, volume_node):
        put_under_matrix(volume_node, QUARTER_TURN_ABOUT_S)
        moved = detection_in_world(a_detection(), volume_from_node(volume_node), volume_node)
        np.testing.assert_allclose(moved["AC"].position_ras, [10.0, 2.0, 3.0], atol=1e-9)

    def test_landmarks_follow_a_transform_that_changed_meanwhile(self, volume_node):
        volume = volume_from_node(volume_node)
        put_under_matrix(volume_node, QUARTER_TURN_ABOUT_S)
        moved = detection_in_world(a_detection(), volume, volume_node)
        np.testing.assert_allclose(moved["AC"].position_ras, [-2.0 + 5.0, 10.0, 3.0], atol=1e-9)
        np.testing.assert_allclose(moved["AC"].covariance_ras, np.diag([4.0, 1.0, 9.0]), atol=1e-9)
        np.testing.assert_allclose(moved.path_ras[1, 1], [20.0 + 5.0, -1.0, 4.0], atol=1e-9)

    def test_landmarks_stay_when_the_transform_is_hardened_meanwhile(self, volume_node):
        put_under_matrix(volume_node, QUARTER_TURN_ABOUT_S)
        volume = volume_from_node(volume_node)
        volume_node.HardenTransform()
        moved = detection_in_world(a_detection(), volume, volume_node)
        np.testing.assert_allclose(moved["AC"].position_ras, [10.0, 2.0, 3.0], atol=1e-9)

    def test_a_non_linear_transform_carries_positions_and_uncertainty(self, volume_node, warp_node):
        volume_node.SetAndObserveTransformNodeID(warp_node.GetID())
        moved = detection_in_world(a_detection(), volume_from_node(volume_node), volume_node)
        # r -> r + r^2 / 100 moves 10 to 11, and stretches by 1 + 2 r / 100 = 1.2 there.
        np.testing.assert_allclose(moved["AC"].position_ras, [11.0, 2.0, 3.0], atol=1e-3)
        np.testing.assert_allclose(moved["AC"].covariance_ras, np.diag([1.44, 4.0, 9.0]), atol=2e-3)
        assert moved["AC"].radius90_mm == pytest.approx(2.5 * 1.2, abs=1e-3)
        assert moved["AC"].disagreement_mm == pytest.approx(5.0 * 1.2, abs=1e-3)
        assert moved["PC"].radius90_mm is None
        np.testing.assert_allclose(moved.path_ras[1, 0], [11.0, 2.0, 3.0], atol=1e-3)


class TestReview:
    def states(self, node):
        return [landmark.state for landmark in reviewed_landmarks_of(node)]

    def test_a_fresh_detection_is_predicted_or_missing(self, landmarks_node, volume_node):
        expected = [LandmarkState.PREDICTED, LandmarkState.PREDICTED, LandmarkState.MISSING]
        assert self.states(landmarks_node) == expected
        assert is_untouched_detection(landmarks_node, volume_node, "tiny")

    def test_a_moved_point_is_corrected(self, landmarks_node, volume_node):
        landmarks_node.SetNthControlPointPositionWorld(1, (0.0, -20.0, 4.0))
        assert self.states(landmarks_node)[1] == LandmarkState.CORRECTED
        assert not is_untouched_detection(landmarks_node, volume_node, "tiny")

    def test_a_list_moved_as_a_whole_by_a_transform_is_not_corrected(self, landmarks_node, volume_node):
        put_under_matrix(landmarks_node, QUARTER_TURN_ABOUT_S)
        assert is_untouched_detection(landmarks_node, volume_node, "tiny")
        moved = in_world(detection_of(landmarks_node), landmarks_node)
        np.testing.assert_allclose(moved["AC"].position_ras, landmarks_from_node(landmarks_node)["AC"], atol=1e-9)

    def test_a_list_filled_under_a_transform_is_not_corrected(self, volume_node):
        node = add_landmarks("moved list")
        put_under_matrix(node, QUARTER_TURN_ABOUT_S)
        set_detection(node, a_detection(), volume_node, {})
        assert is_untouched_detection(node, volume_node, "tiny")
        np.testing.assert_allclose(in_world(detection_of(node), node)["AC"].position_ras, [10.0, 2.0, 3.0], atol=1e-9)

    def test_placing_a_missing_point_corrects_it_even_where_the_model_would_have(self, landmarks_node):
        landmarks_node.RestoreNthControlPointPosition(2)
        assert self.states(landmarks_node)[2] == LandmarkState.CORRECTED

    def test_an_unset_point_of_a_model_is_missing(self, landmarks_node):
        landmarks_node.UnsetNthControlPointPosition(0)
        assert self.states(landmarks_node)[0] == LandmarkState.MISSING

    def test_a_point_no_model_predicted_is_placed_or_not(self):
        node = add_landmarks("by hand")
        for label in ("placed", "unset"):
            node.AddControlPointWorld(vtk.vtkVector3d(1.0, 2.0, 3.0), label)
        node.UnsetNthControlPointPosition(1)
        assert self.states(node) == [LandmarkState.PLACED, LandmarkState.UNPLACED]

    def test_a_point_can_be_put_back_and_taken_away(self, landmarks_node):
        place_point(landmarks_node, 2, np.array([1.0, 2.0, 3.0]))
        place_point(landmarks_node, 0, None)
        assert self.states(landmarks_node)[::2] == [LandmarkState.MISSING, LandmarkState.CORRECTED]
        np.testing.assert_allclose(landmarks_from_node(landmarks_node)["LE"], [1.0, 2.0, 3.0])

    def test_who_changed_what_stays_with_the_list_until_the_next_detection(self, landmarks_node, volume_node):
        review = Review().accepted(a_detection(), "AC", "Ada", "2026-01-01T12:00:00+00:00")
        set_review(landmarks_node, review)
        assert review_of(landmarks_node).last_change("AC").by == "Ada"
        assert self.states(landmarks_node)[0] == LandmarkState.ACCEPTED
        assert not is_untouched_detection(landmarks_node, volume_node, "tiny")
        set_detection(landmarks_node, a_detection(), volume_node, {})
        assert review_of(landmarks_node).changes == ()

    @pytest.mark.parametrize("change", ["another model", "another volume", "renamed point"])
    def test_a_list_of_another_origin_is_not_an_untouched_detection(self, landmarks_node, volume_node, change):
        if change == "renamed point":
            landmarks_node.SetNthControlPointLabel(0, "AC2")
        other = slicer.util.addVolumeFromArray(np.ones((2, 2, 2)), name="other")
        volume = other if change == "another volume" else volume_node
        assert not is_untouched_detection(landmarks_node, volume, "brain" if change == "another model" else "tiny")
