"""From heatmaps to positions, and to how hot it is there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..geometry import FloatArray

_LEAST_SHARE = 0.01
"""Less heat, and a smaller share of it, count as this."""
_LEAST_VARIANCE = 1 / 12
"""In square voxels, of what lies in a voxel anywhere."""
_LEAST_HEAT = 1e-3
_LEAST_BEND = 1e-6


def find_peaks(heatmaps: Tensor, *, sub_voxel: bool) -> tuple[Tensor, Tensor]:
    """The hottest voxel of each landmark [Tan 2019, section 2.1], or the hottest place between voxels.

    Args:
        heatmaps: (n, ...).
        sub_voxel: whether to go from the hottest voxel, along each axis, to the top of the parabola through the
            logarithms of its heat and its two neighbours'; exact for a Gaussian spot.

    Returns:
        Positions (n, d) in voxels and array order, and the heat (n,) of the hottest voxel.
    """
    hottest, index = heatmaps.flatten(1).max(dim=1)
    voxels = torch.stack(torch.unravel_index(index, heatmaps.shape[1:]), dim=-1)
    return (voxels + _parabola_tops(heatmaps, voxels) if sub_voxel else voxels.float()), hottest.float()


def _parabola_tops(heatmaps: Tensor, voxels: Tensor) -> Tensor:
    """Where (n, d), from voxels (n, d), the parabolas have their tops; half a voxel away at most."""
    landmarks = torch.arange(len(voxels), device=voxels.device)
    tops = []
    for axis, side in enumerate(heatmaps.shape[1:]):
        logarithms = []
        for step in (-1, 0, 1):
            at = voxels.clone()
            at[:, axis] += step
            is_inside = (at[:, axis] >= 0) & (at[:, axis] < side)
            at[:, axis].clamp_(0, side - 1)
            heat = torch.where(is_inside, heatmaps[(landmarks, *at.unbind(-1))].float(), 0.0)
            logarithms.append(heat.clamp(min=_LEAST_HEAT).log())
        before, middle, after = logarithms
        bend = (before - 2.0 * middle + after).clamp(max=-_LEAST_BEND)
        tops.append((0.5 * (before - after) / bend).clamp(-0.5, 0.5))
    return torch.stack(tops, dim=-1)


def shares_of_usual(heat: Tensor, usual_heat: Tensor) -> FloatArray:
    """How much of the heat (n,) that landmarks usually have their peaks (n,) have."""
    return (heat / usual_heat.float().clamp(min=_LEAST_SHARE)).clamp(min=_LEAST_SHARE).cpu().double().numpy()


def variance_factors(shares: FloatArray, dimension: int) -> FloatArray:
    """How much larger than usual the variances of positions are, by the shares (n,) of the usual heat at their peaks.

    Heat that is spread over more places is lower: a Gaussian spot in a place that is uncertain by a variance t is on
    average one of variance sigma^2 + t, and its peak lower by the power d / 2 of the ratio of the two.
    """
    return (1.0 / shares) ** (2.0 / dimension)


def scatter_of_spots(heat: Tensor, sigmas: Tensor, heights: Tensor, dimension: int) -> FloatArray:
    """By which variance (n,) in square voxels true positions must scatter for peaks to have a heat (n,), and no more.

    What squared errors teach is the mean of the spots, of deviations and heights (n,), over all places where the
    landmark may be, which is lower by the law of `variance_factors`.
    """
    shares = (heat / heights).clamp(min=_LEAST_SHARE).cpu().double().numpy()
    variances = sigmas.cpu().double().numpy() ** 2 * (variance_factors(shares, dimension) - 1.0)
    return np.maximum(variances, _LEAST_VARIANCE)


def presence_logits(shares: FloatArray) -> FloatArray:
    """The evidence that landmarks are in the image: the logit of the share (n,) of the usual heat at their peaks."""
    return np.log(shares / np.maximum(1.0 - shares, _LEAST_SHARE))
