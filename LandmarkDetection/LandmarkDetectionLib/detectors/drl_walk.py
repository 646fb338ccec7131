"""Agents that walk through an image: their actions, what they see, when they oscillate, and where they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import LandmarkDetectionError
from ..networks.drl import AgentsNetwork, reduced_side
from .boxes import cut_boxes, pad_for_boxes

_REMEMBERED = 20
"""Last positions among which an agent looks for those it has come to before; also those from which it may choose."""
_VISITS = 4
"""To one position, by which an agent oscillates; also among how many positions it then takes the best."""


@dataclass(frozen=True)
class DRLNetworkSettings:
    """The `network` object of a landmark agents' model card. Defaults are those of the authors' code.

    Attributes:
        patch_size: side of what an agent sees, in voxels.
        frames: how many of its last positions it sees.
        widths, kernels: channels and side of each convolution.
        hidden: width of the hidden layers of each agent's head.
        strides: every how-manieth voxel an agent sees, from the coarsest scale to the finest.
        steps: voxels by which it moves at the same scales.
    """

    patch_size: int = 45
    frames: int = 4
    widths: tuple[int, ...] = (32, 32, 64, 64)
    kernels: tuple[int, ...] = (5, 5, 4, 3)
    hidden: tuple[int, ...] = (256, 128)
    strides: tuple[int, ...] = (3, 2, 1)
    steps: tuple[int, ...] = (9, 3, 1)

    def __post_init__(self) -> None:
        numbers = (self.patch_size, self.frames, *self.widths, *self.kernels, *self.hidden, *self.strides, *self.steps)
        if min(numbers) < 1 or not 1 <= self.frames <= _REMEMBERED or self.patch_size % 2 == 0:
            message = f"Agents need an odd patch_size, 1 to {_REMEMBERED} frames, and all other numbers above zero."
            raise LandmarkDetectionError(message)
        if len(self.widths) != len(self.kernels) or not self.kernels or len(self.strides) != len(self.steps):
            message = "Agents need a kernel for each width, and a step for each stride; give as many of both."
            raise LandmarkDetectionError(message)
        if not self.steps or reduced_side(self.patch_size, self.kernels) < 1:
            message = "Agents need a scale, and patches that are large enough for all convolutions; enlarge patch_size."
            raise LandmarkDetectionError(message)

    def network(self, dimension: int, agents: int) -> AgentsNetwork:
        """The network, with random weights."""
        sizes = {name: getattr(self, name) for name in ("frames", "patch_size", "widths", "kernels", "hidden")}
        return AgentsNetwork(dimension, agents, **sizes)


def moved(positions: Tensor, actions: Tensor, steps: Tensor, sides: Tensor) -> Tensor:
    """Where agents at voxels (..., d) get by actions (...) with steps (...) of voxels; they stay if that is outside.

    Action 2 a goes forward along axis a, in array order, and 2 a + 1 back.
    """
    axes = torch.nn.functional.one_hot(actions // 2, positions.shape[-1])
    goals = positions + axes * ((1 - 2 * (actions % 2)) * steps)[..., None]
    is_inside = ((goals >= 0) & (goals < sides)).all(-1, keepdim=True)
    return torch.where(is_inside, goals, positions)


def views(images: Tensor, frames: Tensor, scales: Tensor, settings: DRLNetworkSettings) -> Tensor:
    """What agents see: patches (batch * n, frames, *sides) of images, in their number format.

    All frames are cut at the agent's present scale, those of earlier positions too.

    Args:
        images: (batch, *sides).
        frames: (batch, n, frames, d) voxels, the present one first.
        scales: (batch, n) index of the strides.
        settings: of the network.
    """
    size, half = settings.patch_size, settings.patch_size // 2
    margin = half * max(settings.strides)
    padded = pad_for_boxes(images, 2 * margin + 1)
    cases = torch.arange(len(images), device=images.device)[:, None].expand(scales.shape).flatten()
    scales, centres = scales.flatten(), frames.flatten(0, 1)
    seen = images.new_empty((*centres.shape[:2], *[size] * centres.shape[-1]))
    for scale, stride in enumerate(settings.strides):
        chosen = scales == scale
        of_boxes = cases[chosen].repeat_interleave(centres.shape[1])
        corners = centres[chosen].flatten(0, 1) + margin - half * stride
        seen[chosen] = cut_boxes(padded, of_boxes, corners, size, stride).unflatten(0, (-1, centres.shape[1]))
    return seen


class Walk:
    """Agents that walk at once, each at its own scale.

    An agent that oscillates goes to the best of the last places it thought about, where the value of its best action is
    least: there is nothing left to gain [Alansary 2019, section 3]. It goes on from there at the next finer scale, its
    memory empty; from the finest it does not go on.

    Args:
        starts: (walkers, n, d) voxels.
        sides: (d,) of the images, in array order.
        settings: of the network.

    Attributes:
        scales: (walkers, n) index of the present scale.
        has_ended: (walkers, n).
    """

    def __init__(self, starts: Tensor, sides: Sequence[int], settings: DRLNetworkSettings) -> None:
        self._settings = settings
        self._sides = torch.tensor(sides, device=starts.device)
        self._steps = torch.tensor(settings.steps, device=starts.device)
        self._places = starts[:, :, None].expand(-1, -1, _REMEMBERED, -1)
        self._values = starts.new_full(self._places.shape[:3], torch.inf, dtype=torch.float32)
        self._count = starts.new_ones(starts.shape[:2])
        self.scales = torch.zeros_like(self._count)
        self.has_ended = torch.zeros_like(self._count, dtype=torch.bool)

    @property
    def positions(self) -> Tensor:
        """Voxels (walkers, n, d) where the agents are."""
        return self._places[:, :, 0]

    @property
    def frames(self) -> Tensor:
        """Their last positions (walkers, n, frames, d), the present one first, the first one again before the walk."""
        return self._places[:, :, : self._settings.frames]

    @property
    def is_oscillating(self) -> Tensor:
        """Whether the agents (walkers, n) have come so often to where they are."""
        is_remembered = torch.arange(_REMEMBERED, device=self._count.device) < self._count[..., None]
        is_here = (self._places == self._places[:, :, :1]).all(-1)
        return (is_here & is_remembered).sum(-1) >= _VISITS

    def go(self, values: Tensor, actions: Tensor) -> None:
        """Take actions (walkers, n), by values (walkers, n, 2 d) of all actions; agents that have ended stay."""
        goes = ~self.has_ended
        reached = moved(self.positions, actions, self._steps[self.scales], self._sides)
        places = torch.cat([reached[:, :, None], self._places[:, :, :-1]], dim=2)
        thoughts = torch.cat(
            [self._values[..., :1], values.float().amax(-1, keepdim=True), self._values[..., 1:-1]], -1
        )
        self._places = torch.where(goes[..., None, None], places, self._places)
        self._values = torch.where(goes[..., None], thoughts, self._values)
        self._count = torch.where(goes, (self._count + 1).clamp(max=_REMEMBERED), self._count)
        self._settle(self.is_oscillating & goes)

    def _settle(self, settles: Tensor) -> None:
        best = self._values[..., 1 : 1 + _VISITS].argmin(-1) + 1
        chosen = self._places.gather(2, best[..., None, None].expand(*best.shape, 1, self._places.shape[-1]))
        self._places = torch.where(settles[..., None, None], chosen, self._places)
        self._values = torch.where(settles[..., None], torch.inf, self._values)
        self._count = torch.where(settles, 1, self._count)
        is_finest = self.scales == len(self._settings.steps) - 1
        self.has_ended = self.has_ended | (settles & is_finest)
        self.scales = self.scales + (settles & ~is_finest).long()
