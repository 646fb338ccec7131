"""The U-Net whose levels a method fills: an encoder, and a decoder that is shown what the encoder saw."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import convolution, max_pooling


class UNet(nn.Module):
    """Max pooling, nearest-neighbour upsampling, concatenation, and a last convolution of one voxel.

    Args:
        dimension: 2 or 3.
        outputs: channels of the output.
        widths: channels of the encoder's levels; the decoder has those of all but the deepest in reverse.
        level: makes what is between two changes of size, from the channels before and after it.
    """

    def __init__(
        self, dimension: int, outputs: int, widths: Sequence[int], level: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(level(before, after) for before, after in itertools.pairwise([1, *widths]))
        self.pool = max_pooling(dimension)(2)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        pairs = list(itertools.pairwise(widths))
        self.decoder = nn.ModuleList(level(deep + shallow, shallow) for shallow, deep in reversed(pairs))
        self.output = convolution(dimension)(widths[0], outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Channels (batch, outputs, ...) of images (batch, 1, ...) of any size."""
        sides = images.shape[2:]
        beyond = [extra for side in reversed(sides) for extra in (0, self.fitting_side(side) - side)]
        # Zeros beyond the end make the sides ones that pooling can halve.
        values = functional.pad(images, beyond) if any(beyond) else images
        skipped = []
        for level in self.encoder[:-1]:
            values = level(values)
            skipped.append(values)
            values = self.pool(values)
        values = self.encoder[-1](values)
        for level in self.decoder:
            values = level(torch.cat([self.upsample(values), skipped.pop()], 1))
        channels = self.output(values)
        return channels[(..., *(slice(side) for side in sides))]

    def fitting_side(self, side: int) -> int:
        """The smallest side, this or larger, that pooling halves without a remainder at every level."""
        period = 2 ** (len(self.encoder) - 1)
        return side + -side % period

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.output.weight.dtype


def initialise_rectified(network: nn.Module) -> None:
    """He initialisation of every convolution [He 2015], without biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
