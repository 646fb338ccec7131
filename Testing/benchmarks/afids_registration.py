"""Brains laid upon each other: an affine map of stripped heads, then demons on what looks alike at any contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from LandmarkDetectionLib.detectors.atlas import atlas_voxels
from LandmarkDetectionLib.detectors.atlas_registration import affine_map, frame_image, part_around
from LandmarkDetectionLib.detectors.grid import Grid
from LandmarkDetectionLib.geometry import FloatArray, apply_affine
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing, canonical_volume
from LandmarkDetectionLib.training.bared_head import without_skull
from LandmarkDetectionLib.volume import Volume

_PREPROCESSING = Preprocessing("RAS", (2.0, 2.0, 2.0))
_AROUND_MM = 5.0
"""Standard deviation of the neighbourhood by whose mean and contrast each voxel is normalised."""
_LEAST_CONTRAST = 6.0
"""Of 255: a neighbourhood that varies less is noise."""
_MOST_DEVIATIONS = 3.0
_SCHEDULE = ((4, 40), (2, 30), (1, 15))
"""Factors by which the images are coarser, and iterations there."""
_SMOOTHNESS_VOXELS = 1.5
"""Standard deviation by which the displacement is smoothed at each iteration."""


@dataclass(frozen=True, eq=False)
class Brain:
    """A head without its skull, in its frame.

    Attributes:
        image: 0 to 255; its physical coordinates are frame millimetres.
        frame_to_ras: 4x4 matrix.
    """

    image: sitk.Image
    frame_to_ras: FloatArray

    @classmethod
    def of(cls, volume: Volume, landmarks: LandmarkSet) -> Brain:
        """The brain that holds these landmarks."""
        stripped = without_skull(volume, landmarks, np.random.default_rng(0))
        canonical = canonical_volume(stripped, _PREPROCESSING)
        return cls(frame_image(atlas_voxels(canonical), Grid.of(canonical)), canonical.frame_to_ras)


@dataclass(frozen=True, eq=False)
class Template(Brain):
    """A brain whose landmarks are known.

    Attributes:
        mask: 1 where the image shows brain, else 0.
        landmarks_mm: (n, 3) in its frame.
    """

    mask: sitk.Image
    landmarks_mm: FloatArray

    @classmethod
    def of_brain(cls, brain: Brain, landmarks_ras: FloatArray, stripped: Brain) -> Template:
        """A template whose mask is that of a well stripped brain, laid upon it."""
        to_stripped = affine_map(brain.image, stripped.image)
        is_brain = sitk.Cast(sitk.BinaryFillhole(stripped.image > 0), sitk.sitkFloat32)
        mask = sitk.Resample(is_brain, brain.image, to_stripped, sitk.sitkLinear) > 0.5
        landmarks_mm = apply_affine(np.linalg.inv(brain.frame_to_ras), landmarks_ras)
        return cls(brain.image, brain.frame_to_ras, sitk.Cast(mask, sitk.sitkFloat32), landmarks_mm)


def carried_affinely(template: Template, brain: Brain) -> FloatArray:
    """The template's landmarks (n, 3) where an affine map alone lays them in a brain, in RAS millimetres."""
    return _through([affine_map(template.image, brain.image)], template, brain)


def carried_bent(template: Template, brain: Brain) -> FloatArray:
    """The template's landmarks (n, 3) where they lie in a brain, in RAS millimetres: after demons, too.

    Demons compare grey levels, which differ between scanners, so both images are given the mean 0 and the deviation 1
    around each voxel; the template's mask tells both what is brain.
    """
    to_brain = affine_map(template.image, brain.image)
    upon = sitk.Resample(brain.image, template.image, to_brain, sitk.sitkLinear)
    parts = [
        part_around(_normalised_locally(image, template.mask), template.landmarks_mm)
        for image in (template.image, upon)
    ]
    return _through([_demons(*parts), to_brain], template, brain)


def _through(maps: list[sitk.Transform], template: Template, brain: Brain) -> FloatArray:
    points = template.landmarks_mm.tolist()
    for one in maps:
        points = [one.TransformPoint(point) for point in points]
    return apply_affine(brain.frame_to_ras, points)


def _normalised_locally(image: sitk.Image, mask: sitk.Image) -> sitk.Image:
    """Deviations of an image from the mean of what the mask shows around each voxel, in standard deviations."""

    def smooth(values: sitk.Image) -> sitk.Image:
        return sitk.Cast(sitk.SmoothingRecursiveGaussian(values, _AROUND_MM), sitk.sitkFloat32)

    weight = sitk.Clamp(smooth(mask), sitk.sitkFloat32, 1e-3)
    mean = sitk.Divide(smooth(image * mask), weight)
    variance = sitk.Divide(smooth(image * image * mask), weight) - mean * mean
    deviation = sitk.Sqrt(sitk.Clamp(variance, sitk.sitkFloat32, _LEAST_CONTRAST**2, 1e6))
    deviations = sitk.Divide(image - mean, deviation)
    return sitk.Clamp(deviations, sitk.sitkFloat32, -_MOST_DEVIATIONS, _MOST_DEVIATIONS) * mask


def _demons(fixed: sitk.Image, moving: sitk.Image) -> sitk.Transform:
    """The map of a fixed image to one that differs in shape, from coarse to fine."""
    field = None
    for factor, iterations in _SCHEDULE:
        coarse_fixed, coarse_moving = (_coarser(image, factor) for image in (fixed, moving))
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(iterations)
        demons.SetStandardDeviations(_SMOOTHNESS_VOXELS)
        start = [] if field is None else [sitk.Resample(field, coarse_fixed)]
        field = demons.Execute(coarse_fixed, coarse_moving, *start)
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def _coarser(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    blur_mm = factor / 2 * image.GetSpacing()[0]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, blur_mm), [factor] * image.GetDimension())
