"""Training global-to-local from a dataset folder gives a bundle that finds its landmarks, one or several."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_dataset import LABELS, blob_case, write_blob_dataset, write_description

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.global_to_local_training import GLOBAL_TO_LOCAL, spacing_mm
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.run import train
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
    """The blobs as volumes (3), two cases of which lack a landmark, and as pictures (2)."""
    folder = tmp_path_factory.mktemp("datasets")
    missing = {"case1": ["dim"], "case4": ["bright", "middle"]}
    return {
        3: write_blob_dataset(folder / "volumes", 3, missing),
        2: write_blob_dataset(folder / "pictures", 2),
    }


def trained(folder: Path, dataset: Path, name: str = "model", init_from: Path | None = None, **changes) -> Path:
    recipe = {part: RECIPE.get(part, {}) | changes.get(part, {}) for part in {**RECIPE, **changes}}
    config = folder / f"{name}.json"
    config.write_text(json.dumps(recipe))
    arguments = {"preset": "quick", "config": config, "device": "cpu", "init_from": init_from}
    train(dataset, "global-to-local", folder / name, **arguments)
    return folder / name


def errors_mm(bundle_folder: Path, dimension: int, labels=LABELS) -> np.ndarray:
    """Of cases nobody trained on (cases, n)."""
    detector = load_detector(load_bundle(bundle_folder), "cpu")
    errors = []
    for seed in range(20, 28):
        volume, truth = blob_case(seed, dimension)
        found = np.array([mark.position_ras for mark in detector.detect(volume).landmarks])
        errors.append(np.linalg.norm(found - truth.to_array(labels), axis=1))
    return np.array(errors)


@pytest.mark.parametrize("dimension", [2, 3])
def test_trained_bundle_finds_the_landmarks_of_new_cases(datasets, tmp_path, dimension):
    """The blobs lie 3 to 4 mm from their mean position on average, and are 2 mm wide."""
    assert errors_mm(trained(tmp_path, datasets[dimension]), dimension).mean() < 1.0


def test_a_single_landmark_is_learnt_alone(tmp_path):
    dataset = write_blob_dataset(tmp_path / "blobs", 2)
    write_description(dataset, landmarks=[{"label": "middle"}])
    folder = trained(tmp_path, dataset)
    assert {name.split(".")[1] for name in load_bundle(folder).tensors if name.startswith("local.")} == {"0"}
    assert errors_mm(folder, 2, ["middle"]).mean() < 1.5


def test_ends_that_cannot_be_told_apart_are_learnt_in_either_order(tmp_path):
    """Some true landmarks have their labels swapped, so that only the pair of places can be learnt."""
    dataset = write_blob_dataset(tmp_path / "blobs", 2)
    for seed in range(0, 14, 2):
        file = dataset / "landmarks" / f"case{seed}.mrk.json"
        swapped = file.read_text().replace('"bright"', '"?"').replace('"middle"', '"bright"').replace('"?"', '"middle"')
        file.write_text(swapped)
    write_description(dataset, interchangeable=[["bright", "middle"]])
    detector = load_detector(load_bundle(trained(tmp_path, dataset)), "cpu")
    for seed in range(20, 28):
        volume, truth = blob_case(seed, 2)
        found = np.array([mark.position_ras for mark in detector.detect(volume).landmarks])[:2]
        either = [np.linalg.norm(found - truth.to_array(order), axis=1) for order in (LABELS[:2], LABELS[1::-1])]
        assert min(error.max() for error in either) < 2.0


@pytest.mark.parametrize("heads", ["R", "R_log", "C", "R+C"])
def test_every_ablation_can_be_trained(datasets, tmp_path, heads):
    folder = trained(tmp_path, datasets[2], network={"heads": heads}, optimisation={"steps": 2})
    bundle = load_bundle(folder)
    assert bundle.card.network["heads"] == heads
    has = {part: any(f".{part}." in name for name in bundle.tensors) for part in ("regression", "classification")}
    assert has == {"regression": heads != "C", "classification": "C" in heads}
    assert np.isfinite(errors_mm(folder, 2)).all()


def test_training_goes_on_from_the_weights_of_a_bundle(datasets, tmp_path):
    first = trained(tmp_path, datasets[2], "first", optimisation={"steps": 3})
    still = {"steps": 1, "learning_rate": 1e-9}
    again = load_bundle(trained(tmp_path, datasets[2], "again", init_from=first, optimisation=still))
    before = load_bundle(first).tensors
    assert again.tensors.keys() == before.keys()
    for name, value in again.tensors.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(value, before[name], rtol=1e-3, atol=1e-3)


def test_a_bundle_of_other_networks_is_no_start(datasets, tmp_path):
    first = trained(tmp_path, datasets[2], "first", optimisation={"steps": 2})
    card = json.loads((first / "model.json").read_text())
    card["network"]["local_widths"] = [8, 16]
    (first / "model.json").write_text(json.dumps(card))
    with pytest.raises(LandmarkDetectionError, match="do not fit"):
        trained(tmp_path, datasets[2], "again", init_from=first)


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
