"""Networks whose every patch votes for the place of each landmark, global and local [Noothout 2020, section II]."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from .folding import convolution_unit
from .layers import convolution


class Votes(NamedTuple):
    """What the patches of an image say of n landmarks; None for what the network does not tell.

    Attributes:
        displacements: (batch, n, d, *patches) from the centre of each patch, in array order.
        logits: (batch, n, *patches) of the probability that the landmark lies in the patch.
    """

    displacements: Tensor | None
    logits: Tensor | None


class VotingNetwork(nn.Module):
    """A trunk that shrinks every patch to one place of its feature map, and two heads of 1x1 convolutions.

    Images whose sides are no multiples of the patch size get zeros at their far ends, as every layer assumes beyond the
    image anyway: their last patches lie partly outside.

    Args:
        trunk: (batch, channels, *sides) to (batch, features, *sides / patch_size).
        patch_size: side in voxels; also the distance of the patches.
        features: channels of the trunk's output.
        landmarks: n.
        dimension: d, 2 or 3.
        head_width: channels of the two hidden layers of each head.
        regresses, classifies: which heads there are.
        groups: equal parts of the channels that know nothing of each other, each with its own landmarks.
        is_normalised: whether batch normalisation follows each convolution; in detection it is folded into it.
    """

    def __init__(
        self,
        trunk: nn.Module,
        *,
        patch_size: int,
        features: int,
        landmarks: int,
        dimension: int,
        head_width: int,
        regresses: bool,
        classifies: bool,
        groups: int,
        is_normalised: bool,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self._landmarks, self._dimension = landmarks, dimension
        self.trunk = trunk

        def head(outputs: int) -> nn.Sequential:
            settings = {"kernel_size": 1, "groups": groups, "is_normalised": is_normalised}
            return nn.Sequential(
                convolution_unit(dimension, features, head_width, **settings),
                nn.ReLU(),
                convolution_unit(dimension, head_width, head_width, **settings),
                nn.ReLU(),
                convolution(dimension)(head_width, outputs, 1, groups=groups),
            )

        self.regression = head(landmarks * dimension) if regresses else None
        self.classification = head(landmarks) if classifies else None

    def forward(self, images: Tensor) -> Votes:
        """Votes of the patches of images (batch, channels, *sides)."""
        beyond = [(0, -side % self.patch_size) for side in reversed(images.shape[2:])]
        if any(far for _, far in beyond):
            images = functional.pad(images, list(itertools.chain.from_iterable(beyond)))
        features = self.trunk(images)
        displacements = logits = None
        if self.regression is not None:
            displacements = self.regression(features).unflatten(1, (self._landmarks, self._dimension))
        if self.classification is not None:
            logits = self.classification(features)
        return Votes(displacements, logits)


class GlobalNetwork(VotingNetwork):
    """All landmarks in a whole image, by a network like ResNet34 [Noothout 2020, section II].

    A 7-voxel convolution with a stride of 2, then residual blocks, the first `poolings` of them after an average
    pooling; a patch has 2 ** (1 + poolings) voxels a side. The paper does not say how the shortcuts pass a change of
    width: by a 1x1 convolution here, as in ResNet34.

    Args:
        dimension: d, 2 or 3.
        landmarks: n.
        first_width: channels of the first convolution.
        widths: channels of each block.
        pairs: pairs of convolutions in each block.
        poolings: blocks that an average pooling precedes.
        head_width, regresses, classifies, is_normalised: as of VotingNetwork.
    """

    def __init__(
        self,
        dimension: int,
        landmarks: int,
        *,
        first_width: int = 16,
        widths: Sequence[int] = (32, 64, 128, 256),
        pairs: Sequence[int] = (3, 4, 6, 3),
        poolings: int = 2,
        head_width: int = 256,
        regresses: bool = True,
        classifies: bool = True,
        is_normalised: bool = True,
    ) -> None:
        first = convolution_unit(dimension, 1, first_width, kernel_size=7, stride=2, is_normalised=is_normalised)
        layers: list[nn.Module] = [first, nn.ReLU()]
        for block, (before, after) in enumerate(itertools.pairwise((first_width, *widths))):
            if block < poolings:
                layers.append(AveragePooling())
            for pair in range(pairs[block]):
                width = after if pair else before
                layers.append(ResidualPair(dimension, width, after, groups=1, is_normalised=is_normalised))
        super().__init__(
            nn.Sequential(*layers),
            patch_size=2 ** (1 + poolings),
            features=widths[-1],
            landmarks=landmarks,
            dimension=dimension,
            head_width=head_width,
            regresses=regresses,
            classifies=classifies,
            groups=1,
            is_normalised=is_normalised,
        )


class LocalNetwork(VotingNetwork):
    """One landmark in a small image around it: a residual pair, average pooling, another pair [Noothout 2020].

    With several landmarks, these are as many networks in one, each with an input channel and a group of all others, so
    that one call runs them all.

    Args:
        dimension: d, 2 or 3.
        landmarks: how many networks this is.
        widths: channels of the two pairs of each.
        head_width, regresses, classifies, is_normalised: as of VotingNetwork, for each.
    """

    def __init__(
        self,
        dimension: int,
        landmarks: int = 1,
        *,
        widths: tuple[int, int] = (32, 64),
        head_width: int = 64,
        regresses: bool = True,
        classifies: bool = True,
        is_normalised: bool = True,
    ) -> None:
        channels = [landmarks, *(landmarks * width for width in widths)]
        settings = {"groups": landmarks, "is_normalised": is_normalised}
        super().__init__(
            nn.Sequential(
                ResidualPair(dimension, channels[0], channels[1], **settings),
                AveragePooling(),
                ResidualPair(dimension, channels[1], channels[2], **settings),
            ),
            patch_size=2,
            features=channels[2],
            landmarks=landmarks,
            dimension=dimension,
            head_width=landmarks * head_width,
            regresses=regresses,
            classifies=classifies,
            **settings,
        )


class ResidualPair(nn.Module):
    """Two 3-voxel convolutions and a shortcut around them, as in ResNet34."""

    def __init__(self, dimension: int, before: int, after: int, *, groups: int, is_normalised: bool) -> None:
        super().__init__()
        settings = {"groups": groups, "is_normalised": is_normalised}
        self.first = convolution_unit(dimension, before, after, kernel_size=3, **settings)
        self.second = convolution_unit(dimension, after, after, kernel_size=3, **settings)
        is_same = before == after
        self.shortcut = (
            nn.Identity() if is_same else convolution_unit(dimension, before, after, kernel_size=1, **settings)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Of (batch, before, *sides): (batch, after, *sides)."""
        change = self.second(functional.relu(self.first(features)))
        return functional.relu(change + self.shortcut(features))


class AveragePooling(nn.Module):
    """Means over 2 voxels along every axis; unlike torch's own, in any number format and any memory layout."""

    def forward(self, features: Tensor) -> Tensor:
        """Of (batch, channels, *sides), all even: (batch, channels, *sides / 2)."""
        for axis in range(2, features.ndim):
            pairs = features.unflatten(axis, (-1, 2))
            features = pairs.select(axis + 1, 0) + pairs.select(axis + 1, 1)
        return features * 0.5 ** (features.ndim - 2)
