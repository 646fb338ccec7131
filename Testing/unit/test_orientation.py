"""Shipped models find the same places in the patient, however the image of the patient is stored."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.geometry import FloatArray, apply_affine, direction_of, map_about, rotation_matrix
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.registry import find_model, list_models, sample_image
from LandmarkDetectionLib.volume import Volume

MODELS = [card.name for card in list_models() if sample_image(card.name) is not None]
ALL_ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "IS")) for letters in product(*axes)]
SAME_MM = 0.01
ROTATIONS = range(3)

every_model = pytest.mark.parametrize("model", MODELS)
pixels = st.integers(0, 25)


@cache
def detector_of(model: str) -> Detector:
    return load_detector(load_bundle(find_model(model)), "cpu")


@cache
def sample_of(model: str) -> Volume:
    return read_volume(sample_image(model))


def found_in(model: str, volume: Volume) -> FloatArray:
    return np.array([mark.position_ras for mark in detector_of(model).detect(volume).landmarks])


@cache
def found_in_sample(model: str) -> FloatArray:
    return found_in(model, sample_of(model))


def distances_mm(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.linalg.norm(one - other, axis=1)


def random_rotation(model: str, seed: int, share: float) -> FloatArray:
    """A rotation (4x4) about the sample's centre by at most a share of the angle trained for.

    About an arbitrary axis in 3D, in the plane of a picture in 2D.
    """
    random = np.random.default_rng(seed)
    card, centre = detector_of(model).card, sample_of(model).centre_ras
    axis = random.normal(size=3) if card.dimension == 3 else np.array([0.0, 0.0, 1.0])
    turn = rotation_matrix(axis, share * card.rotation_range_deg * random.uniform(-1.0, 1.0))
    return map_about(centre, turn)


def moved(volume: Volume, motion: FloatArray) -> Volume:
    """The same voxels at another place."""
    return Volume(volume.voxels, motion @ volume.ijk_to_ras, volume.name)


def test_every_shipped_model_can_be_tried():
    assert MODELS
    for model in MODELS:
        assert sample_of(model).contains(found_in_sample(model)).all()


@every_model
@settings(max_examples=8)
@given(orientation=st.sampled_from(ALL_ORIENTATIONS))
def test_flipped_and_permuted_axes_change_nothing(model, orientation):
    stored_otherwise = sample_of(model).reoriented(orientation)
    assert distances_mm(found_in(model, stored_otherwise), found_in_sample(model)).max() < SAME_MM


@every_model
@settings(max_examples=5)
@given(before=st.tuples(pixels, pixels, pixels), after=st.tuples(pixels, pixels, pixels))
def test_padding_changes_nothing(model, before, after):
    sample = sample_of(model)
    is_padded = np.array(sample.size) > 1
    before, after = np.array(before) * is_padded, np.array(after) * is_padded
    widths = list(zip(before, after, strict=True))[::-1]
    ijk_to_ras = sample.ijk_to_ras.copy()
    ijk_to_ras[:3, 3] = apply_affine(sample.ijk_to_ras, -before)
    padded = Volume(np.pad(sample.voxels, widths, constant_values=sample.voxels.min()), ijk_to_ras)
    assert distances_mm(found_in(model, padded), found_in_sample(model)).max() < SAME_MM


@every_model
def test_oblique_grid_changes_less_than_half_a_voxel_on_average(model):
    """Resampled along other axes: the mean over landmarks and grids, and thrice as much for any single landmark.

    Each start ends at a place of its own, so that the slightest change of the voxels leads some of them elsewhere; what
    is left is the uncertainty of the mean over the starts.
    """
    sample, card = sample_of(model), detector_of(model).card
    spacing_mm = np.array(card.preprocessing.spacing_mm)
    changes_mm = []
    for seed in ROTATIONS:
        rotation = random_rotation(model, seed, share=1.0)
        turned_back = moved(sample, np.linalg.inv(rotation)).reoriented(card.preprocessing.orientation)
        grid_mm = np.minimum(spacing_mm, turned_back.spacing_mm) if card.dimension == 3 else turned_back.spacing_mm
        on_grid = turned_back.resampled(grid_mm, direction_of(card.preprocessing.orientation))
        oblique = moved(on_grid, rotation)
        changes_mm.append(distances_mm(found_in(model, oblique), found_in_sample(model)))
    assert np.mean(changes_mm) < 0.5 * spacing_mm[0]
    assert np.max(changes_mm) < 1.5 * spacing_mm[0]


@every_model
@settings(max_examples=3)
@given(shift_mm=st.tuples(*[st.floats(-2000.0, 2000.0)] * 3))
def test_landmarks_move_with_the_origin(model, shift_mm):
    motion = np.eye(4)
    motion[:3, 3] = shift_mm
    expected = found_in_sample(model) + shift_mm
    assert distances_mm(found_in(model, moved(sample_of(model), motion)), expected).max() < SAME_MM


@every_model
def test_landmarks_turn_with_the_direction(model):
    """Within twice the model's error, because both detections err: it sees a patient in another pose.

    Half the range, because the patient of the sample may be turned already.
    """
    allowed_mm = 2.0 * detector_of(model).card.accuracy[0].mre_mm
    for seed in ROTATIONS:
        rotation = random_rotation(model, seed, share=0.5)
        found = found_in(model, moved(sample_of(model), rotation))
        expected = apply_affine(rotation, found_in_sample(model))
        assert distances_mm(found, expected).mean() < allowed_mm


@every_model
def test_flipped_and_permuted_axes_change_no_covariance(model):
    detector, sample = detector_of(model), sample_of(model)
    stored_otherwise = sample.reoriented("PRS" if sample.dimension == 3 else "PLS")
    for mark, same in zip(detector.detect(sample).landmarks, detector.detect(stored_otherwise).landmarks, strict=True):
        np.testing.assert_allclose(same.covariance_ras, mark.covariance_ras, atol=1e-3)
