"""A dataset small enough to learn in seconds: three blobs of different brightness that move together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.volume import Volume

LABELS = ("bright", "middle", "dim")
SIDE = 24
COUNTS = {"train": 8, "validation": 3, "test": 3}
RECIPE = {
    "optimisation": {
        "steps": 300,
        "minutes": 2.0,
        "validate_every": 100,
        "learning_rate": 0.01,
        "batch_size": 32,
        "pool_size": 16,
    },
    "preprocessing": {"spacing_mm": [2.0, 2.0, 2.0], "centre": "content"},
    "network": {"patch_size": 13, "widths": [8, 16], "hidden": 32, "displacement_scaling": "half-whitened"},
    "augmentation": {
        "rotation_deg": 0.0,
        "scale": 0.0,
        "stretch": 0.0,
        "centre_shift_mm": 0.0,
        "gamma": 0.0,
        "noise": 0.0,
    },
}
"""A configuration for `train` that learns this dataset in a few seconds."""

_POSITIONS = np.array([[7.0, 12.0, 11.0], [16.0, 8.0, 13.0], [13.0, 17.0, 10.0]])
_BRIGHTNESS = (200.0, 130.0, 80.0)
_LARGEST_SHIFT = 4.0


def blob_case(seed: int, dimension: int = 3) -> tuple[Volume, LandmarkSet]:
    """An image of 24 voxels of 1 mm a side, with the three blobs shifted together and a little by themselves."""
    random = np.random.default_rng(seed)
    shift = random.uniform(-_LARGEST_SHIFT, _LARGEST_SHIFT, 3) + random.normal(0.0, 0.5, (3, 3))
    centres = _POSITIONS + shift
    shape = (SIDE, SIDE, SIDE)
    if dimension == 2:
        shape, centres[:, 2] = (1, SIDE, SIDE), 0.0
    k, j, i = np.indices(shape)
    voxels = random.uniform(1.0, 12.0, shape)
    for centre, brightness in zip(centres, _BRIGHTNESS, strict=True):
        squares = ((np.stack([i, j, k], axis=-1) - centre) ** 2).sum(-1)
        voxels += brightness * np.exp(-squares / (2 * 2.0**2))
    ijk_to_ras = np.eye(4) if dimension == 3 else np.diag([-1.0, -1.0, 1.0, 1.0])
    ijk_to_ras[:3, 3] = 30.0, -50.0, 10.0
    landmarks = LandmarkSet.from_array(LABELS, apply_affine(ijk_to_ras, centres))
    return Volume(voxels.astype(np.float32), ijk_to_ras, f"case{seed}"), landmarks


def write_blob_dataset(folder: Path, dimension: int = 3, missing: dict[str, list[str]] | None = None) -> Path:
    """Write cases with consecutive seeds for all splits; `missing` names the labels that a case lacks."""
    for part in ("volumes", "landmarks"):
        (folder / part).mkdir(parents=True)
    seeds = iter(range(sum(COUNTS.values())))
    splits = {split: [f"case{next(seeds)}" for _ in range(count)] for split, count in COUNTS.items()}
    for seed in range(sum(COUNTS.values())):
        volume, landmarks = blob_case(seed, dimension)
        absent = (missing or {}).get(volume.name, [])
        write_volume(volume, folder / "volumes" / f"{volume.name}.nii.gz")
        present = LandmarkSet({label: None if label in absent else landmarks[label] for label in LABELS})
        write_markups(present, folder / "landmarks" / f"{volume.name}.mrk.json")
    write_description(folder, dimension=dimension, split=splits)
    return folder


def write_description(folder: Path, **changes: object) -> None:
    """Write the dataset.json, or change fields of it."""
    file = folder / "dataset.json"
    content = {
        "name": "three blobs",
        "modality": "simulated",
        "landmarks": [{"label": label} for label in LABELS],
        "licence": "CC0-1.0",
        "source": "made for tests",
        "citation": "none",
    }
    if file.exists():
        content = json.loads(file.read_text())
    file.write_text(json.dumps(content | changes))


def write_recipe(file: Path, recipe: Mapping[str, Mapping[str, object]] = RECIPE, **changes: object) -> Path:
    """Write a recipe with entries of its parts changed."""
    parts = {part: {**recipe.get(part, {}), **changes.get(part, {})} for part in {**recipe, **changes}}
    file.write_text(json.dumps(parts))
    return file
