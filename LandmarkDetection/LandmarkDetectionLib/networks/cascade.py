"""The networks of the cascade: heatmaps of the whole image, then one displacement for each landmark [Tan 2019]."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .folding import convolution_unit
from .layers import convolution, deconvolution, max_pooling
from .usual_heat import FOLLOWED_SHARE, follow_heat

SIDE_PATHS = 3
"""Outputs beside the main one that only training needs [Tan 2019, equation 2]."""
BLOCKS = 4
"""Convolutions, each with its pooling, of the second stage's network [Tan 2019, figure 3]."""
_KERNEL = 3
"""Voxels along each axis of every convolution; the paper does not say how many."""
_LINEAR = {2: "bilinear", 3: "trilinear"}


class HeatmapUNet(nn.Module):
    """One heatmap for each landmark and one of the background, as large as the image [Tan 2019, section 2.1, figure 2].

    A U-Net whose convolutions keep the size: two of them, each with ReLU, at every level; max pooling down,
    deconvolution up, concatenated short cuts. The last layer is linear and its output used as it is.

    The text does not say where the side paths begin. Taken here: at the three levels below the finest, in the order in
    which the decoder passes them, so that their weight grows (0.3, 0.6, 0.9) towards the output; each is brought to the
    channels by a convolution of one voxel, and to the full size by linear interpolation.

    Args:
        dimension: d, 2 or 3.
        landmarks: n; there are n + 1 outputs, the background last.
        widths: channels of each level, the finest first; at least four.
        is_normalised: whether batch normalisation, which the paper does not mention, follows each convolution; in
            detection it is folded into it.

    Attributes:
        usual_heat: (n,) of the landmarks at their true positions, as it was towards the end of the training.
    """

    def __init__(
        self,
        dimension: int,
        landmarks: int,
        widths: Sequence[int] = (16, 32, 64, 128),
        *,
        is_normalised: bool = False,
    ) -> None:
        super().__init__()
        self._dimension = dimension

        def two_convolutions(before: int, after: int) -> nn.Sequential:
            settings = {"kernel_size": _KERNEL, "is_normalised": is_normalised}
            return nn.Sequential(
                convolution_unit(dimension, before, after, **settings),
                nn.ReLU(inplace=True),
                convolution_unit(dimension, after, after, **settings),
                nn.ReLU(inplace=True),
            )

        upwards = list(itertools.pairwise(reversed(widths)))
        self.encoders = nn.ModuleList(two_convolutions(*pair) for pair in itertools.pairwise((1, *widths)))
        self.pooling = max_pooling(dimension)(2)
        self.enlargers = nn.ModuleList(deconvolution(dimension)(low, high, 2, stride=2) for low, high in upwards)
        self.decoders = nn.ModuleList(two_convolutions(2 * high, high) for _, high in upwards)
        self.side_paths = nn.ModuleList(
            convolution(dimension)(width, landmarks + 1, 1) for width in reversed(widths[1 : 1 + SIDE_PATHS])
        )
        self.output = convolution(dimension)(widths[0], landmarks + 1, 1)
        self.register_buffer("usual_heat", torch.ones(landmarks))

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps (batch, n + 1, ...) of images (batch, 1, ...) of any size."""
        heatmaps = self.output(self._decoded(images)[-1])
        return heatmaps[(..., *[slice(side) for side in images.shape[2:]])]

    def with_side_paths(self, images: Tensor) -> list[Tensor]:
        """The heatmaps, then those of the three side paths from coarse to fine, all of one size.

        That of the images with the zeros added to them: to cut these off would cost a training more than they do.
        """
        *levels, finest = self._decoded(images)
        outputs = [self.output(finest)]
        for path, level in zip(self.side_paths, levels[-SIDE_PATHS:], strict=True):
            outputs.append(functional.interpolate(path(level), finest.shape[2:], mode=_LINEAR[self._dimension]))
        return outputs

    def follow(self, heat: Tensor, is_shown: Tensor) -> None:
        """Let the usual heat follow that (batch, n) of a training batch, where the landmark (batch, n) is shown."""
        follow_heat(self.usual_heat, heat, is_shown)

    def _decoded(self, images: Tensor) -> list[Tensor]:
        """Features of every level, the coarsest first, of images with zeros at their far ends.

        As many as make a whole number of the coarsest level's voxels.
        """
        divisor = 2 ** len(self.decoders)
        beyond = [(0, -side % divisor) for side in reversed(images.shape[2:])]
        features = functional.pad(images, list(itertools.chain.from_iterable(beyond)))
        short_cuts = []
        for encoder in self.encoders[:-1]:
            features = encoder(features)
            short_cuts.append(features)
            features = self.pooling(features)
        levels = [self.encoders[-1](features)]
        for enlarger, decoder in zip(self.enlargers, self.decoders, strict=True):
            levels.append(decoder(torch.cat([short_cuts.pop(), enlarger(levels[-1])], dim=1)))
        return levels


class DisplacementNetwork(nn.Module):
    """How far one landmark lies from the middle of a patch [Tan 2019, section 2.2, figure 3].

    Four times a convolution that keeps the size, ReLU and max pooling; then two fully connected layers, the last one
    linear.

    Args:
        dimension: d, 2 or 3; also the number of outputs.
        patch_size: side of the patches in voxels, at least 16.
        widths: channels of the four convolutions.
        hidden: width of the first fully connected layer.
        is_normalised: as of HeatmapUNet.

    Attributes:
        residual_covariance: (d, d) of the errors in square voxels, as they were towards the end of the training.
    """

    def __init__(
        self,
        dimension: int,
        patch_size: int = 64,
        widths: Sequence[int] = (16, 32, 64, 64),
        hidden: int = 128,
        *,
        is_normalised: bool = False,
    ) -> None:
        super().__init__()
        blocks = [
            layer
            for before, after in itertools.pairwise((1, *widths))
            for layer in (
                convolution_unit(dimension, before, after, kernel_size=_KERNEL, is_normalised=is_normalised),
                # The largest of rectified values is the rectified largest, found in a fraction of the time.
                max_pooling(dimension)(2),
                nn.ReLU(inplace=True),
            )
        ]
        self.features = nn.Sequential(*blocks, nn.Flatten())
        features = widths[-1] * (patch_size // 2**BLOCKS) ** dimension
        self.displacement = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, dimension)
        )
        self.register_buffer("residual_covariance", torch.eye(dimension))

    def forward(self, patches: Tensor) -> Tensor:
        """Displacements (batch, d) in voxels, in array order, of patches (batch, 1, ...)."""
        return self.displacement(self.features(patches))

    def follow(self, errors: Tensor) -> None:
        """Let the covariance of the errors follow those (batch, d) of a training batch."""
        current = (errors[:, :, None] * errors[:, None, :]).mean(0)
        self.residual_covariance.lerp_(current, FOLLOWED_SHARE)


class CascadeNetwork(nn.Module):
    """Both stages: `coarse` sees the whole image, `local` has a network for each landmark.

    The networks of the second stage run one after the other: as groups of one they take two to four times as long on a
    processor with bf16.
    """

    def __init__(self, coarse: HeatmapUNet, local: Sequence[DisplacementNetwork]) -> None:
        super().__init__()
        self.coarse = coarse
        self.local = nn.ModuleList(local)


def initialise_cascade(network: CascadeNetwork) -> None:
    """He initialisation, and last layers that begin with what is true nearly everywhere: background, no displacement.

    The paper does not say how its weights begin.
    """
    layers = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
    for layer in network.modules():
        if isinstance(layer, layers):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for output in (network.coarse.output, *network.coarse.side_paths):
        nn.init.zeros_(output.weight)
        nn.init.ones_(output.bias[-1:])
    for local in network.local:
        nn.init.zeros_(local.displacement[-1].weight)
