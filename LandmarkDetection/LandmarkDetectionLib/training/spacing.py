"""The voxel size of a model's frame where it follows from the size of the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .cases import TrainingCase


def spacing_of_longest_side(cases: Sequence[TrainingCase], voxels: float) -> float:
    """A voxel size in millimetres, in two digits, at which the longest side of an image has so many on average.

    Or the images' own where that is coarser: there is nothing finer to see.
    """
    volumes = [case.volume for case in cases]
    longest_mm = np.mean([np.max(np.array(volume.size) * volume.spacing_mm) for volume in volumes])
    finest_mm = np.mean([np.min(volume.spacing_mm[np.array(volume.size) > 1]) for volume in volumes])
    return float(f"{max(longest_mm / voxels, finest_mm):.2g}")
