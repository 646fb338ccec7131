"""The network of landmark agents: shared convolutions, and for each agent a head for the values of its actions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import convolution, max_pooling


class AgentsNetwork(nn.Module):
    """What several agents see becomes what each thinks of its actions [Vlontzos 2019, Collab-DQN; Alansary 2019].

    A convolution and PReLU a width, with 2-voxel max pooling between them and a margin of one zero but at the last;
    the convolutions are the same for all agents, the fully connected layers each agent's own.

    Args:
        dimension: d, 2 or 3.
        agents: n, one for each landmark.
        frames: patches that each sees.
        patch_size: their side in voxels.
        widths, kernels: channels and side of each convolution.
        hidden: width of the hidden layers of each head.
    """

    def __init__(
        self,
        dimension: int,
        agents: int,
        *,
        frames: int,
        patch_size: int,
        widths: Sequence[int],
        kernels: Sequence[int],
        hidden: Sequence[int],
    ) -> None:
        super().__init__()
        layers = []
        channels = itertools.pairwise([frames, *widths])
        for index, ((before, after), kernel) in enumerate(zip(channels, kernels, strict=True)):
            is_last = index == len(widths) - 1
            layers += [convolution(dimension)(before, after, kernel, padding=0 if is_last else 1), nn.PReLU()]
            layers += [] if is_last else [max_pooling(dimension)(2)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        sizes = [widths[-1] * reduced_side(patch_size, kernels) ** dimension, *hidden, 2 * dimension]
        heads = [layer for pair in itertools.pairwise(sizes) for layer in (AgentsLinear(agents, *pair), nn.PReLU())]
        self.heads = nn.Sequential(*heads[:-1])
        self._agents = agents

    def forward(self, patches: Tensor) -> Tensor:
        """Values (batch, n, 2 d) of actions for patches (batch * n, frames, *sides), agents last."""
        return self.heads(self.features(patches).unflatten(0, (-1, self._agents)))


class AgentsLinear(nn.Module):
    """A fully connected layer for each agent.

    Args:
        agents: how many.
        before, after: features.
    """

    def __init__(self, agents: int, before: int, after: int) -> None:
        super().__init__()
        bound = math.sqrt(3.0 / before)  # He's for activations that are linear on both sides, as PReLU is at first
        self.weight = nn.Parameter(torch.empty(agents, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(agents, after))

    def forward(self, features: Tensor) -> Tensor:
        """Of (batch, agents, before): (batch, agents, after)."""
        return torch.einsum("nab,abc->nac", features, self.weight) + self.bias


def reduced_side(patch_size: int, kernels: Sequence[int]) -> int:
    """Side in voxels of what the convolutions leave of a patch; less than 1 if it is too small for them."""
    for kernel in kernels[:-1]:
        patch_size = (patch_size + 2 - kernel + 1) // 2
    return patch_size - kernels[-1] + 1
