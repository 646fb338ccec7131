"""How a volume must be turned and moved to lie as a model's template does, found by registration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from ..errors import LandmarkDetectionError
from ..geometry import RAS_TO_LPS, FloatArray, apply_affine
from ..models.bundle import ModelBundle
from ..preprocessing import Preprocessing, intensity_window, profile_moments
from ..volume import Volume, to_sitk
from .weights import TEMPLATE, do_not_fit

_ROTATIONS = 700
"""At least one of so many evenly spread ones is within some 25 degrees of any."""
_POINTS = 1500
_CANDIDATES = 6
_COARSE = 2
"""Voxels along each axis whose mean the search over all rotations sees as one."""
_LEAST_VOXELS = 4
"""Along each axis: registration smooths no fewer."""


@dataclass(frozen=True, eq=False)
class PoseTemplate:
    """What the volumes of a model look like when they lie as in its training.

    Attributes:
        voxels: bytes [k, j, i], 0 to 255 over the intensity window; i, j, k point right, anterior and superior, and the
            middle lies in the origin of RAS space.
        preprocessing: of the model; its `pose_spacing_mm` is the size of these voxels.
    """

    voxels: NDArray[np.uint8]
    preprocessing: Preprocessing

    @classmethod
    def of(cls, bundle: ModelBundle) -> PoseTemplate | None:
        """A model's; None if it takes volumes as they lie.

        Raises:
            LandmarkDetectionError: if the bundle lacks it, or no volume can be laid as it lies.
        """
        if not bundle.card.preprocessing.pose_spacing_mm:
            return None
        voxels = bundle.tensors.get(TEMPLATE)
        if voxels is None or voxels.dtype != torch.uint8 or voxels.ndim != 3:
            raise do_not_fit(bundle)
        if min(voxels.shape) < _LEAST_VOXELS or not voxels.any():
            raise do_not_fit(bundle)
        return cls(voxels.numpy(), bundle.card.preprocessing)

    @property
    def volume(self) -> Volume:
        """The template in space."""
        return centred_volume(self.voxels, self.preprocessing.pose_spacing_mm)

    def pose_of(self, volume: Volume) -> FloatArray:
        """4x4 rigid map of RAS space that lays a volume as the template lies.

        The centroids of the intensities and evenly spread rotations are tried with few voxels, and the best of these
        refined by registration; the one with the highest correlation counts.

        Raises:
            LandmarkDetectionError: as `windowed_volume`.
        """
        template, moving = self.volume, windowed_volume(volume, self.preprocessing)
        starts = _best_rotations(template, moving)
        centres = _centroid_ras(template), _centroid_ras(moving)
        fixed_image, moving_image = (sitk.Cast(to_sitk(one), sitk.sitkFloat32) for one in (template, moving))
        coarse = [_registered(fixed_image, moving_image, _euler(start, *centres), _COARSE) for start in starts]
        _, best = max(coarse, key=lambda found: found[0])
        _, found = _registered(fixed_image, moving_image, best, 1)
        return np.linalg.inv(_matrix(found))


def centred_volume(voxels: NDArray, spacing_mm: float) -> Volume:
    """Voxels [k, j, i] around the origin of RAS space, along its axes."""
    ijk_to_ras = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    ijk_to_ras[:3, 3] = -spacing_mm * (np.array(voxels.shape[::-1]) - 1) / 2
    return Volume(voxels, ijk_to_ras)


def windowed_volume(volume: Volume, preprocessing: Preprocessing) -> Volume:
    """A volume in the template's voxel size, 0 to 255 over its intensity window.

    Raises:
        LandmarkDetectionError: if the volume is constant, thinner than four of these voxels, or dark on all of them.
    """
    low, high = intensity_window(volume, preprocessing)
    spacing_mm = preprocessing.pose_spacing_mm
    reduced = volume.resampled([spacing_mm] * 3)
    if min(reduced.size) < _LEAST_VOXELS:
        message = (
            f"{volume.name}: it is thinner than {_LEAST_VOXELS} voxels of {spacing_mm:g} mm, so that nothing tells how "
            "it lies; choose a thicker volume."
        )
        raise LandmarkDetectionError(message)
    voxels = np.clip((reduced.voxels.astype(np.float32) - low) / (high - low), 0.0, 1.0) * 255.0
    if not voxels.any():
        message = (
            f"{volume.name}: nothing in it is as large as a voxel of {spacing_mm:g} mm, so that nothing tells how it "
            "lies; choose another volume."
        )
        raise LandmarkDetectionError(message)
    return Volume(voxels, reduced.ijk_to_ras, volume.name)


def _best_rotations(template: Volume, moving: Volume) -> list[FloatArray]:
    """The rotations about the centroids, from the template to the volume, with the highest correlations."""
    coarse_mm = _COARSE * template.spacing_mm
    reduced, seen = template.resampled(coarse_mm), moving.resampled(coarse_mm)
    indices = np.stack(np.meshgrid(*map(np.arange, reduced.size), indexing="ij"), axis=-1).reshape(-1, 3)
    indices = indices[:: max(1, len(indices) // _POINTS)]
    values = reduced.voxels[tuple(indices.T[::-1])]
    offsets = apply_affine(reduced.ijk_to_ras, indices) - _centroid_ras(reduced)
    rotations = evenly_spread_rotations(_ROTATIONS)
    positions = np.einsum("rab,pb->rpa", rotations, offsets) + _centroid_ras(seen)
    correlations = _correlations(values, _sampled(seen, positions))
    return [rotations[index] for index in np.argsort(-correlations)[:_CANDIDATES]]


def evenly_spread_rotations(count: int) -> FloatArray:
    """Rotation matrices (count, 3, 3) along a spiral of unit quaternions [Alexa 2022, "Super-Fibonacci spirals"]."""
    turns, other_turns = np.sqrt(2.0), 1.533751168755204288118041
    steps = np.arange(count) + 0.5
    inner, outer = np.sqrt(steps / count), np.sqrt(1.0 - steps / count)
    first, second = 2.0 * np.pi * steps / turns, 2.0 * np.pi * steps / other_turns
    x, y, z, w = inner * np.sin(first), inner * np.cos(first), outer * np.sin(second), outer * np.cos(second)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)


def _centroid_ras(volume: Volume) -> FloatArray:
    """Mean position (3,) of the intensities."""
    return apply_affine(volume.ijk_to_ras, profile_moments(volume.voxels)[0])


def _sampled(volume: Volume, positions_ras: FloatArray) -> FloatArray:
    """Intensities at positions (rotations, points, 3), between voxels linear, 0 outside."""
    ijk = apply_affine(np.linalg.inv(volume.ijk_to_ras), positions_ras)
    relative = 2.0 * ijk / np.maximum(np.array(volume.size) - 1, 1) - 1.0
    image = torch.from_numpy(volume.voxels)[None, None]
    places = torch.from_numpy(relative.astype(np.float32))[None, :, :, None]
    return grid_sample(image, places, align_corners=True)[0, 0, :, :, 0].numpy()


def _correlations(values: FloatArray, sampled: FloatArray) -> FloatArray:
    """Of values (points,) with each row of others (rotations, points)."""
    values = values - values.mean()
    deviations = sampled - sampled.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(values) * np.linalg.norm(deviations, axis=1)
    return deviations @ values / np.maximum(norms, 1e-9)


def _registered(
    fixed: sitk.Image, moving: sitk.Image, start: sitk.Euler3DTransform, shrink: int
) -> tuple[float, sitk.Euler3DTransform]:
    """The correlation at the end, and the map from points of the fixed to points of the moving image."""
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsCorrelation()
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(
        learningRate=shrink * fixed.GetSpacing()[0], minStep=0.02 * fixed.GetSpacing()[0], numberOfIterations=60
    )
    registration.SetOptimizerScalesFromPhysicalShift()
    registration.SetInitialTransform(sitk.Euler3DTransform(start), inPlace=False)
    registration.SetShrinkFactorsPerLevel([shrink])
    registration.SetSmoothingSigmasPerLevel([0.5 * (shrink - 1)])
    found = sitk.Euler3DTransform(sitk.CompositeTransform(registration.Execute(fixed, moving)).GetBackTransform())
    return -registration.GetMetricValue(), found


def _euler(rotation: FloatArray, centre_ras: FloatArray, moved_centre_ras: FloatArray) -> sitk.Euler3DTransform:
    """The map that turns about a centre and moves that to another place; both in RAS."""
    flip = RAS_TO_LPS[:3, :3]
    transform = sitk.Euler3DTransform()
    transform.SetCenter((flip @ centre_ras).tolist())
    transform.SetMatrix((flip @ rotation @ flip).ravel().tolist(), 1e-6)
    transform.SetTranslation((flip @ (moved_centre_ras - centre_ras)).tolist())
    return transform


def _matrix(transform: sitk.Euler3DTransform) -> FloatArray:
    """4x4 matrix in RAS of a map of points in LPS."""
    linear, centre = np.reshape(transform.GetMatrix(), (3, 3)), np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - linear @ centre
    return RAS_TO_LPS @ matrix @ RAS_TO_LPS
