"""Methods that learn the three blobs, and how well their models then find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from blob_dataset import LABELS, blob_case, write_blob_dataset, write_description, write_recipe

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.models.bundle import ModelBundle, load_bundle
from LandmarkDetectionLib.training.run import train

_NEW_CASES = range(20, 28)
"""Seeds of cases nobody trained on."""
_FOLLOWED = ("running", "tracked", "residual", "usual_heat")
"""What layers and learners take from the data as they go, without learning it."""


def blob_datasets(folder: Path) -> dict[int, Path]:
    """The blobs as volumes (3), two cases of which lack a landmark, and as pictures (2)."""
    missing = {"case1": ["dim"], "case4": ["bright", "middle"]}
    return {
        3: write_blob_dataset(folder / "volumes", 3, missing),
        2: write_blob_dataset(folder / "pictures", 2),
    }


def trained_on_blobs(
    method: str,
    recipe: Mapping[str, Mapping[str, object]],
    dataset: Path,
    output: Path,
    init_from: Path | None = None,
    /,
    **changes: Mapping[str, object],
) -> ModelBundle:
    """Train by a recipe with entries of its parts changed, which is written beside the bundle."""
    config = write_recipe(output.with_suffix(".json"), recipe, **changes)
    train(dataset, method, output, preset="quick", config=config, device="cpu", init_from=init_from)
    return load_bundle(output)


def errors_mm(detector: Detector, labels: Sequence[str] = LABELS) -> np.ndarray:
    """Of the landmarks of new cases (cases, n)."""
    errors = []
    for seed in _NEW_CASES:
        volume, truth = blob_case(seed, detector.card.dimension)
        found = np.array([mark.position_ras for mark in detector.detect(volume).landmarks])
        errors.append(np.linalg.norm(found - truth.to_array(labels), axis=1))
    return np.array(errors)


def write_dataset_with_exchanged_ends(folder: Path) -> Path:
    """Pictures, half of them with the labels of two landmarks exchanged: only the pair of places can be learnt."""
    dataset = write_blob_dataset(folder, 2)
    for seed in range(0, 14, 2):
        file = dataset / "landmarks" / f"case{seed}.mrk.json"
        exchanged = file.read_text().replace('"bright"', '"?"').replace('"middle"', '"bright"')
        file.write_text(exchanged.replace('"?"', '"middle"'))
    write_description(dataset, interchangeable=[["bright", "middle"]])
    return dataset


def largest_error_in_the_better_order_mm(bundle: ModelBundle) -> float:
    """Of the two landmarks that may have been exchanged, in new cases."""
    detector = load_detector(bundle, "cpu")
    straight = errors_mm(detector)[:, :2].max(1)
    exchanged = errors_mm(detector, (LABELS[1], LABELS[0], LABELS[2]))[:, :2].max(1)
    return float(np.minimum(straight, exchanged).max())


def assert_the_same_weights(bundle: ModelBundle, other: ModelBundle) -> None:
    """But for what follows the data without being learnt."""
    assert bundle.tensors.keys() == other.tensors.keys()
    learnt = [name for name in bundle.tensors if not any(part in name for part in _FOLLOWED)]
    assert learnt
    for name in learnt:
        torch.testing.assert_close(bundle.tensors[name], other.tensors[name], rtol=1e-3, atol=1e-3)
