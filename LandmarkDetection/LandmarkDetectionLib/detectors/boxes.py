"""Cutting boxes of voxels around landmarks: cubes of volumes, squares of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def pad_for_boxes(images: Tensor, size: int) -> Tensor:
    """Images (cases, k, j, i) or (cases, j, i) with a margin of zeros, so that a box around any voxel can be cut."""
    return functional.pad(images, [size // 2, size - 1 - size // 2] * (images.ndim - 1))


def cut_boxes(padded: Tensor, cases: Tensor, centres_kji: Tensor, size: int, stride: int = 1) -> Tensor:
    """Boxes around voxels, read straight from a sliding view of the padded images.

    Args:
        padded: as `pad_for_boxes` returns it for boxes that reach so far: for this size, if every voxel is taken.
        cases: (boxes,) index of the image each box is cut from.
        centres_kji: (boxes, d) voxel indices, in array order, in the image without margin. The voxel has the index
            size // 2 along each axis of its box, in a box that reaches as far as the margin does.
        size: side in voxels.
        stride: only every so-manieth voxel along each axis is taken.

    Returns:
        (boxes, size, size, size) of volumes, (boxes, size, size) of pictures.
    """
    steps = torch.tensor(padded.stride(), device=padded.device)
    corners = cases * steps[0] + (centres_kji * steps[1:]).sum(-1)
    # One view for the box at every address of the memory, so that a box is found by a single number.
    axes = centres_kji.shape[-1]
    strides = [stride * step for step in padded.stride()[1:]]
    reach = (size - 1) * sum(strides)
    windows = padded.as_strided((padded.numel() - reach, *[size] * axes), (1, *strides))
    return windows.index_select(0, corners)


def nearest_voxels(positions_kji: Tensor, sides: Sequence[int]) -> Tensor:
    """Voxel indices (..., d) nearest to positions (..., d) in array order, moved into an image of these sides."""
    last = torch.tensor(sides, device=positions_kji.device) - 1
    return torch.minimum(positions_kji.round().long().clamp(min=0), last)
