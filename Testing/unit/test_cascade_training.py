"""Training the cascade from a dataset folder gives a bundle that finds its landmarks, in volumes and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from blob_training import (
    assert_the_same_weights,
    blob_datasets,
    errors_mm,
    largest_error_in_the_better_order_mm,
    trained_on_blobs,
    write_dataset_with_exchanged_ends,
)

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.training.cascade_training import CASCADE, spacing_mm
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.run import train
from LandmarkDetectionLib.volume import Volume

RECIPE = {
    "optimisation": {
        "steps": 250,
        "minutes": 2.0,
        "validate_every": 250,
        "learning_rate": 0.02,
        "batch_size": 2,
        "pool_size": 8,
    },
    "augmentation": {"rotation_deg": 0.0, "scale": 0.0, "stretch": 0.0, "gamma": 0.0, "noise": 0.0},
    "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "centre": "content"},
    "network": {
        "pooling": 2,
        "widths": [4, 8, 8, 8],
        "patch_size": 16,
        "local_widths": [4, 4, 8, 8],
        "hidden": 16,
        "is_normalised": True,
    },
    "method": {"patches_per_image": 2},
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[int, Path]:
    return blob_datasets(tmp_path_factory.mktemp("datasets"))


def trained(dataset: Path, output: Path, init_from: Path | None = None, **changes) -> ModelBundle:
    return trained_on_blobs("cascade", RECIPE, dataset, output, init_from, **changes)


@pytest.mark.parametrize("dimension", [2, 3])
def test_trained_bundle_finds_the_landmarks_of_new_cases(datasets, tmp_path, dimension):
    """The blobs lie 3 to 4 mm from their mean position on average, and are 2 mm wide."""
    bundle = trained(datasets[dimension], tmp_path / "model")
    hottest_voxels = errors_mm(load_detector(bundle, "cpu", {"refinements": "0", "decoding": "arg-max"}))
    refined = errors_mm(load_detector(bundle, "cpu"))
    assert refined.mean() < min(1.0, hottest_voxels.mean())


def test_ends_that_cannot_be_told_apart_are_learnt_in_either_order(tmp_path):
    dataset = write_dataset_with_exchanged_ends(tmp_path / "blobs")
    assert largest_error_in_the_better_order_mm(trained(dataset, tmp_path / "model")) < 2.0


def test_training_goes_on_from_the_weights_of_a_bundle(datasets, tmp_path):
    first = trained(datasets[2], tmp_path / "first", optimisation={"steps": 3})
    still = {"steps": 1, "learning_rate": 1e-9}
    again = trained(datasets[2], tmp_path / "again", tmp_path / "first", optimisation=still)
    assert_the_same_weights(again, first)


def test_a_bundle_names_the_pooling_that_its_data_ask_for(tmp_path, datasets):
    """A side of 24 voxels is short enough for the first stage as it is."""
    network = {**RECIPE["network"]}
    del network["pooling"]
    config = tmp_path / "recipe.json"
    config.write_text(
        json.dumps({**RECIPE, "network": network, "optimisation": {**RECIPE["optimisation"], "steps": 1}})
    )
    card = train(datasets[3], "cascade", tmp_path / "model", preset="quick", config=config, device="cpu")
    assert card.network["pooling"] == 1


def case(size, spacing) -> TrainingCase:
    voxels = np.zeros(size[::-1], np.uint8)
    return TrainingCase("case", Volume(voxels, np.diag([*spacing, 1.0]), "case"), LandmarkSet({}))


@pytest.mark.parametrize(
    ("size", "spacing", "expected"),
    [
        ((60, 60, 30), (1.5, 1.5, 1.5), 1.5),
        # A cube of 1 mm is as large as a voxel of 0.5 x 0.5 x 4 mm.
        ((100, 100, 20), (0.5, 0.5, 4.0), 1.0),
        ((100, 80, 1), (0.7, 0.7, 9.0), 0.7),
        # 512 mm in 256 voxels, 410 mm in 1024.
        ((512, 512, 512), (1.0, 1.0, 1.0), 2.0),
        ((2048, 1500, 1), (0.2, 0.2, 1.0), 0.4),
    ],
)
def test_voxels_are_as_large_as_in_the_images_unless_these_have_too_many(size, spacing, expected):
    assert spacing_mm([case(size, spacing)], {}) == expected


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_presets_are_valid(preset):
    assert load_recipe(CASCADE, preset, None).optimisation.batch_size > 0


def test_paper_preset_is_the_published_schedule():
    recipe = load_recipe(CASCADE, "paper", None)
    chosen = recipe.optimisation
    assert (chosen.steps, chosen.batch_size, chosen.learning_rate) == (45_000, 1, 1e-3)
    assert recipe.method.patches_per_image == 4
    assert chosen.constant_rate
    assert recipe.network == {"pooling": 4}
    assert recipe.augmentation == type(recipe.augmentation)()


@pytest.mark.parametrize("choice", [{"patches_per_image": 0}, {"prediction_error": -1.0}, {"sampling_range": -0.1}])
def test_choices_that_cannot_be_are_refused(tmp_path, choice):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"method": choice}))
    with pytest.raises(LandmarkDetectionError, match="must be at least"):
        load_recipe(CASCADE, "quick", config)
