"""How like the picture on a predicted standard plane is to the one on the true plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from ..planes import PlaneDefinition, StandardPlane
from ..reslicing import reslice
from ..volume import Volume
from .derived import plane_or_none

_WINDOW_PERCENTILES = (0.5, 99.5)
_SMALLEST_ERROR = 1e-10
"""Two pictures that are the same have 100 dB, not infinitely many."""

_SIGMA, _RADIUS_IN_SIGMAS = 1.5, 3.5
_K1, _K2 = 0.01, 0.03


@dataclass(frozen=True)
class ImageSimilarity:
    """Mean squared error, peak signal-to-noise ratio and structural similarity of two pictures of range 1."""

    mse: float
    psnr_db: float
    ssim: float


def plane_image_similarities(
    volume: Volume, definitions: Sequence[PlaneDefinition], truth: LandmarkSet, predicted: LandmarkSet
) -> dict[str, ImageSimilarity]:
    """By name, for the planes that both sets of landmarks define; none in a picture, which is its own plane.

    The pictures are resliced at the volume's smallest voxel size, and scaled so that the 0.5 and 99.5 percentiles of
    the true one are 0 and 1; beyond, they are clipped.
    """
    similarities = {}
    for definition in definitions if volume.dimension == 3 else ():
        planes = [plane_or_none(definition, landmarks) for landmarks in (truth, predicted)]
        if None not in planes:
            true, found = (_pixels(volume, plane) for plane in planes)
            darkest, brightest = np.percentile(true, _WINDOW_PERCENTILES)
            scale = max(brightest - darkest, np.finfo(np.float32).tiny)
            scaled = [np.clip((picture - darkest) / scale, 0.0, 1.0) for picture in (true, found)]
            similarities[definition.name] = image_similarity(*scaled)
    return similarities


def image_similarity(first: FloatArray, second: FloatArray) -> ImageSimilarity:
    """Compare two pictures (rows, columns) of values from 0 to 1."""
    mse = float(np.mean((first - second) ** 2))
    return ImageSimilarity(mse, -10.0 * float(np.log10(max(mse, _SMALLEST_ERROR))), _ssim(first, second))


def _pixels(volume: Volume, plane: StandardPlane) -> FloatArray:
    return reslice(volume, plane, float(volume.spacing_mm.min())).voxels[0].astype(np.float64)


def _ssim(first: FloatArray, second: FloatArray) -> float:
    """Mean structural similarity in Gaussian windows of 11 x 11 pixels [Wang 2004, section III-C]."""
    from scipy.ndimage import gaussian_filter

    def local_mean(picture: FloatArray) -> FloatArray:
        return gaussian_filter(picture, _SIGMA, truncate=_RADIUS_IN_SIGMAS)

    mean1, mean2 = local_mean(first), local_mean(second)
    variance1, variance2 = local_mean(first**2) - mean1**2, local_mean(second**2) - mean2**2
    covariance = local_mean(first * second) - mean1 * mean2
    likeness = (2 * mean1 * mean2 + _K1**2) / (mean1**2 + mean2**2 + _K1**2)
    structure = (2 * covariance + _K2**2) / (variance1 + variance2 + _K2**2)
    return float(np.mean(likeness * structure))
