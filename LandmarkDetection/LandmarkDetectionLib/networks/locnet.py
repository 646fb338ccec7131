"""The localiser network: a U-Net whose heatmaps become positions through their centre of mass [Ma 2020, figure 1]."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .folding import convolution_unit
from .unet import UNet, initialise_rectified

MASS_AT_CENTRE = 1e-5
"""Weight of an image's middle in every centre of mass, so that an empty heatmap has one too: there."""


class LocNet(UNet):
    """Loc-Net: finds landmarks in an image of one channel, in a volume or a picture.

    A U-Net with one 3x3x3 convolution and ReLU a level, max pooling, nearest-neighbour upsampling and concatenation,
    then a 1x1x1 convolution to one channel a landmark; `weights` makes heatmaps of these. The paper draws no more; the
    widths are those of the authors' code, of which the dropout, which the paper does not mention, is left out.

    Args:
        dimension: 2 or 3.
        landmarks: channels of the output.
        widths: channels of the encoder's levels; the decoder has those of all but the deepest in reverse.
        heatmap: how the last channels become the weights of the voxels: rectified, as published, or as the softmax over
            the voxels and "nowhere", whose channel is 0. A rectified heatmap may die in training; this cannot, and what
            is left for "nowhere" tells whether the image shows the landmark at all.
        is_normalised: whether batch normalisation, which the paper does not mention, follows each convolution; in
            detection it is folded into it.
    """

    def __init__(
        self,
        dimension: int,
        landmarks: int,
        widths: Sequence[int] = (16, 32, 64, 128),
        heatmap: Literal["relu", "softmax"] = "relu",
        *,
        is_normalised: bool = False,
    ) -> None:
        def level(before: int, after: int) -> nn.Sequential:
            unit = convolution_unit(dimension, before, after, kernel_size=3, is_normalised=is_normalised)
            return nn.Sequential(unit, nn.ReLU(inplace=True))

        super().__init__(dimension, landmarks, widths, level)
        self.heatmap = heatmap

    def weights(self, channels: Tensor) -> Tensor:
        """Weights of 0 and more of the voxels of channels (batch, n, ...), up to a factor, in single precision."""
        channels = in_single_precision(channels)
        if self.heatmap == "relu":
            return channels.relu()
        return (channels - channels.amax(tuple(range(2, channels.ndim)), keepdim=True)).exp()


def initialise_locnet(network: LocNet, voxels: int) -> None:
    """He initialisation, after which no landmark begins where it is hard to learn from.

    Rectified heatmaps must not be empty: the last weights are positive like the features they weight. Softmax ones
    begin with as much for "nowhere" as for all of `voxels` voxels together, about the number in an image.
    """
    initialise_rectified(network)
    if network.heatmap == "relu":
        network.output.weight.data.abs_()
    else:
        nn.init.constant_(network.output.bias, -math.log(voxels))


def in_single_precision(values: Tensor) -> Tensor:
    """The same values in single precision at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def centre_of_mass(heatmaps: Tensor) -> Tensor:
    """Positions (batch, n, d) in voxels, array order, of weights (batch, n, ...) of 0 and more.

    The authors' code adds 1e-5 to numerator and denominator. Here it is a mass in the middle of the image, so that the
    position does not depend on where voxels are counted from.
    """
    # Positions need more than the eight bits of autocast.
    with torch.autocast(heatmaps.device.type, enabled=False):
        masses = in_single_precision(heatmaps)
        total = masses.flatten(2).sum(-1) + MASS_AT_CENTRE
        positions = []
        for axis, side in enumerate(heatmaps.shape[2:]):
            middle = (side - 1) / 2
            offsets = torch.arange(side, device=masses.device) - middle
            profile = masses.sum([other + 2 for other in range(heatmaps.ndim - 2) if other != axis])
            positions.append((profile * offsets).sum(-1) / total + middle)
        return torch.stack(positions, -1)


def covariance_of_mass(heatmaps: Tensor, centres: Tensor) -> Tensor:
    """Second moments (batch, d, d) about centres (batch, d), in square voxels, of weights (batch, ...) not all 0."""
    axes = range(centres.shape[-1])
    pairs = list(itertools.product(axes, repeat=2))
    profiles = []
    for axis, side in zip(axes, heatmaps.shape[1:], strict=True):
        offsets = torch.arange(side, device=heatmaps.device) - centres[:, axis, None]
        profiles.append(torch.stack([offsets ** pair.count(axis) for pair in pairs], 1))
    moments = contracted(heatmaps, profiles) / heatmaps.flatten(1).sum(1, keepdim=True)
    return moments.unflatten(1, (len(axes), len(axes)))


def centres_of_windows(heatmaps: Tensor, starts: Tensor, size: int) -> Tensor:
    """Centre of mass of what lies within windows of heatmaps, which may begin between voxels.

    A voxel that a window covers in part counts in part, as it would in a heatmap resampled to the window's voxels.

    Args:
        heatmaps: (batch, ...) weights of 0 and more.
        starts: (batch, windows, d) centre of each window's first voxel, in array order.
        size: side of the windows in voxels.

    Returns:
        (batch, windows, d) in voxels of the heatmaps, array order.
    """
    middles = starts + (size - 1) / 2
    covers, moments = [], []
    for axis, side in enumerate(heatmaps.shape[1:]):
        offsets = torch.arange(side, device=heatmaps.device) - middles[..., axis, None]
        cover = (size / 2 + 0.5 - offsets.abs()).clamp(0.0, 1.0)
        covers.append(cover)
        moments.append(cover * offsets)
    total = contracted(heatmaps, covers) + MASS_AT_CENTRE
    shifts = [
        contracted(heatmaps, [*covers[:axis], moment, *covers[axis + 1 :]]) / total
        for axis, moment in enumerate(moments)
    ]
    return middles + torch.stack(shifts, -1)


def contracted(images: Tensor, profiles: Sequence[Tensor]) -> Tensor:
    """Sums (batch, m) of images (batch, ...) times the product of profiles (batch, m, side), one along each axis."""
    values = torch.einsum("b...i,bmi->b...m", images, profiles[-1])
    for profile in reversed(profiles[:-1]):
        values = torch.einsum("b...im,bmi->b...m", values, profile)
    return values
