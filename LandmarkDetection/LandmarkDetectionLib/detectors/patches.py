"""Cutting orthogonal square patches around voxels [Li 2018, figure 2a-b]."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def pad_for_patches(volumes: Tensor, patch_size: int) -> Tensor:
    """Volumes (cases, k, j, i) with a margin of zeros, so that a patch around any voxel can be cut.

    Volumes of a single slice get no margin along k.
    """
    margin = patch_size // 2
    margin_k = 0 if volumes.shape[1] == 1 else margin
    return functional.pad(volumes, (margin, margin, margin, margin, margin_k, margin_k))


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
        stacks: as `plane_stacks` returns them; copies with contiguous planes are read faster.
        cases: (batch,) index of the volume each sample is cut from.
        centres_kji: (batch, landmarks, 3) voxel indices in the volume without margin.
        patch_size: odd side s in voxels.

    Returns:
        (batch, channels, s, s): for each landmark one patch from each stack in turn.
    """
    batch, landmarks = centres_kji.shape[:2]
    k, j, i = centres_kji.unbind(-1)
    centres = [(i, k, j), (j, k, i), (k, j, i)][-len(stacks) :]
    patches = stacks[0].new_empty((batch, landmarks, len(stacks), patch_size, patch_size))
    for index, (stack, (slice_, row, column)) in enumerate(zip(stacks, centres, strict=True)):
        windows = stack.unfold(2, patch_size, 1).unfold(3, patch_size, 1)
        # Along the slices a patch is one voxel thick: only there does the margin shift the index.
        margin = patch_size // 2 if len(stacks) == 3 else 0
        patches[:, :, index] = windows[cases[:, None], slice_ + margin, row, column]
    return patches.flatten(1, 2)
