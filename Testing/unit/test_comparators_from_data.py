"""The methods that others are compared with learn from a dataset, as a bundle that finds the landmarks of new cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blob_dataset import LABELS, RECIPE, blob_case, write_blob_dataset
from blob_training import assert_the_same_weights, trained_on_blobs

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.locnet_training import LOCNET, spacing_mm
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.volume import Volume

NETWORKS = {
    "locnet": {"pooling": [1], "widths": [16, 16]},
    "heatmap-unet": {"widths": [16, 16], "sigma": 1.5},
    "scn": {"width": 8, "levels": 2, "kernel_size": 3, "pooling": 4, "dropout": 0.0, "sigma": 2.0},
}
SHORT = {
    "optimisation": {
        "steps": 200,
        "minutes": 5.0,
        "validate_every": 200,
        "batch_size": 1,
        "pool_size": 8,
        "learning_rate": 0.01,
    },
    "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "centre": "content"},
    "augmentation": RECIPE["augmentation"],
}


def trained(method: str, dataset: Path, output: Path, init_from: Path | None = None, **optimisation) -> ModelBundle:
    changes = {"network": NETWORKS[method], "optimisation": optimisation}
    return trained_on_blobs(method, SHORT, dataset, output, init_from, **changes)


@pytest.mark.parametrize("method", NETWORKS)
@pytest.mark.parametrize(("dimension", "missing"), [(2, {}), (3, {"case0": ["dim"]})])
def test_a_model_learned_from_blobs_finds_them_in_new_cases(method, dimension, missing, tmp_path):
    dataset = write_blob_dataset(tmp_path / "dataset", dimension, missing)
    bundle = trained(method, dataset, tmp_path / "model", batch_size=4 - dimension)
    assert bundle.card.method == method
    detector = load_detector(bundle, "cpu")
    errors = []
    for seed in range(100, 105):
        volume, truth = blob_case(seed, dimension)
        marks = detector.detect(volume).landmarks
        errors.append([np.linalg.norm(mark.position_ras - truth[mark.label]) for mark in marks])
        for mark in marks:
            assert np.linalg.eigvalsh(mark.covariance_ras[:dimension, :dimension]).min() > 0
            assert 0.0 <= mark.presence <= 1.0
    # The positions of the cases differ by 4 mm along each axis.
    assert np.shape(errors) == (5, len(LABELS))
    assert np.median(errors) < 1.0


@pytest.mark.parametrize("method", ["heatmap-unet", "scn"])
def test_training_goes_on_from_the_weights_of_a_bundle(method, tmp_path):
    dataset = write_blob_dataset(tmp_path / "dataset", 2)
    first = trained(method, dataset, tmp_path / "first", steps=2)
    again = trained(method, dataset, tmp_path / "again", tmp_path / "first", steps=1, learning_rate=1e-9)
    assert_the_same_weights(again, first)


def test_a_loc_net_of_one_scale_is_the_multi_scale_one_without_the_others():
    quick, paper = load_recipe(LOCNET, "quick"), load_recipe(LOCNET, "paper")
    assert quick.network["pooling"] == paper.network["pooling"] == [1]
    assert quick.inference == {}
    assert paper.preprocessing["spacing_mm"] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("size", "expected"), [((192, 180, 150), 4.0), ((512, 300, 1), 2.0), ((20, 20, 20), 1.0)])
def test_the_whole_image_has_few_voxels_but_none_finer_than_its_own(size, expected):
    """Of 1 mm: 192 of them are to be 48 at most, 512 of a picture 256."""
    _, truth = blob_case(0)
    assert spacing_mm([TrainingCase("case", Volume(np.zeros(size[::-1], np.uint8), np.eye(4)), truth)], {}) == expected
