"""A volume that lies any way round is laid as the template lies, and its landmarks are told where it lay."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from blob_dataset import LABELS, RECIPE, blob_case, write_blob_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.pose import PoseTemplate, evenly_spread_rotations
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.detectors.weights import TEMPLATE
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine, rigid_fit, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.pose_template import all_posed, pose_template, posed
from LandmarkDetectionLib.training.run import train
from LandmarkDetectionLib.volume import Volume

POSED = Preprocessing("RAS", (1.0,) * 3, low_percentile=50.0, high_percentile=100.0, pose_spacing_mm=1.0)
coordinates = st.floats(-1, 1)
axes = st.tuples(coordinates, coordinates, coordinates).filter(lambda axis: np.linalg.norm(axis) > 0.1)
angles_deg = st.floats(-180, 180)


def motion_of(axis, angle_deg, translation=(0.0, 0.0, 0.0)) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, :3] = rotation_matrix(axis, angle_deg)
    motion[:3, 3] = translation
    return motion


def case_of(seed: int, motion=None) -> TrainingCase:
    volume, landmarks = blob_case(seed)
    motion = np.eye(4) if motion is None else motion
    return TrainingCase(f"case{seed}", volume.moved(motion), landmarks.transformed(motion))


def volume_of(voxels: np.ndarray, spacing_mm: float = 1.0) -> Volume:
    return Volume(voxels, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]), "odd")


def set_threads(of_registration: int, of_search: int) -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(of_registration)
    torch.set_num_threads(of_search)


@pytest.fixture
def use_threads():
    """Sets how many threads look for a pose, for the length of a test."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads(), torch.get_num_threads()
    yield lambda count: set_threads(count, count)
    set_threads(*before)


@pytest.fixture(scope="module")
def template() -> PoseTemplate:
    return pose_template([case_of(seed) for seed in range(4)], POSED)


class TestRigidFit:
    @given(axes, angles_deg, st.tuples(coordinates, coordinates, coordinates))
    def test_finds_the_motion_that_moved_the_points(self, axis, angle_deg, translation):
        points = np.array([[0.0, 0, 0], [10, 0, 0], [0, 7, 0], [0, 0, 3]])
        motion = motion_of(axis, angle_deg, translation)
        np.testing.assert_allclose(rigid_fit(points, apply_affine(motion, points)), motion, atol=1e-9)

    def test_turns_but_does_not_mirror(self):
        points = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 3], [-1, -2, -3]])
        assert np.linalg.det(rigid_fit(points, points * (-1, 1, 1))[:3, :3]) == pytest.approx(1.0)

    def test_neither_scales_nor_shears(self):
        points = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
        expected = motion_of((0, 0, 1), 0.0, (1, 2, 3))
        np.testing.assert_allclose(rigid_fit(points, 3 * points + (1, 2, 3)), expected, atol=1e-9)


class TestEvenlySpreadRotations:
    def test_are_rotations(self):
        rotations = evenly_spread_rotations(50)
        np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(rotations), 1.0)

    @given(axes, angles_deg)
    def test_one_is_near_any(self, axis, angle_deg):
        traces = np.einsum("rab,ab->r", evenly_spread_rotations(700), rotation_matrix(axis, angle_deg))
        assert np.degrees(np.arccos(np.clip((traces.max() - 1) / 2, -1, 1))) < 27.0


