"""What heatmaps should be, above all those of the cascade's first stage, and how far they are from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ..detectors.boxes import nearest_voxels

SIDE_PATH_WEIGHTS = (0.3, 0.6, 0.9)
"""Of the losses of the three side paths, in their order [Tan 2019, equation 2]."""


def target_heatmaps(positions: Tensor, is_shown: Tensor, size: Sequence[int], sigma: float, height: float) -> Tensor:
    """Heat spots of landmarks, and the background, which sum to one in every voxel [Tan 2019, equation 1].

    The background is 1 - height * exp(-d^2 / 2 sigma^2), d the distance to the closest landmark; the heat spots of
    the same form are scaled by a common factor in each voxel, so that they fill up what the background leaves. A
    landmark that the image does not show, or that nobody placed, has no spot.

    Args:
        positions: (batch, n, d) in voxels and array order, NaN where missing.
        is_shown: (batch, n) whether the image shows the landmark; false where it is missing.
        size: voxels (d) of the heatmaps, in array order.
        sigma: standard deviation of a spot in voxels.
        height: k, heat at the landmark's own position where no other is near; at most 1.

    Returns:
        (batch, n + 1, ...), the background last; channels last in memory.
    """
    spots = heat_spots(positions, size, sigma, torch.as_tensor(height, device=positions.device))
    shown = is_shown.reshape(len(positions), *[1] * len(size), -1)
    spots = torch.where(shown, spots, 0.0)
    closest = spots.amax(-1, keepdim=True)
    # Far from every landmark even the sum vanishes.
    scaled = spots * (closest / spots.sum(-1, keepdim=True).clamp(min=torch.finfo(spots.dtype).tiny))
    return torch.cat([scaled, 1.0 - closest], dim=-1).movedim(-1, 1)


def gaussian_heatmaps(
    positions: Tensor, is_shown: Tensor, size: Sequence[int], sigmas: Tensor, heights: Tensor
) -> Tensor:
    """Heat spots of landmarks, each by itself [Payer 2019]; differentiable in their widths and heights.

    Args:
        positions, is_shown, size: as of `target_heatmaps`.
        sigmas: (n,) standard deviations of the spots in voxels.
        heights: (n,) heat at the landmarks' own positions.

    Returns:
        (batch, n, ...), channels last in memory.
    """
    # Not NaN, whose gradient would be NaN wherever it is left out afterwards.
    shown = is_shown.reshape(len(positions), *[1] * len(size), -1)
    return heat_spots(positions.nan_to_num(), size, sigmas[:, None], heights * shown).movedim(-1, 1)


def heat_spots(positions: Tensor, size: Sequence[int], sigmas: Tensor | float, heights: Tensor) -> Tensor:
    """Gaussians (batch, ..., n) around positions (batch, n, d); one deviation for all or (n, 1), heights as the spots.

    Where heights are the same for all voxels, their sides are 1.
    """
    spots = heights
    for axis, side in enumerate(size):
        offsets = torch.arange(side, device=positions.device) - positions[..., axis, None]
        # (batch, n, side) -> (batch, 1, ..., side, ..., 1, n): a spot is the product of its profiles along the axes.
        profiles = torch.exp(-(offsets**2) / (2.0 * sigmas**2)).movedim(1, -1)
        shape = [len(positions), *[1] * len(size), positions.shape[1]]
        shape[1 + axis] = side
        spots = spots * profiles.reshape(shape)
    return spots


def hottest_assignment(heatmaps: Tensor, positions: Tensor, is_shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positions (batch, n, d), whether they are shown (batch, n), their heat: with the labels assigned as it is hotter.

    Else a network that cannot tell two ends apart would learn half of the heat at each, under both labels.

    Args:
        heatmaps: (batch, n + 1, ...) or without the background.
        positions: (batch, alternatives, n, d) in their voxels and array order, NaN where missing.
        is_shown: (batch, alternatives, n).
    """
    heat = heat_at(heatmaps, positions)
    hottest = torch.where(is_shown, heat, 0.0).sum(-1).argmax(1)
    chosen = torch.arange(len(hottest)), hottest
    return positions[chosen], is_shown[chosen], heat[chosen]


def heat_at(heatmaps: Tensor, positions: Tensor) -> Tensor:
    """Heat (batch, alternatives, n) of the landmarks in the voxels nearest to positions, anything where these are NaN.

    Args:
        heatmaps: (batch, n + 1, ...) or without the background.
        positions: (batch, alternatives, n, d) in their voxels and array order.
    """
    voxels = nearest_voxels(positions.nan_to_num(), heatmaps.shape[2:])
    cases = torch.arange(len(voxels), device=voxels.device)[:, None, None]
    landmarks = torch.arange(voxels.shape[2], device=voxels.device)
    return heatmaps[(cases, landmarks, *voxels.unbind(-1))].float()


def heatmap_loss(
    outputs: Sequence[Tensor], target: Tensor, is_known: Tensor, *, weights_are_constant: bool = True
) -> Tensor:
    """Weighted error of the heatmaps plus those of the three side paths [Tan 2019, equation 2].

    Args:
        outputs: (batch, n + 1, ...) each: the heatmaps, then the side paths in the order of `SIDE_PATH_WEIGHTS`.
        target: as `target_heatmaps` returns it.
        is_known: (batch, n + 1) whether a channel's target is known; that of a landmark nobody placed is not.
        weights_are_constant: as in `weighted_squared_error`.
    """
    errors = [
        weighted_squared_error(output, target, is_known, weights_are_constant=weights_are_constant)
        for output in outputs
    ]
    return errors[0] + sum(weight * error for weight, error in zip(SIDE_PATH_WEIGHTS, errors[1:], strict=True))


def weighted_squared_error(
    heatmaps: Tensor, target: Tensor, is_known: Tensor, *, weights_are_constant: bool = True
) -> Tensor:
    """Mean of exp(P) (P - H)^2 over the voxels of the known channels.

    "The weights are chosen to be the exponential powers of the predicted values" [Tan 2019, section 2.1]: taken as
    exp(P). By default they are constants to the gradient: else the loss could be reduced by predicting less heat.

    Args:
        heatmaps, target: (batch, channels, ...).
        is_known: (batch, channels).
        weights_are_constant: to the gradient.
    """
    values = is_known.sum().clamp(min=1) * target[0, 0].numel()
    return _WeightedSquares.apply(heatmaps, target, is_known, weights_are_constant) / values


class _WeightedSquares(torch.autograd.Function):
    """Sum of exp(P) (P - H)^2 over the known channels, and its gradient with respect to P.

    Composed of single operations it takes four times as long, a fifth of a training: whole images pass through memory.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, heatmaps: Tensor, target: Tensor, is_known: Tensor, constant: bool) -> Tensor:
        errors = heatmaps - target
        weighted = heatmaps.to(torch.float32, copy=True).exp_().mul_(errors)
        weighted[~is_known] = 0.0
        total = (weighted * errors).sum()
        # The derivative is exp(P) (2 e + e^2), without the last term where the weights are constants.
        ctx.save_for_backward(weighted.mul_(2.0 if constant else errors.add_(2.0)))
        ctx.dtype = heatmaps.dtype
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return (slopes * gradient).to(ctx.dtype), None, None, None
