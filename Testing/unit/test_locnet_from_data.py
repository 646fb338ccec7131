"""A multi-scale Loc-Net learned from a dataset finds the landmarks of new cases, in volumes and pictures."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from blob_dataset import COUNTS, LABELS, RECIPE, blob_case, write_blob_dataset

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.run import train

CONFIGURATION = {
    "optimisation": {"steps": 120, "minutes": 2.0, "validate_every": 120, "batch_size": 2, "pool_size": 8},
    "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "centre": "content"},
    "network": {"pooling": [2, 1], "crop_size": 8, "widths": [16, 16], "noise_mm": 2.0},
    "inference": {"passes": 4},
    "augmentation": RECIPE["augmentation"],
    "method": {"followed": 0},
}
"""What learns three blobs in a few seconds."""


@pytest.mark.parametrize(("dimension", "missing"), [(2, {}), (3, {"case0": ["dim"]})])
def test_a_model_learned_from_blobs_finds_them_in_new_cases(dimension, missing, tmp_path):
    dataset = write_blob_dataset(tmp_path / "dataset", dimension, missing)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIGURATION))
    train(dataset, "multiscale-locnet", tmp_path / "model", preset="quick", config=config, device="cpu")
    bundle = load_bundle(tmp_path / "model")
    assert bundle.card.network["crop_size"] == 8
    assert bundle.card.shape_model.landmarks == len(LABELS)
    detector = load_detector(bundle, "cpu")
    errors = []
    for seed in range(100, 105):
        volume, truth = blob_case(seed, dimension)
        found = np.array([mark.position_ras for mark in detector.detect(volume).landmarks])
        errors.append(np.linalg.norm(found - truth.to_array(LABELS), axis=1))
    # The positions of the cases differ by 4 mm along each axis.
    assert np.median(errors) < 1.0


def test_crops_of_a_size_left_open_hold_as_much_in_a_picture_as_in_a_volume(tmp_path):
    sides = {}
    for dimension in (2, 3):
        dataset = write_blob_dataset(tmp_path / f"dataset{dimension}", dimension)
        network = {name: value for name, value in CONFIGURATION["network"].items() if name != "crop_size"}
        optimisation = {**CONFIGURATION["optimisation"], "steps": 1, "validate_every": 1}
        config = tmp_path / f"config{dimension}.json"
        config.write_text(json.dumps({**CONFIGURATION, "network": network, "optimisation": optimisation}))
        output = tmp_path / f"model{dimension}"
        card = train(dataset, "multiscale-locnet", output, preset="quick", config=config, device="cpu")
        sides[dimension] = card.network["crop_size"]
    assert sides == {2: 56, 3: 16}


def test_cases_that_are_all_alike_do_not_tell_where_to_expect_a_landmark(tmp_path):
    dataset = write_blob_dataset(tmp_path / "dataset")
    for folder, suffix in (("volumes", ".nii.gz"), ("landmarks", ".mrk.json")):
        for number in range(1, COUNTS["train"]):
            shutil.copy(dataset / folder / f"case0{suffix}", dataset / folder / f"case{number}{suffix}")
    optimisation = {**CONFIGURATION["optimisation"], "steps": 1, "validate_every": 1}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**CONFIGURATION, "optimisation": optimisation}))
    card = train(dataset, "multiscale-locnet", tmp_path / "model", preset="quick", config=config, device="cpu")
    assert card.shape_model is None
    assert card.inference["prior_rounds"] == 0
    load_detector(load_bundle(tmp_path / "model"), "cpu").detect(blob_case(100)[0])


def test_one_landmark_has_no_others_to_be_weighed_by(tmp_path):
    dataset = write_blob_dataset(tmp_path / "dataset")
    description = json.loads((dataset / "dataset.json").read_text())
    description["landmarks"] = description["landmarks"][:1]
    (dataset / "dataset.json").write_text(json.dumps(description))
    optimisation = {**CONFIGURATION["optimisation"], "steps": 1, "validate_every": 1}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**CONFIGURATION, "optimisation": optimisation}))
    card = train(dataset, "multiscale-locnet", tmp_path / "model", preset="quick", config=config, device="cpu")
    assert card.shape_model is None
    load_detector(load_bundle(tmp_path / "model"), "cpu").detect(blob_case(100)[0])


def test_scales_trained_in_turn_know_nothing_of_the_finer_ones(tmp_path):
    """The coarse scale's weights are those of a training of that scale alone, whatever is learned after it."""
    dataset = write_blob_dataset(tmp_path / "dataset", dimension=2)
    optimisation = {**CONFIGURATION["optimisation"], "steps": 6, "validate_every": 6}
    changes = {"optimisation": optimisation, "method": {"is_end_to_end": False}}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**CONFIGURATION, **changes}))
    asked = {"preset": "quick", "config": config, "device": "cpu"}
    card = train(dataset, "multiscale-locnet", tmp_path / "model", **asked)
    assert card.network["pooling"] == [2, 1]
    logs = (tmp_path / "model.training").rglob("metrics.csv")
    assert sorted(log.parent.name for log in logs) == ["1", "2"]
    kept = {
        scales: torch.load(tmp_path / "model.training" / scales / "best.ckpt", weights_only=True)["state_dict"]
        for scales in ("1", "2")
    }
    weights = weights_of(kept["1"])
    assert {name.split(".")[1] for name in weights} == {"0"}
    for name in weights:
        assert torch.equal(kept["1"][name], kept["2"][name]), name
    stored = load_bundle(tmp_path / "model").tensors
    assert {name.split(".")[0] for name in stored} == {"0", "1"}
    # One that goes on with nothing left to learn ends with the same weights.
    shutil.rmtree(tmp_path / "model")
    train(dataset, "multiscale-locnet", tmp_path / "model", **asked, resume=True)
    again = load_bundle(tmp_path / "model").tensors
    assert all(torch.equal(again[name], stored[name]) for name in weights_of(stored))


def weights_of(tensors) -> list[str]:
    return [name for name in tensors if name.endswith(("weight", "bias"))]
