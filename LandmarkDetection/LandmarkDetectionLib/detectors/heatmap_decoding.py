"""From heatmaps to positions, to how far the heat spreads, and to the evidence that a landmark is there at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_REACH_SIGMA = 2.0
"""Distance from the peak along each axis, in standard deviations of a spot, up to which heat is that of the peak."""
_LEAST_HEAT = 1e-3
_LEAST_BEND = 1e-6


@dataclass(frozen=True, eq=False)
class Peaks:
    """The hottest places of heatmaps.

    Attributes:
        positions: (n, d) in voxels and array order.
        variances: (n,) of the heat around the peak, in square voxels, as of a spot that is the same in all directions.
        logits: (n,) logarithm of the ratio of a landmark's heat at its peak to the background's there.
    """

    positions: Tensor
    variances: Tensor
    logits: Tensor


def find_peaks(heatmaps: Tensor, sigma: float, *, sub_voxel: bool) -> Peaks:
    """The hottest voxel of each landmark [Tan 2019, section 2.1], or the hottest place between voxels.

    Args:
        heatmaps: (n + 1, ...), the background last.
        sigma: standard deviation of a spot in voxels.
        sub_voxel: whether to go from the hottest voxel, along each axis, to the top of the parabola through the
            logarithms of its heat and its two neighbours'; exact for a Gaussian spot.
    """
    hottest, index = heatmaps[:-1].flatten(1).max(dim=1)
    background = heatmaps[-1].flatten()[index]
    logits = hottest.float().clamp(min=_LEAST_HEAT).log() - background.float().clamp(min=_LEAST_HEAT).log()
    voxels = torch.stack(torch.unravel_index(index, heatmaps.shape[1:]), dim=-1)
    around = _heat_around(heatmaps[:-1], voxels, reach=max(1, round(_REACH_SIGMA * sigma)))
    positions = voxels + _parabola_tops(around) if sub_voxel else voxels.float()
    return Peaks(positions, _variances(around), logits)


def _heat_around(heatmaps: Tensor, voxels: Tensor, reach: int) -> Tensor:
    """Boxes (n, ...) of heatmaps (n, ...) around a voxel (n, d) of each; beyond the image there is no heat."""
    landmarks = torch.arange(len(voxels), device=voxels.device).view(-1, *[1] * voxels.shape[1])
    is_inside, index = torch.ones_like(landmarks, dtype=torch.bool), [landmarks]
    for axis, side in enumerate(heatmaps.shape[1:]):
        line = voxels[:, axis, None] + torch.arange(-reach, reach + 1, device=voxels.device)
        line = line.view(-1, *[2 * reach + 1 if other == axis else 1 for other in range(voxels.shape[1])])
        is_inside = is_inside & (line >= 0) & (line < side)
        index.append(line.clamp(0, side - 1))
    return torch.where(is_inside, heatmaps[tuple(index)].float(), 0.0)


def _parabola_tops(heat: Tensor) -> Tensor:
    """Where (n, d), from the middle of boxes (n, ...), the parabolas have their tops; half a voxel away at most."""
    middle = heat.shape[1] // 2
    tops = []
    for axis in range(1, heat.ndim):
        line = heat.movedim(axis, -1)[(slice(None), *[middle] * (heat.ndim - 2))]
        before, at, after = line[:, middle - 1 : middle + 2].clamp(min=_LEAST_HEAT).log().unbind(-1)
        bend = (before - 2.0 * at + after).clamp(max=-_LEAST_BEND)
        tops.append((0.5 * (before - after) / bend).clamp(-0.5, 0.5))
    return torch.stack(tops, dim=-1)


def _variances(heat: Tensor) -> Tensor:
    """Variance (n,) along an axis, on average over the axes, of the positive heat in boxes (n, ...)."""
    axes = [torch.arange(side, dtype=torch.float32, device=heat.device) for side in heat.shape[1:]]
    places = torch.cartesian_prod(*axes)
    weights = heat.flatten(1).clamp(min=0.0)
    weights = weights / weights.sum(1, keepdim=True).clamp(min=_LEAST_HEAT)
    offsets = places - (weights @ places)[:, None]
    return (weights * (offsets**2).sum(-1)).sum(1) / len(axes)
