"""The mean position: where landmarks lay on average in the training cases, whatever the image shows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from blob_dataset import LABELS, blob_case, write_blob_dataset, write_description

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.models.bundle import ModelBundle, load_bundle
from LandmarkDetectionLib.preprocessing import canonical_volume
from LandmarkDetectionLib.training.run import train


@pytest.fixture(scope="module", params=[2, 3])
def dimension(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def trained(dimension, tmp_path_factory) -> ModelBundle:
    """Of the blobs; a case lacks a landmark."""
    folder = tmp_path_factory.mktemp("mean")
    dataset = write_blob_dataset(folder / "blobs", dimension, {"case1": ["dim"]})
    train(dataset, "mean-position", folder / "model", preset="quick", device="cpu")
    return load_bundle(folder / "model")


def frame_positions(card, seed):
    volume, landmarks = blob_case(seed, card.dimension)
    canonical = canonical_volume(volume, card.preprocessing)
    return apply_affine(np.linalg.inv(canonical.frame_to_ras), landmarks.to_array(LABELS)), canonical


def test_the_bundle_holds_mean_and_covariance_of_the_positions_that_are_there(trained):
    positions = np.array([frame_positions(trained.card, seed)[0] for seed in range(8)])
    mean, covariance = trained.tensors["mean_mm"].numpy(), trained.tensors["covariance_mm2"].numpy()
    for label, cases in (("bright", positions), ("dim", np.delete(positions, 1, axis=0))):
        index = LABELS.index(label)
        np.testing.assert_allclose(mean[index], cases[:, index].mean(0), atol=1e-4)
        np.testing.assert_allclose(covariance[index], np.cov(cases[:, index].T), atol=1e-3)


def test_it_is_found_in_every_image_at_the_same_place_of_the_frame(trained):
    detector = load_detector(trained, "cpu")
    for seed in (20, 21):
        _, canonical = frame_positions(trained.card, seed)
        found = detector.detect(blob_case(seed, trained.card.dimension)[0]).landmarks
        expected = apply_affine(canonical.frame_to_ras, trained.tensors["mean_mm"].numpy())
        np.testing.assert_allclose([mark.position_ras for mark in found], expected, atol=1e-6)
        assert all(0.5 < mark.presence <= 1.0 for mark in found)


def test_the_card_tells_that_no_weights_were_chosen(trained):
    assert trained.card.training.notes.startswith("Mean error on the 3 validation cases: ")


def test_tensors_that_are_not_its_own_are_refused(trained):
    broken = {"mean_mm": torch.zeros(2, 3), "covariance_mm2": torch.zeros(3, 3, 3)}
    for tensors in ({}, broken):
        with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
            load_detector(ModelBundle(trained.card, tensors, None, ""), "cpu")


def test_there_is_nothing_to_go_on_with(trained, tmp_path):
    dataset = write_blob_dataset(tmp_path / "blobs", trained.card.dimension)
    with pytest.raises(LandmarkDetectionError, match="learns no weights"):
        train(dataset, "mean-position", tmp_path / "next", preset="quick", device="cpu", init_from=trained.folder)


def test_interchangeable_ends_are_not_averaged_with_each_other(tmp_path):
    """One case in which the labels of two blobs are exchanged does not draw their means together."""
    dataset = write_blob_dataset(tmp_path / "blobs", 3)
    write_description(dataset, interchangeable=[["bright", "dim"]])
    markups = dataset / "landmarks" / "case2.mrk.json"
    content = json.loads(markups.read_text())
    points = content["markups"][0]["controlPoints"]
    ends = {"bright": "dim", "dim": "bright"}
    for point in points:
        point["label"] = ends.get(point["label"], point["label"])
    markups.write_text(json.dumps(content))
    train(dataset, "mean-position", tmp_path / "model", preset="quick", device="cpu")
    bundle = load_bundle(tmp_path / "model")
    usual = np.mean([frame_positions(bundle.card, seed)[0] for seed in range(8)], axis=0)
    np.testing.assert_allclose(bundle.tensors["mean_mm"], usual, atol=1e-4)
