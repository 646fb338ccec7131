"""The network of the patch-based iterative network [Li 2018, section 2, figure 2c]."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn


class PINNetwork(nn.Module):
    """Shared convolutions, then one head for the displacement and one for its direction.

    Each block is an unpadded 3x3 convolution, ReLU and 2x2 max pooling; the patch must shrink to a single pixel.
    Each head has three fully connected layers.

    Args:
        in_channels: patches a sample, three a landmark in 3D, one in 2D.
        outputs: dimension n_o of the displacement.
        widths: channels of each block; the last is the number of features.
        hidden: width of the hidden layers of the heads.
        dropout: probability in training, after each hidden layer of the heads.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
        hidden: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels = [in_channels, *widths]
        blocks = [
            layer
            for before, after in itertools.pairwise(channels)
            for layer in (nn.Conv2d(before, after, 3), nn.ReLU(), nn.MaxPool2d(2))
        ]
        self.features = nn.Sequential(*blocks, nn.Flatten())
        self.displacement = _head(widths[-1], hidden, outputs, dropout)
        self.direction = _head(widths[-1], hidden, 2 * outputs, dropout)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements (batch, outputs) and direction logits (batch, 2 * outputs) of patches (batch, channels, s, s).

        Logits 2i and 2i + 1 stand for a movement along the positive and negative direction of component i.
        """
        features = self.features(patches)
        return self.displacement(features), self.direction(features)


def reduced_size(patch_size: int, blocks: int) -> int:
    """Side in pixels of what is left of a patch after a number of blocks; the network needs 1."""
    for _ in range(blocks):
        patch_size = (patch_size - 2) // 2
    return patch_size


def initialise_as_published(network: PINNetwork) -> None:
    """Weights from a truncated normal distribution of standard deviation 0.1, biases 0.1 [Li 2018, section 3]."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=0.1, a=-0.2, b=0.2)
        else:
            nn.init.constant_(parameter, 0.1)


def initialise_for_rectifiers(network: PINNetwork) -> None:
    """He initialisation: keeps the variance of activations through the layers, whatever the target's scale."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        else:
            nn.init.zeros_(parameter)


def _head(features: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, outputs),
    )
