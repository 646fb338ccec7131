"""Cutting orthogonal square patches around voxels [Li 2018, figure 2a-b]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pad_for_patches(volumes: Tensor, patch_size: int) -> Tensor:
    """Volumes (cases, k, j, i) with a margin of zeros, so that a patch around any voxel can be cut.

    Volumes of a single slice get no margin along k.
    """
    margin = patch_size // 2
    margin_k = 0 if volumes.shape[1] == 1 else margin
    return functional.pad(volumes, (margin, margin, margin, margin, margin_k, margin_k))


def cut_patches(padded: Tensor, cases: Tensor, centres_kji: Tensor, patch_size: int) -> Tensor:
    """Patches around voxels, read straight from strided views of the padded volumes.

    Args:
        padded: result of `pad_for_patches`, contiguous.
        cases: (batch,) index of the volume each sample is cut from.
        centres_kji: (batch, landmarks, 3) voxel indices in the volume without margin.
        patch_size: odd side s in voxels.

    Returns:
        (batch, channels, s, s): for each landmark the planes across i, j and k in turn (in 2D only the last).
    """
    margin = patch_size // 2
    depth, height, width = (side - 2 * margin for side in padded.shape[1:])
    case_stride, k_stride, j_stride, i_stride = padded.stride()
    planes = [(j_stride, i_stride, 0)]
    if padded.shape[1] == 1:
        depth = 1
    else:
        across_i = (k_stride, j_stride, margin * i_stride)
        across_j = (k_stride, i_stride, margin * j_stride)
        across_k = (j_stride, i_stride, margin * k_stride)
        planes = [across_i, across_j, across_k]
    batch, landmarks = centres_kji.shape[:2]
    patches = padded.new_empty((batch, landmarks, len(planes), patch_size, patch_size))
    index = (cases[:, None], *centres_kji.unbind(-1))
    for plane, (row_stride, column_stride, offset) in enumerate(planes):
        windows = torch.as_strided(
            padded,
            (padded.shape[0], depth, height, width, patch_size, patch_size),
            (case_stride, k_stride, j_stride, i_stride, row_stride, column_stride),
            padded.storage_offset() + offset,
        )
        patches[:, :, plane] = windows[index]
    return patches.flatten(1, 2)
