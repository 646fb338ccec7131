"""Volumes with two bright spots, and the tiny model that finds them: what the modules' self-tests are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .landmarks import LandmarkSet
from .models.registry import resources_folder
from .volume import Volume

SPOTS = ("bright", "dim")
SPOTS_MODEL = "spots"
"""Name of the tiny model; Testing/spots_model.py trained it."""

_SIDE_MM = 24
_CENTRES_MM = np.array([[7.0, 12.0, 11.0], [16.0, 8.0, 13.0]])
_BRIGHTNESS = (200.0, 100.0)
_LARGEST_SHIFT_MM = 3.0


def spots_case(seed: int) -> tuple[Volume, LandmarkSet]:
    """A volume of 24 mm a side in which both spots are shifted together, and where they are."""
    random = np.random.default_rng(seed)
    centres = _CENTRES_MM + random.uniform(-_LARGEST_SHIFT_MM, _LARGEST_SHIFT_MM, 3)
    voxels = random.uniform(1.0, 10.0, (_SIDE_MM,) * 3)
    k, j, i = np.indices(voxels.shape)
    for centre, brightness in zip(centres, _BRIGHTNESS, strict=True):
        squares = ((np.stack([i, j, k], axis=-1) - centre) ** 2).sum(-1)
        voxels += brightness * np.exp(-squares / 8.0)
    return Volume(voxels.astype(np.float32), np.eye(4), f"spots{seed}"), LandmarkSet.from_array(SPOTS, centres)


def spots_models_folder() -> Path:
    """A folder of imported models that holds the tiny one alone; users' choosers never list it."""
    return resources_folder() / "SelfTest"
