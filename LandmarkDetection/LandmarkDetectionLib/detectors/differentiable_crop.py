"""The layer between two scales: crops resampled around positions, with the gradient of both [Ma 2020, section 2]."""

from __future__ import annotations

import torch
from torch import Tensor


def resampled_crops(
    images: Tensor, cases: Tensor, centres: Tensor, size: int, window: tuple[int, int] = (0, 255)
) -> Tensor:
    """Crops whose middle is exactly where it is wanted, interpolated linearly and differentiable in the positions.

    All voxels of a crop lie at the same fraction of a voxel from the image's, so that one integer crop, a voxel wider,
    is blended along each axis in turn. (The authors' code cuts at whole voxels, through which no gradient flows.)

    Args:
        images: (cases, ...) bytes; beyond its borders an image is 0.
        cases: (crops,) index of the image of each crop.
        centres: (crops, d) position of the middle of each crop, in voxels and array order.
        size: side s of the crops in voxels.
        window: bytes that become 0 and 1.

    Returns:
        (crops, 1, s, ...) in the number format of the centres. Their first voxel is at `first_voxels(centres, size)`.
    """
    low, high = window
    firsts = first_voxels(centres, size)
    corners = firsts.detach().floor()
    fractions = firsts - corners
    values = _boxes(images, cases, corners.long(), size + 1).clamp_(low, high).sub_(low).to(centres.dtype)
    for axis in range(centres.shape[-1]):
        weight = fractions[:, axis].view(-1, *[1] * (values.ndim - 1))
        values = torch.lerp(values.narrow(axis + 1, 0, size), values.narrow(axis + 1, 1, size), weight)
    return values[:, None] * (1.0 / (high - low))


def first_voxels(centres: Tensor, size: int) -> Tensor:
    """Position of the first voxel of crops with these middles; where their own coordinates begin."""
    return centres - (size - 1) / 2


def _boxes(images: Tensor, cases: Tensor, corners: Tensor, size: int) -> Tensor:
    """Voxels (crops, size, ...) of images (cases, ...) from corners (crops, d) on, 0 beyond their borders.

    Without a padded copy of the images, which may be far larger than the crops.
    """
    images = images.contiguous()
    reach = torch.arange(size, device=images.device)
    offset = cases * images.stride(0)
    is_inside = torch.ones((), dtype=torch.bool, device=images.device)
    for axis, side in enumerate(images.shape[1:]):
        index = corners[:, axis, None] + reach
        within = (index >= 0) & (index < side)
        offset = offset[..., None] + _along(index.clamp(0, side - 1) * images.stride(axis + 1), axis)
        is_inside = is_inside[..., None] & _along(within, axis)
    return torch.where(is_inside, images.view(-1)[offset], 0)


def _along(values: Tensor, axis: int) -> Tensor:
    """Values (crops, size) as (crops, 1, ..., size) with `axis` axes between."""
    return values.view(len(values), *[1] * axis, -1)
