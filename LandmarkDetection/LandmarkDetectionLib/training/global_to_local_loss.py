"""What the patches of an image should say of its landmarks, and the joint loss [Noothout 2020, section II]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..detectors.patch_voting import patch_centres, signed_log
from ..networks.global_to_local import Votes


def displacements_to(positions: Tensor, sides: Sequence[int], patch_size: int) -> Tensor:
    """Voxels (batch, n, d, *sides) from the centre of each patch to positions (batch, n, d), in array order."""
    centres = patch_centres(sides, patch_size, positions.device)
    return positions[(..., *[None] * len(sides))] - centres


def patches_that_hold(positions: Tensor, sides: Sequence[int], patch_size: int) -> Tensor:
    """Whether each patch (batch, n, *sides) holds a position (batch, n, d) in array order.

    A patch reaches half a voxel beyond the centres of its outer voxels. Positions beyond all patches are in none.
    """
    displacements = displacements_to(positions, sides, patch_size)
    return ((displacements >= -patch_size / 2) & (displacements < patch_size / 2)).all(2)


def voting_loss(
    votes: Votes,
    positions: Tensor,
    is_shown: Tensor,
    patch_size: int,
    *,
    is_logarithmic: bool,
    classification_weight: float = 1.0,
) -> Tensor:
    """Mean absolute error of the displacements plus binary cross-entropy of the patches, each image's own (batch,).

    The paper names no weight for the second. What a network does not tell costs nothing.

    Args:
        votes: of the patches of images.
        positions: (batch, n, d) true ones in voxels and array order; NaN where unknown, which is left out.
        is_shown: (batch, n) whether the image shows the landmark; if not, no patch holds it, but all know the way.
        patch_size: side of the patches in voxels.
        is_logarithmic: whether displacements are compared as `signed_log` makes them.
        classification_weight: of the cross-entropy.
    """
    is_known = positions.isfinite().all(-1)
    positions = torch.where(is_known[..., None], positions, 0.0)
    loss = positions.new_zeros(len(positions))
    if votes.displacements is not None:
        targets = displacements_to(positions, votes.displacements.shape[3:], patch_size)
        targets = signed_log(targets) if is_logarithmic else targets
        loss = loss + _mean_of_known((votes.displacements.float() - targets).abs(), is_known)
    if votes.logits is not None:
        holds = patches_that_hold(positions, votes.logits.shape[2:], patch_size)
        targets = (holds & is_shown[(..., *[None] * (holds.ndim - 2))]).float()
        entropies = functional.binary_cross_entropy_with_logits(votes.logits.float(), targets, reduction="none")
        loss = loss + classification_weight * _mean_of_known(entropies, is_known)
    return loss


def _mean_of_known(values: Tensor, is_known: Tensor) -> Tensor:
    """Means (batch,) of values (batch, n, ...) over the known ones of n; 0 where none is known."""
    return (values.flatten(2).mean(-1) * is_known).sum(-1) / is_known.sum(-1).clamp(min=1)
