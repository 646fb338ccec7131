"""What one scale of the multi-scale Loc-Net sees and finds, in detection as in training [Ma 2020, section 2]."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import LandmarkDetectionError
from ..models.record import FieldError
from ..networks.locnet import LocNet
from .differentiable_crop import first_voxels, resampled_crops
from .mean_pooling import LARGEST_RATIO, mean_pooled


@dataclass(frozen=True)
class MultiscaleLocNetSettings:
    """The `network` object of a multi-scale Loc-Net's card. Defaults are the paper's.

    Attributes:
        pooling: voxels of the model's grid along each side of a voxel of each scale, coarsest first. With the paper's
            grid of 0.5 mm these are 4, 2, 1 and 0.5 mm.
        crop_size: side of the crops at all scales but the coarsest, which sees the whole image.
        widths: channels of the networks' levels.
        heatmap: see `LocNet`.
        noise_mm: largest shift along each axis before the last scale's crop, in training and detection.
        noise: shifts to both sides, or to one side only as in the authors' code ("reference").
    """

    pooling: tuple[int, ...] = (8, 4, 2, 1)
    crop_size: int = 56
    widths: tuple[int, ...] = (16, 32, 64, 128)
    heatmap: Literal["relu", "softmax"] = "relu"
    noise_mm: float = 5.0
    noise: Literal["symmetric", "reference"] = "symmetric"

    def __post_init__(self) -> None:
        if not self.pooling or not self.widths or min(*self.pooling, *self.widths, self.crop_size) < 1:
            message = "A network needs at least one scale and one level, and no number below 1; correct its settings."
            raise LandmarkDetectionError(message)
        for coarse, fine in itertools.pairwise((*self.pooling, 1)):
            if coarse % fine or coarse // fine > LARGEST_RATIO:
                name, problem = "pooling", f"must fall by whole numbers up to {LARGEST_RATIO}, such as 8, 4, 2, 1"
                raise FieldError(name, problem)
        if self.noise_mm < 0:
            name, problem = "noise_mm", "must not be negative"
            raise FieldError(name, problem)

    @property
    def noise_range_mm(self) -> tuple[float, float]:
        """Smallest and largest shift along each axis."""
        return (-self.noise_mm if self.noise == "symmetric" else 0.0, self.noise_mm)

    def networks(self, dimension: int, landmarks: int) -> nn.ModuleList:
        """A Loc-Net a scale, coarsest first.

        Each has a channel for every landmark. At the finer scales every crop is that of one landmark, and of its
        heatmaps only that landmark's is used, so that with one landmark this is the paper's model.
        """
        return nn.ModuleList(LocNet(dimension, landmarks, self.widths, self.heatmap) for _ in self.pooling)


@dataclass(frozen=True, eq=False)
class ScaleImages:
    """Images at one scale.

    Attributes:
        images: (cases, ...) bytes.
        factor: voxels of the model's grid along each side of a voxel.
        window: bytes that stand for 0 and 1.
    """

    images: Tensor
    factor: int
    window: tuple[int, int]

    def to(self, device: torch.device) -> ScaleImages:
        """The same images on a device."""
        return ScaleImages(self.images.to(device), self.factor, self.window)

    def on_grid(self, positions: Tensor) -> Tensor:
        """Positions on the model's grid of positions at this scale, both in voxels."""
        return positions * self.factor + (self.factor - 1) / 2

    def at_scale(self, positions: Tensor) -> Tensor:
        """Positions at this scale of positions on the model's grid, both in voxels."""
        return (positions - (self.factor - 1) / 2) / self.factor


def scale_images(
    volumes: NDArray[np.uint8], pooling: tuple[int, ...], dimension: int, window: tuple[int, int] = (0, 255)
) -> tuple[ScaleImages, ...]:
    """Images at every scale, coarsest first, each pooled from the next finer one.

    Args:
        volumes: (cases, k, j, i), k = 1 for pictures; bytes on the model's grid.
        pooling: as in the settings.
        dimension: 2 or 3.
        window: bytes that stand for 0 and 1.
    """
    scales = []
    factor_before = 1
    for factor in reversed(pooling):
        if factor > factor_before:
            ratio = factor // factor_before
            volumes = np.stack([mean_pooled(volume, ratio, window, dimension) for volume in volumes])
            window = (0, 255)
        images = torch.from_numpy(volumes)
        scales.append(ScaleImages(images if dimension == 3 else images[:, 0], factor, window))
        factor_before = factor
    return tuple(reversed(scales))


def coarse_positions(network: LocNet, scale: ScaleImages) -> Tensor:
    """Positions (cases, n, d) on the model's grid, in voxels and array order, of all landmarks in whole images."""
    low, high = scale.window
    values = (scale.images.clamp(low, high) - low).to(network.dtype) * (1.0 / (high - low))
    return scale.on_grid(network(values[:, None]))


def refined_positions(
    network: LocNet, scale: ScaleImages, cases: Tensor, landmarks: Tensor, estimates: Tensor, *, crop_size: int
) -> Tensor:
    """Positions (crops, d) on the model's grid, each found in a crop around an estimate (crops, d) of it.

    Differentiable in the estimates too.

    Args:
        network: of this scale.
        scale: what it sees.
        cases, landmarks: (crops,) which image and which landmark each crop is for.
        estimates: (crops, d) on the model's grid, in voxels and array order.
        crop_size: side of the crops in voxels of this scale.
    """
    centres = scale.at_scale(estimates)
    crops = resampled_crops(scale.images, cases, centres, crop_size, scale.window)
    within = network.positions_of(crops.to(network.dtype), landmarks)
    return scale.on_grid(first_voxels(centres, crop_size) + within)