class TestPose:
    @settings(max_examples=5, deadline=None)
    @given(axes, angles_deg, st.tuples(*[st.floats(-80, 80)] * 3))
    def test_a_case_that_was_turned_lies_as_before(self, template, axis, angle_deg, translation):
        expected = posed(case_of(7), template).landmarks.to_array(LABELS)
        found = posed(case_of(7, motion_of(axis, angle_deg, translation)), template).landmarks.to_array(LABELS)
        assert np.linalg.norm(found - expected, axis=1).max() < 2.0

    def test_cases_of_any_pose_make_one_sharp_template(self, template):
        turned = [case_of(seed, motion_of((1, seed, 2), 50.0 * seed)) for seed in range(4)]
        together = pose_template(turned, POSED)
        assert together.voxels.max() > 0.9 * template.voxels.max()

    def test_two_landmarks_do_not_tell_how_a_volume_lies(self):
        case = case_of(0)
        poor = TrainingCase("poor", case.volume, LandmarkSet({**case.landmarks, LABELS[0]: None}))
        with pytest.raises(LandmarkDetectionError, match="poor: fewer than three"):
            pose_template([case_of(1), poor], POSED)

    def test_is_the_same_however_often_and_by_however_many_threads_it_is_sought(self, template, use_threads):
        turned = case_of(7, motion_of((1, 2, 3), 100.0)).volume
        use_threads(1)
        first, again = template.pose_of(turned), template.pose_of(turned)
        np.testing.assert_array_equal(again, first)
        use_threads(2)
        np.testing.assert_allclose(template.pose_of(turned), first, atol=1e-4)

    def test_a_training_shows_how_many_poses_are_found(self, template, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        (laid,) = all_posed([case_of(7)], template)
        shown = capsys.readouterr().err
        assert "Finding poses" in shown
        assert "0/1" in shown
        np.testing.assert_array_equal(laid.volume.ijk_to_ras, posed(case_of(7), template).volume.ijk_to_ras)

    @pytest.mark.parametrize("shape", [(2, 2, 2), (3, 3, 3), (1, 24, 24), (24, 3, 24), (24, 24, 2)])
    def test_a_volume_too_thin_to_tell_how_it_lies_is_refused(self, template, shape):
        voxels = np.random.default_rng(0).random(shape)
        with pytest.raises(LandmarkDetectionError, match="odd: it is thinner than 4 voxels of 1 mm"):
            template.pose_of(volume_of(voxels))

    def test_a_volume_as_thin_as_can_be_has_a_pose(self, template):
        pose = template.pose_of(volume_of(np.random.default_rng(0).random((4, 4, 4))))
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)

    def test_a_volume_that_is_dark_on_the_voxels_of_the_template_is_refused(self, template):
        voxels = np.zeros((50, 50, 50))
        voxels[20, 20, 20], voxels[30, 30, 30] = 50.0, 100.0
        with pytest.raises(LandmarkDetectionError, match="odd: nothing in it is as large as a voxel of 1 mm"):
            template.pose_of(volume_of(voxels, 0.2))

    def test_a_volume_of_one_value_is_refused(self, template):
        with pytest.raises(LandmarkDetectionError, match="odd: every voxel has the same value"):
            template.pose_of(volume_of(np.full((9, 9, 9), 3.0)))


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("posed")
    dataset = write_blob_dataset(folder / "blobs")
    window = {"low_percentile": 50.0, "high_percentile": 100.0}
    recipe = {**RECIPE, "preprocessing": {**RECIPE["preprocessing"], **window, "pose_spacing_mm": 1.0}}
    recipe["optimisation"] = {**RECIPE["optimisation"], "steps": 60, "validate_every": 60}
    config = folder / "recipe.json"
    config.write_text(json.dumps(recipe))
    train(dataset, "pin", folder / "model", preset="quick", device="cpu", config=config)
    return folder / "model"


class TestPosedModel:
    @settings(max_examples=4, deadline=None)
    @given(axes, angles_deg)
    def test_finds_what_it_found_however_the_volume_is_turned(self, bundle_folder, axis, angle_deg):
        detector = load_detector(load_bundle(bundle_folder), "cpu")
        motion = motion_of(axis, angle_deg, (5.0, -3.0, 40.0))
        volume, _ = blob_case(20)
        before = np.array([mark.position_ras for mark in detector.detect(volume).landmarks])
        after = np.array([mark.position_ras for mark in detector.detect(volume.moved(motion)).landmarks])
        assert np.linalg.norm(after - apply_affine(motion, before), axis=1).max() < 2.0

    def test_is_refused_without_its_template(self, bundle_folder):
        bundle = load_bundle(bundle_folder)
        tensors = {name: tensor for name, tensor in bundle.tensors.items() if tensor.dtype != torch.uint8}
        with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
            load_detector(dataclasses.replace(bundle, tensors=tensors), "cpu")

    @pytest.mark.parametrize("shape", [(3, 24, 24), (24, 24, 24)])
    def test_is_refused_with_a_template_that_shows_nothing(self, bundle_folder, shape):
        bundle = load_bundle(bundle_folder)
        template = torch.full(shape, 100 if 3 in shape else 0, dtype=torch.uint8)
        with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
            load_detector(dataclasses.replace(bundle, tensors={**bundle.tensors, TEMPLATE: template}), "cpu")

    def test_pictures_have_no_pose(self, bundle_folder):
        data = load_bundle(bundle_folder).card.to_json()
        with pytest.raises(LandmarkDetectionError, match="pose_spacing_mm"):
            ModelCard.from_json({**data, "dimension": 2})
