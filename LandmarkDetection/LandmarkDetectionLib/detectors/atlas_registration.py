"""Registration of an atlas to an image: an affine map, then one that bends, by mutual information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..geometry import FloatArray
from ..models.record import FieldError
from .grid import Grid

_HISTOGRAM_BINS = 32
_AFFINE_ITERATIONS = 100
_FIRST_STEP_MM, _LAST_STEP_MM = 2.0, 0.01
_FEWEST_VOXELS = 12
_FEWEST_SLICES = 4
"""Along the second longest and the shortest side of an image so coarse that it is still registered."""
_MOST_SAMPLES = 5_000
"""Voxels from which the mutual information is estimated; four times as many take thrice as long."""
_ATTEMPTS_AN_ITERATION = 4
_MARGIN_MM = 25.0
"""Around an atlas's landmarks, what the bending must fit: there is enough to see, and the rest cannot distract it."""


@dataclass(frozen=True)
class AtlasInference:
    """The `inference` object of an atlas model card.

    Attributes:
        control_points_mm: distance of the control points by which an atlas is bent, at the finest.
        iterations: steps of the bending at each scale, at most.
    """

    control_points_mm: float = 40.0
    iterations: int = 15

    def __post_init__(self) -> None:
        for name in ("control_points_mm", "iterations"):
            if getattr(self, name) <= 0:
                raise FieldError(name, "must be above zero")


def frame_image(voxels: NDArray[np.uint8], grid: Grid) -> sitk.Image:
    """Voxels [k, j, i] as an image of d axes whose physical coordinates are frame millimetres."""
    image = sitk.GetImageFromArray((voxels if grid.dimension == 3 else voxels[0]).astype(np.float32))
    image.SetSpacing(grid.spacing_mm[: grid.dimension].tolist())
    image.SetOrigin((-grid.origin_ijk * grid.spacing_mm)[: grid.dimension].tolist())
    return image


def carried(atlas: sitk.Image, landmarks_mm: FloatArray, target: sitk.Image, inference: AtlasInference) -> FloatArray:
    """An atlas's landmarks (n, 3) where they lie in a target: registered from coarse to fine, all in frame millimetres.

    First an affine map of the whole images, from their frames' common origin on; then B-splines, whose control points
    come to lie closer, for what surrounds the landmarks. Both make Mattes' mutual information largest [Mattes 2003].

    Args:
        atlas, target: as `frame_image` returns them.
        landmarks_mm: NaN where missing, as they stay.
        inference: from the model card.

    Raises:
        RuntimeError: by SimpleITK, if the images cannot be registered.
    """
    dimension = atlas.GetDimension()
    is_there = ~np.isnan(landmarks_mm).any(1)
    starts = landmarks_mm[is_there, :dimension]
    laid = affine_map(atlas, target)
    part = part_around(atlas, starts)
    for factor in _factors(part, (2, 1)):
        # What was found before is done to the target, because SimpleITK bends nothing that is bent already.
        unbent = sitk.Resample(target, atlas, laid, sitk.sitkLinear)
        laid.AddTransform(_bending(part, unbent, factor, inference))
    found = landmarks_mm.copy()
    found[is_there, :dimension] = [laid.TransformPoint(start) for start in starts.tolist()]
    return found


def affine_map(atlas: sitk.Image, target: sitk.Image) -> sitk.CompositeTransform:
    """The map of an atlas to a target, alone yet."""
    affine = sitk.AffineTransform(atlas.GetDimension())
    registration = _mutual_information(atlas, _factors(atlas, (4, 2)))
    registration.SetOptimizerAsRegularStepGradientDescent(_FIRST_STEP_MM, _LAST_STEP_MM, _AFFINE_ITERATIONS)
    registration.SetOptimizerScalesFromPhysicalShift()
    registration.SetInitialTransform(affine, inPlace=True)
    registration.Execute(atlas, target)
    return sitk.CompositeTransform([affine])


def _bending(part: sitk.Image, target: sitk.Image, factor: int, inference: AtlasInference) -> sitk.BSplineTransform:
    """The map of a part of an atlas to a target, with images and control points that are coarser by a factor."""
    sides_mm = np.array(part.GetSize()) * part.GetSpacing()
    mesh = [max(round(side_mm / inference.control_points_mm / factor), 1) for side_mm in sides_mm]
    bending = sitk.BSplineTransformInitializer(part, mesh)
    registration = _mutual_information(part, [factor])
    registration.SetOptimizerAsLBFGSB(
        numberOfIterations=inference.iterations,
        maximumNumberOfFunctionEvaluations=_ATTEMPTS_AN_ITERATION * inference.iterations,
    )
    registration.SetInitialTransform(bending, inPlace=True)
    registration.Execute(part, target)
    return bending


def _mutual_information(fixed: sitk.Image, factors: list[int]) -> sitk.ImageRegistrationMethod:
    """A registration that lacks its optimiser and its transform yet, at scales coarser by these factors."""
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(_HISTOGRAM_BINS)
    registration.SetMetricSamplingStrategy(registration.RANDOM)
    voxels = [fixed.GetNumberOfPixels() / factor ** fixed.GetDimension() for factor in factors]
    shares = [min(_MOST_SAMPLES / count, 1.0) for count in voxels]
    registration.SetMetricSamplingPercentagePerLevel(shares, seed=1)
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetShrinkFactorsPerLevel(factors)
    registration.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0.0 for factor in factors])
    registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return registration


def _factors(image: sitk.Image, wanted: tuple[int, ...]) -> list[int]:
    """Those of the factors by which an image may shrink, and 1 if it is too small for any."""
    sides = sorted(image.GetSize())
    fits = [sides[-2] >= factor * _FEWEST_VOXELS and sides[0] >= factor * _FEWEST_SLICES for factor in wanted]
    return [factor for factor, is_fine in zip(wanted, fits, strict=True) if is_fine] or [1]


def part_around(image: sitk.Image, positions_mm: FloatArray) -> sitk.Image:
    """The part of an image that holds positions (n, d) and a margin around them."""
    corners_mm = np.array([positions_mm.min(0) - _MARGIN_MM, positions_mm.max(0) + _MARGIN_MM])
    voxels = np.round((corners_mm - image.GetOrigin()) / image.GetSpacing()).astype(int)
    first, last = np.clip(voxels, 0, np.array(image.GetSize()) - 1)
    return image[tuple(slice(int(start), int(stop) + 1) for start, stop in zip(first, last, strict=True))]
