"""Random looks of the same image: other contrast, exposure, sharpness, noise and compression."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..geometry import FloatArray

if TYPE_CHECKING:
    from monai.transforms import Compose


class Look(Protocol):
    """How far the look of a variant may differ from that of its case; 0 leaves it as it is.

    Attributes:
        gamma: strongest change of the contrast curve (log).
        tone: share of variants whose intensities pass a random rising curve of three to six straight pieces.
        noise: its largest standard deviation, as a share of the window.
        blur_mm: largest standard deviation of the smoothing.
        sharpen: how many times the finest structures are added once more at most.
        bias: strongest shading.
        jpeg: share of pictures that are compressed as JPEG, at any quality from 10 to 90.
    """

    gamma: float
    tone: float
    noise: float
    blur_mm: float
    sharpen: float
    bias: float
    jpeg: float


def with_another_look(windowed: FloatArray, most: Look, voxel_mm: float, generator: np.random.Generator) -> FloatArray:
    """A random look of voxels [k, j, i] from 0 to 1 of `voxel_mm`; what has a single slice is a picture."""
    # MONAI's transforms keep their random state in themselves, and variants are made by several threads at once.
    transforms = _transforms(most, voxel_mm)
    transforms.set_random_state(seed=int(generator.integers(2**31)))
    # MONAI wants a channel first: the one slice of a picture serves as that, lest it be smoothed away.
    is_picture = len(windowed) == 1
    looked = np.asarray(transforms(windowed if is_picture else windowed[None])).reshape(windowed.shape)
    looked = np.clip(looked, 0.0, 1.0)
    if is_picture and most.jpeg and generator.random() < most.jpeg:
        return jpeg_compressed(looked[0], int(generator.integers(10, 91)))[None]
    return looked


def jpeg_compressed(picture: FloatArray, quality: int) -> FloatArray:
    """Pixels [j, i] from 0 to 1 as they are after JPEG at a quality from 0 to 100, in 256 shades."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / 255


def _transforms(most: Look, voxel_mm: float) -> Compose:
    from monai.transforms import (
        Compose,
        RandAdjustContrast,
        RandBiasField,
        RandGaussianNoise,
        RandGaussianSharpen,
        RandGaussianSmooth,
        RandHistogramShift,
    )

    transforms = []
    if most.gamma > 0:
        transforms.append(RandAdjustContrast(prob=0.7, gamma=(np.exp(-most.gamma), np.exp(most.gamma))))
    if most.tone > 0:
        transforms.append(RandHistogramShift(num_control_points=(4, 7), prob=most.tone))
    if most.bias > 0:
        transforms.append(RandBiasField(prob=0.5, degree=2, coeff_range=(-most.bias, most.bias)))
    if most.blur_mm > 0:
        sigma = (0.0, most.blur_mm / voxel_mm)
        transforms.append(RandGaussianSmooth(prob=0.3, sigma_x=sigma, sigma_y=sigma, sigma_z=sigma))
    if most.sharpen > 0:
        finest, fine = (0.1, 0.1), (0.7, 1.5)
        transforms.append(
            RandGaussianSharpen(finest, finest, finest, fine, fine, fine, alpha=(0.0, most.sharpen), prob=0.3)
        )
    if most.noise > 0:
        transforms.append(RandGaussianNoise(prob=0.5, std=most.noise))
    return Compose(transforms)
