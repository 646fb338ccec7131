"""What the heatmaps of the cascade's first stage should be, and how far they are from it [Tan 2019, section 2.1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

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
    spots = torch.as_tensor(height, device=positions.device)
    for axis, side in enumerate(size):
        offsets = torch.arange(side, device=positions.device) - positions[..., axis, None]
        # (batch, n, side) -> (batch, 1, ..., side, ..., 1, n): a spot is the product of its profiles along the axes.
        profiles = torch.exp(-(offsets**2) / (2.0 * sigma**2)).movedim(1, -1)
        shape = [len(positions), *[1] * len(size), positions.shape[1]]
        shape[1 + axis] = side
        spots = spots * profiles.reshape(shape)
    shown = is_shown.reshape(len(positions), *[1] * len(size), -1)
    spots = torch.where(shown, spots, 0.0)
    closest = spots.amax(-1, keepdim=True)
    # Far from every landmark even the sum vanishes.
    scaled = spots * (closest / spots.sum(-1, keepdim=True).clamp(min=torch.finfo(spots.dtype).tiny))
    return torch.cat([scaled, 1.0 - closest], dim=-1).movedim(-1, 1)


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
