"""The methods that others are compared with learn from a dataset, as a bundle that finds the landmarks of new cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_dataset import LABELS, RECIPE, blob_case, write_blob_dataset

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.locnet_training import LOCNET, spacing_mm
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.run import train
from LandmarkDetectionLib.volume import Volume

NETWORKS = {
    "locnet": {"pooling": [1], "widths": [16, 16]},
    "heatmap-unet": {"widths": [16, 16], "sigma": 1.5},
    "scn": {"width": 8, "levels": 2, "kernel_size": 3, "pooling": 4, "dropout": 0.0, "sigma": 2.0},
}
OPTIMISATION = {
    "steps": 200,
    "minutes": 5.0,
    "validate_every": 200,
    "batch_size": 1,
    "pool_size": 8,
    "learning_rate": 0.01,
}


def trained(folder: Path, dataset: Path, method: str, name: str = "model", init_from=None, **optimisation) -> Path:
    recipe = {
        "optimisation": {**OPTIMISATION, **optimisation},
        "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "centre": "content"},
        "augmentation": RECIPE["augmentation"],
        "network": NETWORKS[method],
    }
    config = folder / f"{name}.json"
    config.write_text(json.dumps(recipe))
    train(dataset, method, folder / name, preset="quick", config=config, device="cpu", init_from=init_from)
    return folder / name


@pytest.mark.parametrize("method", NETWORKS)
@pytest.mark.parametrize(("dimension", "missing"), [(2, {}), (3, {"case0": ["dim"]})])
def test_a_model_learned_from_blobs_finds_them_in_new_cases(method, dimension, missing, tmp_path):
    dataset = write_blob_dataset(tmp_path / "dataset", dimension, missing)
    bundle = load_bundle(trained(tmp_path, dataset, method, batch_size=4 - dimension))
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
    first = trained(tmp_path, dataset, method, "first", steps=2)
    again = load_bundle(trained(tmp_path, dataset, method, "again", first, steps=1, learning_rate=1e-9)).tensors
    before = load_bundle(first).tensors
    assert again.keys() == before.keys()
    followed = ("running", "tracked", "usual_heat")
    for name in before:
        if not any(part in name for part in followed):
            torch.testing.assert_close(again[name], before[name], rtol=1e-3, atol=1e-3)


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
