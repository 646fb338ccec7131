"""Spatial configuration network: what a landmark looks like, times where the others say it is [Payer 2019]."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional

from .folding import convolution_unit
from .layers import average_pooling, convolution
from .locnet import in_single_precision
from .unet import UNet

_SLOPE = 0.1
"""Of the leaky rectifiers on their negative side."""
_LINEAR = {2: "bilinear", 3: "trilinear"}


class SpatialConfigurationNet(nn.Module):
    """Heatmaps that are the product of two components.

    Local appearance: a U-Net of one width, two convolutions a level. It finds all places that look like a landmark.
    Spatial configuration: from means over its heatmaps, four convolutions with large kernels and a last hyperbolic
    tangent. It knows where each landmark may be, seeing those of all others, and suppresses the other places. [Payer et
    al., Integrating spatial configuration into heatmap regression based CNNs for landmark localization, Medical Image
    Analysis 2019, doi:10.1016/j.media.2019.03.007]

    As in the authors' code for volumes, but for what the U-Net shares with the others here: it pools the largest
    instead of the mean, enlarges by the nearest voxel, ends in a convolution of one voxel and has none before its first
    level. The second component is enlarged by linear instead of cubic interpolation. Published are 64 channels; two
    cores have time for 16 in a short training.

    Args:
        dimension: 2 or 3.
        landmarks: n, channels of the output.
        width: channels of every layer of both components.
        levels: of the U-Net.
        kernel_size: of the second component's convolutions.
        pooling: voxels along each axis whose mean the second component sees as one.
        dropout: share of the U-Net's values left out in training.
        is_normalised: whether batch normalisation, which is not published, follows each hidden convolution; in
            detection it is folded into it.
    """

    def __init__(
        self,
        dimension: int,
        landmarks: int,
        *,
        width: int,
        levels: int,
        kernel_size: int,
        pooling: int,
        dropout: float,
        is_normalised: bool,
    ) -> None:
        super().__init__()

        def unit(before: int, after: int, kernel: int) -> list[nn.Module]:
            layer = convolution_unit(dimension, before, after, kernel_size=kernel, is_normalised=is_normalised)
            return [layer, nn.LeakyReLU(_SLOPE, inplace=True)]

        def level(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(
                *unit(before, after, 3), nn.Dropout(dropout), *unit(after, after, 3), nn.Dropout(dropout)
            )

        self.local = UNet(dimension, landmarks, [width] * levels, level)
        self.spatial = nn.Sequential(
            *unit(landmarks, width, kernel_size),
            *unit(width, width, kernel_size),
            *unit(width, width, kernel_size),
            convolution(dimension)(width, landmarks, kernel_size, padding=kernel_size // 2),
            nn.Tanh(),
        )
        self._mean = average_pooling(dimension)(pooling)
        self._pooling, self._mode = pooling, _LINEAR[dimension]

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps (batch, n, ...) of images (batch, 1, ...) of any size."""
        local = self.local(images)
        return local * self.configuration(local)

    def configuration(self, local: Tensor) -> Tensor:
        """Where the landmarks may be, from -1 to 1 (batch, n, ...), by heatmaps of their appearance."""
        sides = local.shape[2:]
        beyond = [(0, -side % self._pooling) for side in reversed(sides)]
        padded = functional.pad(local, list(itertools.chain.from_iterable(beyond)))
        # On a processor, torch takes no means of half-precision volumes.
        means = self._mean(in_single_precision(padded)).to(local.dtype)
        whole = functional.interpolate(self.spatial(means), scale_factor=float(self._pooling), mode=self._mode)
        return whole[(..., *(slice(side) for side in sides))]
