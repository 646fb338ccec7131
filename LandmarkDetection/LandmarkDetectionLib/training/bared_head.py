"""Heads as they are shared: the skull stripped off, the face cut away, the fat as bright as the scanner shows it.

All by simple stand-ins of the tools and scanners.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..geometry import FloatArray, apply_affine
from ..landmarks import LandmarkSet
from ..volume import Volume

_BRAIN_MM = 4.0
"""Radius of the opening that parts the brain from the skull; bridges between them are thinner than its diameter."""


def without_skull(volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator) -> Volume:
    """The head with all but its brain black.

    How much of the brain's rim is lost or left differs from one draw to the next, as between tools.

    Args:
        volume: of a head, the brain brighter than what parts it from the skull, as in T1-weighted MRI.
        landmarks: in its brain; all of the volume is returned where none of them lies inside.
        generator: of the draws.
    """
    is_brain = _is_brain(volume, landmarks, generator)
    return dataclasses.replace(volume, voxels=np.where(is_brain, volume.voxels, volume.voxels.min()))


def with_other_scalp(
    volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator, strongest: float
) -> Volume:
    """The head with all but its brain brighter or darker, as the fat of other scanners is.

    Args:
        volume, landmarks, generator: see `without_skull`.
        strongest: logarithm of the largest factor; that of the smallest is minus half of it.
    """
    is_brain = _is_brain(volume, landmarks, generator)
    factor = np.exp(generator.uniform(-0.5, 1.0) * strongest)
    darkest = float(volume.voxels.min())
    voxels = volume.voxels.astype(np.float32)
    return dataclasses.replace(volume, voxels=np.where(is_brain, voxels, darkest + (voxels - darkest) * factor))


def _is_brain(volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which voxels [k, j, i] are the largest body as bright as the brain around its landmarks; all where none is there.

    Thresholding, opening and the largest connected part, as the first tools for it did.
    """
    positions = landmarks.to_array(landmarks.present)
    positions = positions[volume.contains(positions)]
    if not len(positions):
        return np.ones_like(volume.voxels, dtype=bool)
    i, j, k = np.round(apply_affine(np.linalg.inv(volume.ijk_to_ras), positions)).astype(int).clip(0).T
    size = np.array(volume.size) - 1
    brightness = float(np.median(volume.voxels[k.clip(max=size[2]), j.clip(max=size[1]), i.clip(max=size[0])]))
    low, high = brightness * generator.uniform(0.35, 0.55), brightness * 1.8
    is_tissue = (volume.voxels > low) & (volume.voxels < high)
    radius = np.maximum(np.round(_BRAIN_MM / volume.spacing_mm), 1).astype(int).tolist()
    parts = sitk.ConnectedComponent(sitk.BinaryErode(sitk.GetImageFromArray(is_tissue.astype(np.uint8)), radius))
    largest = sitk.RelabelComponent(parts) == 1
    grown = sitk.BinaryDilate(largest, (np.array(radius) + generator.integers(0, 3)).tolist())
    filled = sitk.BinaryFillhole(sitk.BinaryMorphologicalClosing(grown, (2 * np.array(radius)).tolist()))
    return sitk.GetArrayFromImage(filled).astype(bool)


def without_face(volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator) -> Volume:
    """The head with all black that lies before and below an oblique plane 20 to 60 mm beyond its outermost landmark."""
    positions = landmarks.to_array(landmarks.present)
    downwards = np.radians(generator.uniform(15.0, 70.0))
    forward_and_down = np.array([generator.uniform(-0.15, 0.15), np.cos(downwards), -np.sin(downwards)])
    beyond_mm = np.nanmax(positions @ forward_and_down) + generator.uniform(20.0, 60.0)
    is_kept = _along(volume, forward_and_down) < beyond_mm
    return dataclasses.replace(volume, voxels=np.where(is_kept, volume.voxels, volume.voxels.min()))


def _along(volume: Volume, direction_ras: FloatArray) -> FloatArray:
    """How far each voxel [k, j, i] lies along a direction of RAS space, in millimetres from its origin."""
    per_voxel = direction_ras @ volume.ijk_to_ras[:3, :3]
    axes = [per_voxel[axis] * np.arange(volume.size[axis]) for axis in range(3)]
    return direction_ras @ volume.ijk_to_ras[:3, 3] + axes[2][:, None, None] + axes[1][:, None] + axes[0]
