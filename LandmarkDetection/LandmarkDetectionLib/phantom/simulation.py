"""From a seed to a phantom: anatomy, probe, tissue and image, each in its own file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..landmarks import LandmarkSet
from ..volume import Volume
from .anatomy import random_head
from .probe import random_beams, voxel_grid
from .tissue import paint_tissue
from .ultrasound import image_of


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated volume (uint8, orientation PRS, centred on RAS 0) and its exact landmarks."""

    volume: Volume
    landmarks: LandmarkSet


def generate_phantom(seed: int, spacing_mm: float = 0.5) -> Phantom:
    """The phantom of a seed: anatomy, pose and scanner are the same at every spacing, speckle is not."""
    head = random_head(seed)
    settings, noise = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    beams = random_beams(settings, spacing_mm)
    tissue = paint_tissue(head, beams, settings)
    voxels = beams.to_voxels(image_of(tissue, beams, settings, noise))
    return Phantom(Volume(voxels, voxel_grid(spacing_mm)[1], f"phantom-{seed:04d}"), head.landmarks())


def phantom_landmarks(seed: int) -> LandmarkSet:
    """The landmarks of a seed's phantom, RAS millimetres, without an image."""
    return random_head(seed).landmarks()
