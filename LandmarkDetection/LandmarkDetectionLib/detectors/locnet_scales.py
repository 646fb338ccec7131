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
from ..models.card import ModelCard
from ..models.record import FieldError
from ..networks.locnet import LocNet, centre_of_mass, covariance_of_mass, in_single_precision
from .differentiable_crop import first_voxels, resampled_crops
from .ellipse_outline import LEAST_POINTS, EllipseOutline
from .mean_pooling import LARGEST_RATIO, mean_pooled


@dataclass(frozen=True)
class MultiscaleLocNetSettings:
    """The `network` object of a multi-scale Loc-Net's card. Defaults are the paper's.

    Attributes:
        pooling: voxels of the model's grid along each side of a voxel of each scale, coarsest first. With the paper's
            grid of 0.5 mm these are 4, 2, 1 and 0.5 mm.
        crop_size: side of the crops at all scales but the coarsest, which sees the whole image.
        widths: channels of the networks' levels.
        heatmap, is_normalised: see `LocNet`.
        noise_mm: largest shift along each axis before the last scale's crop, in training and detection.
        noise: shifts to both sides, or to one side only as in the authors' code ("reference").
        outline_points: points of an ellipse's outline that are looked for in place of the landmarks, the ends of its
            axes; 0 for the landmarks themselves. See `EllipseOutline`.
    """

    pooling: tuple[int, ...] = (8, 4, 2, 1)
    crop_size: int = 56
    widths: tuple[int, ...] = (16, 32, 64, 128)
    heatmap: Literal["relu", "softmax"] = "relu"
    is_normalised: bool = False
    noise_mm: float = 5.0
    noise: Literal["symmetric", "reference"] = "symmetric"
    outline_points: int = 0

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
        if self.outline_points and self.outline_points < LEAST_POINTS:
            name, problem = "outline_points", f"must be 0, or at least {LEAST_POINTS} for an ellipse"
            raise FieldError(name, problem)

    @property
    def noise_range_mm(self) -> tuple[float, float]:
        """Smallest and largest shift along each axis."""
        return (-self.noise_mm if self.noise == "symmetric" else 0.0, self.noise_mm)

    def outline(self, card: ModelCard) -> EllipseOutline | None:
        """Of the ellipse that is looked for in place of the card's landmarks, if one is.

        Raises:
            LandmarkDetectionError: if these are not the ends of its axes.
        """
        return EllipseOutline.of(card, self.outline_points) if self.outline_points else None

    def networks(self, dimension: int, landmarks: int) -> nn.ModuleList:
        """A Loc-Net a scale, coarsest first, for landmarks or as many points of an outline.

        Each has a channel for every landmark. At the finer scales every crop is that of one landmark, and of its
        heatmaps only that landmark's is used, so that with one landmark this is the paper's model.
        """
        return nn.ModuleList(
            LocNet(dimension, landmarks, self.widths, self.heatmap, is_normalised=self.is_normalised)
            for _ in self.pooling
        )


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


@dataclass(frozen=True, eq=False)
class Sighting:
    """What one scale finds; each point is one landmark in one image.

    Attributes:
        cases, landmarks: (points,) index of the image and of the landmark.
        positions: (points, d) on the model's grid, in voxels and array order.
        channels: (points, ...) what the network says of each voxel it sees, in single precision.
        scale: at which it sees them.
        firsts: (points, d) where, at this scale, the first of these voxels is.
    """

    cases: Tensor
    landmarks: Tensor
    positions: Tensor
    channels: Tensor
    scale: ScaleImages
    firsts: Tensor

    @property
    def presence_logits(self) -> Tensor:
        """Logit (points,) that the voxels hold the landmark, if the heatmaps are softmax ones, which know "nowhere"."""
        return self.channels.flatten(1).logsumexp(1)

    @property
    def voxels(self) -> Tensor:
        """Positions (points, voxels, d) of what the network sees on the model's grid, in array order."""
        sides = self.channels.shape[1:]
        indices = torch.cartesian_prod(*(torch.arange(side, device=self.channels.device) for side in sides))
        return self.scale.on_grid(indices + self.firsts[:, None])

    def masses(self, network: LocNet) -> Tensor:
        """Probabilities (points, voxels) of where the landmark is; evenly spread as far as it may be nowhere."""
        shares = self._shares(network).flatten(1)
        if network.heatmap == "relu":
            return shares
        even = torch.full_like(shares, 1.0 / shares.shape[1])
        return even.lerp(shares, self.presence_logits.sigmoid()[:, None])

    def covariances(self, network: LocNet) -> Tensor:
        """Covariances (points, d, d) of the heatmaps about the positions, in voxels of the model's grid."""
        centres = self.scale.at_scale(self.positions) - self.firsts
        return self.scale.factor**2 * covariance_of_mass(self._shares(network), centres)

    def _shares(self, network: LocNet) -> Tensor:
        """Of every voxel in the heatmap's mass (points, ...); evenly spread where the heatmap is empty."""
        weights = network.weights(self.channels[:, None])[:, 0]
        total = weights.flatten(1).sum(1).view(-1, *[1] * (weights.ndim - 1))
        even = torch.full_like(weights, 1.0 / weights[0].numel())
        return torch.where(total > 0, weights / total.clamp(min=torch.finfo(weights.dtype).tiny), even)


def coarse_sighting(network: LocNet, scale: ScaleImages) -> Sighting:
    """All landmarks in whole images, one image after the other."""
    low, high = scale.window
    values = (scale.images.clamp(low, high) - low).to(network.dtype) * (1.0 / (high - low))
    channels = in_single_precision(network(values[:, None]))
    positions = scale.on_grid(centre_of_mass(network.weights(channels)).flatten(0, 1))
    images, count = channels.shape[:2]
    cases = torch.arange(images, device=values.device).repeat_interleave(count)
    landmarks = torch.arange(count, device=values.device).repeat(images)
    return Sighting(cases, landmarks, positions, channels.flatten(0, 1), scale, torch.zeros_like(positions))


def refined_sighting(
    network: LocNet, scale: ScaleImages, cases: Tensor, landmarks: Tensor, estimates: Tensor, *, crop_size: int
) -> Sighting:
    """Landmarks in crops around estimates of their positions; differentiable in these too.

    Args:
        network: of this scale.
        scale: what it sees.
        cases, landmarks: (points,) which image and which landmark each crop is for.
        estimates: (points, d) on the model's grid, in voxels and array order.
        crop_size: side of the crops in voxels of this scale.
    """
    centres = scale.at_scale(estimates)
    firsts = first_voxels(centres, crop_size)
    crops = resampled_crops(scale.images, cases, centres, crop_size, scale.window)
    all_channels = network(crops.to(network.dtype))
    channels = in_single_precision(all_channels[torch.arange(len(crops), device=crops.device), landmarks])
    within = centre_of_mass(network.weights(channels[:, None]))[:, 0]
    return Sighting(cases, landmarks, scale.on_grid(firsts + within), channels, scale, firsts)
