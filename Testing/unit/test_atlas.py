"""Atlases are registered, chosen, fused and kept; what is known of them comes out where it must."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from blob_dataset import LABELS, blob_case, write_blob_dataset, write_description

from LandmarkDetectionLib.detectors import atlas as atlas_module
from LandmarkDetectionLib.detectors.atlas_registration import AtlasInference, affine_map, carried, frame_image
from LandmarkDetectionLib.detectors.grid import Grid
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.models.bundle import ModelBundle, load_bundle
from LandmarkDetectionLib.preprocessing import canonical_volume
from LandmarkDetectionLib.training.atlas_training import typical_cases
from LandmarkDetectionLib.training.run import train

SPACING_MM = 2.0
QUICK = AtlasInference(control_points_mm=30.0, iterations=10)


def scene(dimension, linear=None, shift_mm=None, wave_mm=0.0):
    """Blobs in an image, and where four of them come to lie.

    Seen through an affine map about the frame's origin, after a wave along the first axis that depends on the second.
    """
    random = np.random.default_rng(3)
    centres_mm = random.uniform(-22.0, 22.0, (12, dimension))
    heights = random.uniform(60.0, 220.0, 12)
    side = 36
    origin = (side - 1) / 2
    axes = [(np.arange(side) - origin) * SPACING_MM] * dimension
    frame = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)  # array order in, x first out
    linear = np.eye(dimension) if linear is None else linear[:dimension, :dimension]
    shift_mm = np.zeros(dimension) if shift_mm is None else shift_mm[:dimension]
    seen = (frame - shift_mm) @ np.linalg.inv(linear).T
    seen[..., 0] -= wave_mm * np.sin(seen[..., 1] * 2 * np.pi / 60.0)
    laid_mm = centres_mm[:4].copy()
    laid_mm[:, 0] += wave_mm * np.sin(laid_mm[:, 1] * 2 * np.pi / 60.0)
    squares = ((seen[..., None, :] - centres_mm) ** 2).sum(-1)
    voxels = np.clip((heights * np.exp(-squares / (2 * 6.0**2))).sum(-1), 0, 255).astype(np.uint8)
    positions = np.zeros((4, 3))
    positions[:, :dimension] = laid_mm @ linear.T + shift_mm
    grid = Grid(np.full(3, SPACING_MM), np.array([origin, origin, origin if dimension == 3 else 0.0]), dimension)
    return frame_image(voxels if dimension == 3 else voxels[None], grid), positions


@pytest.mark.parametrize("dimension", [2, 3])
def test_landmarks_follow_a_known_affine_map_within_a_voxel(dimension):
    linear = np.array([[1.06, 0.10, 0.0], [-0.08, 0.97, 0.05], [0.02, -0.04, 1.03]])
    shift_mm = np.array([4.0, -3.0, 2.0])
    atlas, landmarks = scene(dimension)
    target, expected = scene(dimension, linear, shift_mm)
    assert np.linalg.norm(expected - landmarks, axis=1).mean() > 1.5 * SPACING_MM
    found = carried(atlas, landmarks, target, QUICK)
    assert np.linalg.norm(found - expected, axis=1).max() < SPACING_MM


@pytest.mark.parametrize("dimension", [2, 3])
def test_landmarks_follow_a_wave_that_no_affine_map_can(dimension):
    linear, shift_mm = np.diag([1.05, 0.97, 1.02]), np.array([4.0, -3.0, 2.0])
    atlas, landmarks = scene(dimension)
    target, expected = scene(dimension, linear, shift_mm, wave_mm=8.0)
    laid = affine_map(atlas, target)
    stiff = [laid.TransformPoint(place) for place in landmarks[:, :dimension].tolist()]
    found = carried(atlas, landmarks, target, AtlasInference(control_points_mm=15.0, iterations=30))
    stiff_mm = np.linalg.norm(stiff - expected[:, :dimension], axis=1)
    assert stiff_mm.mean() > 2.0
    assert np.linalg.norm(found - expected, axis=1).mean() < 0.5 * stiff_mm.mean()


def test_a_landmark_the_atlas_lacks_is_not_carried():
    atlas, landmarks = scene(2)
    landmarks[1] = np.nan
    found = carried(atlas, landmarks, atlas, QUICK)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(np.delete(found, 1, 0), np.delete(landmarks, 1, 0), atol=SPACING_MM)


def test_frame_positions_are_the_images_physical_coordinates():
    grid = Grid(np.array([2.0, 3.0, 4.0]), np.array([5.0, 6.0, 7.0]), 3)
    image = frame_image(np.zeros((8, 9, 10), np.uint8), grid)
    assert image.TransformIndexToPhysicalPoint((5, 6, 7)) == (0.0, 0.0, 0.0)
    assert image.TransformIndexToPhysicalPoint((6, 8, 7)) == (2.0, 6.0, 0.0)


def test_typical_cases_lie_close_to_the_mean_and_lack_nothing():
    places = np.array([0.0, 12.0, 1.0, -8.0, 0.5])
    positions = np.stack([places[:, None] * [1.0, 0, 0]] * 2, axis=1)
    positions[4, 1] = np.nan
    assert typical_cases(positions, 3) == [2, 0, 3]
    assert typical_cases(positions, 9) == [2, 0, 3, 1, 4]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[int, ModelBundle]:
    folder = tmp_path_factory.mktemp("atlases")
    bundles = {}
    for dimension in (2, 3):
        dataset = write_blob_dataset(folder / f"blobs{dimension}", dimension)
        config = folder / "config.json"
        config.write_text(json.dumps({"method": {"atlases": 3}, "inference": {"iterations": 4}}))
        train(dataset, "atlas", folder / f"model{dimension}", preset="quick", config=config, device="cpu")
        bundles[dimension] = load_bundle(folder / f"model{dimension}")
    return bundles


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_bundle_of_atlases_finds_the_blobs(trained, dimension):
    detector = load_detector(trained[dimension], "cpu")
    errors = []
    for seed in (20, 21):
        volume, truth = blob_case(seed, dimension)
        found = detector.detect(volume).landmarks
        errors.append(np.linalg.norm([mark.position_ras for mark in found] - truth.to_array(LABELS), axis=1))
        assert all(np.trace(mark.covariance_ras) > 0 for mark in found)
        assert all(mark.presence > 0.5 for mark in found)
    # The median of the atlases as they are, registered to nothing, errs by 0.75 mm in pictures and 2.5 mm in volumes.
    assert np.mean(errors) < 0.5


def test_the_fusion_is_the_median_and_the_spread_of_what_each_atlas_says(trained, monkeypatch):
    """Of two on a line, any point between them is a median, the mean among them; the third cannot be registered."""
    answers = iter([[0.0, 0, 0], [8.0, 0, 0], None])

    def answered(_atlas, landmarks_mm, *_):
        answer = next(answers)
        if answer is None:
            raise RuntimeError
        return np.broadcast_to(answer, landmarks_mm.shape)

    monkeypatch.setattr(atlas_module, "carried", answered)
    volume = blob_case(20)[0]
    detector = load_detector(trained[3], "cpu")
    mark = detector.detect(volume).landmarks[0]
    frame_to_ras = canonical_volume(volume, detector.card.preprocessing).frame_to_ras
    np.testing.assert_allclose(mark.position_ras, apply_affine(frame_to_ras, [4.0, 0, 0]), atol=1e-6)
    np.testing.assert_allclose(mark.covariance_ras, np.diag([32.0, 0, 0]), atol=1e-6)


def test_a_volume_that_no_atlas_fits_is_refused(trained, monkeypatch):
    def fails(*_):
        raise RuntimeError

    monkeypatch.setattr(atlas_module, "carried", fails)
    with pytest.raises(LandmarkDetectionError, match="could not lay its atlases upon this volume"):
        load_detector(trained[3], "cpu").detect(blob_case(20)[0])


def test_it_is_cancelled_between_two_atlases(trained):
    asked = iter([False, False, True])
    with pytest.raises(DetectionCancelled):
        load_detector(trained[2], "cpu").detect(blob_case(20, 2)[0], cancelled=lambda: next(asked))


def test_the_card_says_whose_images_the_bundle_holds(trained):
    card = trained[3].card
    assert "holds 3 images of the dataset itself" in card.limitations
    assert card.limitations.endswith("allows: CC0-1.0")
    assert trained[3].tensors["0.voxels"].dtype == torch.uint8


@pytest.mark.parametrize("licence", ["", "  "])
def test_images_without_a_licence_do_not_become_a_model(tmp_path, licence):
    dataset = write_blob_dataset(tmp_path / "blobs", 2)
    write_description(dataset, licence=licence)
    with pytest.raises(LandmarkDetectionError, match="names no licence to pass them on"):
        train(dataset, "atlas", tmp_path / "model", preset="quick", device="cpu")
    assert not (tmp_path / "model").exists()


def test_a_landmark_that_too_few_atlases_have_is_refused(tmp_path):
    lacking = {f"case{seed}": ["dim"] for seed in range(1, 8)}
    dataset = write_blob_dataset(tmp_path / "blobs", 2, lacking)
    with pytest.raises(LandmarkDetectionError, match='Only 1 of the 5 atlases has the landmark "dim"'):
        train(dataset, "atlas", tmp_path / "model", preset="quick", device="cpu")


@pytest.mark.parametrize("lost", ["landmarks_mm", "0.voxels", "1.origin_ijk"])
def test_a_bundle_that_lacks_a_part_is_refused(trained, lost):
    tensors = {name: tensor for name, tensor in trained[2].tensors.items() if name != lost}
    with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
        load_detector(dataclasses.replace(trained[2], tensors=tensors), "cpu")
