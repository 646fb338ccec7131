"""Training global-to-local from a dataset folder gives a bundle that finds its landmarks, one or several."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from blob_dataset import write_blob_dataset, write_description
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
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.global_to_local_training import GLOBAL_TO_LOCAL, spacing_mm
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.volume import Volume

NETWORK = {
    "first_width": 8,
    "widths": [16],
    "pairs": [1],
    "poolings": 1,
    "head_width": 16,
    "local_widths": [8, 8],
    "local_head_width": 8,
    "local_size": 8,
}
RECIPE = {
    "optimisation": {
        "steps": 80,
        "minutes": 2.0,
        "validate_every": 40,
        "learning_rate": 0.05,
        "batch_size": 4,
        "pool_size": 8,
    },
    "augmentation": {"rotation_deg": 0.0, "scale": 0.0, "stretch": 0.0, "gamma": 0.0, "noise": 0.0},
    "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "centre": "content"},
    "network": NETWORK,
    "method": {"part_size": 20, "local_batch_size": 4, "classification_weight": 10.0},
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[int, Path]:
    return blob_datasets(tmp_path_factory.mktemp("datasets"))


def trained(dataset: Path, output: Path, init_from: Path | None = None, **changes) -> ModelBundle:
    return trained_on_blobs("global-to-local", RECIPE, dataset, output, init_from, **changes)


@pytest.mark.parametrize("dimension", [2, 3])
def test_trained_bundle_finds_the_landmarks_of_new_cases(datasets, tmp_path, dimension):
    """The blobs lie 3 to 4 mm from their mean position on average, and are 2 mm wide."""
    assert errors_mm(load_detector(trained(datasets[dimension], tmp_path / "model"), "cpu")).mean() < 1.0


def test_a_single_landmark_is_learnt_alone(tmp_path):
    dataset = write_blob_dataset(tmp_path / "blobs", 2)
    write_description(dataset, landmarks=[{"label": "middle"}])
    bundle = trained(dataset, tmp_path / "model")
    assert {name.split(".")[1] for name in bundle.tensors if name.startswith("local.")} == {"0"}
    assert errors_mm(load_detector(bundle, "cpu"), ["middle"]).mean() < 1.5


def test_ends_that_cannot_be_told_apart_are_learnt_in_either_order(tmp_path):
    dataset = write_dataset_with_exchanged_ends(tmp_path / "blobs")
    assert largest_error_in_the_better_order_mm(trained(dataset, tmp_path / "model")) < 2.0


@pytest.mark.parametrize("heads", ["R", "R_log", "C", "R+C"])
def test_every_ablation_can_be_trained(datasets, tmp_path, heads):
    bundle = trained(datasets[2], tmp_path / "model", network={"heads": heads}, optimisation={"steps": 2})
    assert bundle.card.network["heads"] == heads
    has = {part: any(f".{part}." in name for name in bundle.tensors) for part in ("regression", "classification")}
    assert has == {"regression": heads != "C", "classification": "C" in heads}
    assert np.isfinite(errors_mm(load_detector(bundle, "cpu"))).all()


def test_training_goes_on_from_the_weights_of_a_bundle(datasets, tmp_path):
    first = trained(datasets[2], tmp_path / "first", optimisation={"steps": 3})
    still = {"steps": 1, "learning_rate": 1e-9}
    again = trained(datasets[2], tmp_path / "again", tmp_path / "first", optimisation=still)
    assert_the_same_weights(again, first)


def test_a_bundle_of_other_networks_is_no_start(datasets, tmp_path):
    first = tmp_path / "first"
    trained(datasets[2], first, optimisation={"steps": 2})
    card = json.loads((first / "model.json").read_text())
    card["network"]["local_widths"] = [8, 16]
    (first / "model.json").write_text(json.dumps(card))
    with pytest.raises(LandmarkDetectionError, match="do not fit"):
        trained(datasets[2], tmp_path / "again", first)


def case(size, spacing) -> TrainingCase:
    voxels = np.zeros(size[::-1], np.uint8)
    return TrainingCase("case", Volume(voxels, np.diag([*spacing, 1.0]), "case"), LandmarkSet({}))


def test_an_image_has_sixteen_patches_along_its_longest_side():
    """25.6 cm in 16 patches of 8 voxels is 2 mm; pictures have patches of 32."""
    assert spacing_mm([case((256, 200, 180), (1.0, 1.0, 1.0))], {}) == 2.0
    assert spacing_mm([case((1024, 800, 1), (0.25, 0.25, 5.0))], {}) == 0.5
    assert spacing_mm([case((256, 200, 180), (1.0, 1.0, 1.0))], {"poolings": 1}) == 4.0


def test_voxels_are_not_made_finer_than_they_are():
    assert spacing_mm([case((60, 60, 30), (1.5, 1.5, 3.0))], {}) == 1.5
    assert spacing_mm([case((100, 80, 1), (0.7, 0.7, 0.1))], {}) == 0.7


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_presets_are_valid(preset):
    assert load_recipe(GLOBAL_TO_LOCAL, preset, None).optimisation.batch_size > 0


def test_paper_preset_is_the_published_schedule():
    recipe = load_recipe(GLOBAL_TO_LOCAL, "paper", None)
    chosen = recipe.optimisation
    assert (chosen.steps, chosen.batch_size, chosen.learning_rate, chosen.validate_every) == (300_000, 4, 1e-3, 10_000)
    assert chosen.constant_rate
    assert recipe.network == {}
    assert recipe.method == GLOBAL_TO_LOCAL.choices(None, local_batch_size=4, local_reach=None, classification_weight=1)
    assert recipe.augmentation == type(recipe.augmentation)()


@pytest.mark.parametrize(
    "choice", [{"part_size": 0}, {"local_batch_size": 0}, {"local_reach": 0}, {"classification_weight": 0}]
)
def test_choices_that_cannot_be_are_refused(tmp_path, choice):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"method": choice}))
    with pytest.raises(LandmarkDetectionError, match="must be above zero"):
        load_recipe(GLOBAL_TO_LOCAL, "quick", config)
