"""Cutting orthogonal square patches around voxels [Li 2018, figure 2a-b]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def pad_for_patches(volumes: Tensor, patch_size: int) -> Tensor:
    """Volumes (cases, k, j, i) with a margin of zeros, so that a patch around any voxel can be cut.

    Volumes of a single slice get no margin along k.
    """
    cases, depth, height, width = volumes.shape
    margin = patch_size // 2
    margin_k = 0 if depth == 1 else margin
    padded = _zeros((cases, depth + 2 * margin_k, height + 2 * margin, width + 2 * margin), volumes)
    padded[:, margin_k : margin_k + depth, margin : margin + height, margin : margin + width] = volumes
    return padded


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    # NumPy asks the system for large pages that are zero already: five times as fast, and patches are read faster too.
    return torch.from_numpy(np.zeros(shape, like.numpy().dtype))


def plane_stacks(padded: Tensor) -> tuple[Tensor, ...]:
    """Views (cases, slice, row, column) of padded volumes (cases, k, j, i), one for each direction of patches.

    The planes across i (rows k, columns j), across j (rows k, columns i) and across k (rows j, columns i); of pictures
    only the last.
    """
    if padded.shape[1] == 1:
        return (padded,)
    return padded.permute(0, 3, 1, 2), padded.permute(0, 2, 1, 3), padded


def cut_patches(stacks: Sequence[Tensor], cases: Tensor, centres_kji: Tensor, patch_size: int) -> Tensor:
    """Patches around voxels, read straight from sliding views of plane stacks.

    Args:
        stacks: as `plane_stacks` returns them, without gaps in memory; contiguous copies are read faster.
        cases: (batch,) index of the volume each sample is cut from.
        centres_kji: (batch, landmarks, 3) voxel indices in the volume without margin.
        patch_size: odd side s in voxels.

    Returns:
        (batch, channels, s, s), channels last in memory: for each landmark one patch from each stack in turn.
    """
    batch, landmarks = centres_kji.shape[:2]
    k, j, i = centres_kji.unbind(-1)
    centres = [(i, k, j), (j, k, i), (k, j, i)][-len(stacks) :]
    patches = stacks[0].new_empty((batch * landmarks, len(stacks), patch_size, patch_size))
    for index, (stack, (slice_, row, column)) in enumerate(zip(stacks, centres, strict=True)):
        case_step, slice_step, row_step, column_step = stack.stride()
        # Along the slices a patch is one voxel thick: only there does the margin shift the index.
        margin = patch_size // 2 if len(stacks) == 3 else 0
        corners = cases[:, None] * case_step + (slice_ + margin) * slice_step + row * row_step + column * column_step
        # One view for the patch at every address of the memory, so that a patch is found by a single number.
        reach = (patch_size - 1) * (row_step + column_step)
        windows = stack.as_strided((stack.numel() - reach, patch_size, patch_size), (1, row_step, column_step))
        torch.index_select(windows, 0, corners.flatten(), out=patches[:, index])
    return _channels_last(patches.view(batch, -1, patch_size, patch_size))


def _channels_last(patches: Tensor) -> Tensor:
    """Patches (batch, channels, s, s), copied to memory in which the channels of a pixel are neighbours."""
    batch, channels, side, _ = patches.shape
    # Shuffling the pixels of a single one into a square leaves all of them where they are, and does for bytes in
    # blocks, four times as fast, what a conversion to channels last does one by one.
    size = channels * side**2
    single_pixels = patches.as_strided((batch, size, 1, 1), (size, 1, size, size))
    return torch.pixel_shuffle(single_pixels, side)
