"""Layers for pictures and volumes by the number of their dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolution3d(nn.Conv3d):
    """A convolution of volumes that learns from few slices, too.

    Where the first axis is shorter than a kernel whose padding keeps the size, torch's gradient of the weights in bf16
    on a CPU reads memory that nobody wrote (seen in 2.13): now and then it is NaN. Slices of zeros behind the last one,
    which are what the padding stands for anyway, change nothing else.
    """

    def forward(self, volumes: Tensor) -> Tensor:
        """Channels (batch, out, k, j, i) of volumes (batch, in, k, j, i)."""
        slices, side = volumes.shape[2], self.kernel_size[0]
        keeps_size = self.stride[0] == 1 and self.padding[0] == side // 2
        if not keeps_size or not 1 < slices < side or not torch.is_grad_enabled():
            return super().forward(volumes)
        padded = functional.pad(volumes, (0, 0, 0, 0, 0, side - slices))
        return super().forward(padded)[:, :, :slices]


def convolution(dimension: int) -> type[nn.Conv2d | Convolution3d]:
    """The convolution of images with 2 or 3 axes."""
    return {2: nn.Conv2d, 3: Convolution3d}[dimension]


def deconvolution(dimension: int) -> type[nn.ConvTranspose2d | nn.ConvTranspose3d]:
    """The transposed convolution of images with 2 or 3 axes."""
    return {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dimension]


def max_pooling(dimension: int) -> type[nn.MaxPool2d | nn.MaxPool3d]:
    """The max pooling of images with 2 or 3 axes."""
    return {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dimension]


def average_pooling(dimension: int) -> type[nn.AvgPool2d | nn.AvgPool3d]:
    """The average pooling of images with 2 or 3 axes."""
    return {2: nn.AvgPool2d, 3: nn.AvgPool3d}[dimension]


def batch_normalisation(dimension: int) -> type[nn.BatchNorm2d | nn.BatchNorm3d]:
    """The batch normalisation of images with 2 or 3 axes."""
    return {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimension]


def channels_last(dimension: int) -> torch.memory_format:
    """The memory format of images with 2 or 3 axes in which convolutions are fastest."""
    return {2: torch.channels_last, 3: torch.channels_last_3d}[dimension]
