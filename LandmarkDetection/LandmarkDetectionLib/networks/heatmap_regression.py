"""Heatmaps with a spot for each landmark, and what belongs to them whatever network makes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .folding import CONVOLUTION
from .unet import initialise_rectified
from .usual_heat import follow_heat

_FIRST_WEIGHTS = 1e-3
"""Standard deviation of the weights of a layer of heatmaps, which are to begin cold, as in the authors' code."""


class HeatmapRegression(nn.Module):
    """A network of heatmaps, the widths of the spots that it learns, and how hot these usually become.

    Args:
        heatmaps: (batch, n, ...) of images (batch, 1, ...).
        landmarks: n.
        sigma: standard deviation of the spots in voxels, at the beginning.
        learns_sigmas: whether each landmark's own is learned too.

    Attributes:
        sigmas: (n,) standard deviations of the spots in voxels.
        usual_heat: (n,) of the landmarks at their true positions, as it was towards the end of the training.
    """

    def __init__(self, heatmaps: nn.Module, landmarks: int, sigma: float, *, learns_sigmas: bool) -> None:
        super().__init__()
        self.heatmaps = heatmaps
        self._first_sigma = sigma
        sigmas = torch.full((landmarks,), sigma)
        if learns_sigmas:
            self.sigmas = nn.Parameter(sigmas)
        else:
            self.register_buffer("sigmas", sigmas)
        self.register_buffer("usual_heat", torch.ones(landmarks))

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps (batch, n, ...) of images (batch, 1, ...) of any size."""
        return self.heatmaps(images)

    def spot_heights(self, dimension: int) -> Tensor:
        """Heights (n,) of the spots, which all hold as much heat as one of the first deviation and a height of 1.

        The published factor of 1000 before the normal distribution is this for 4 voxels in volumes, within a hundredth.
        """
        return (self._first_sigma / self.sigmas) ** dimension

    def follow(self, heat: Tensor, is_shown: Tensor) -> None:
        """Let the usual heat follow that (batch, n) of a training batch, where the landmark (batch, n) is shown."""
        follow_heat(self.usual_heat, heat, is_shown)


def initialise_heatmaps(network: HeatmapRegression) -> None:
    """He initialisation, but of the layers that make heatmaps: those no unit holds."""
    initialise_rectified(network)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and not name.endswith(f".{CONVOLUTION}"):
            nn.init.normal_(module.weight, std=_FIRST_WEIGHTS)
