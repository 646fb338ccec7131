"""From the votes of patches to the places of landmarks [Noothout 2020, section II]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.global_to_local import Votes
from ..networks.layers import average_pooling

_LEAST_DOUBT = 1e-6
_LARGEST_LOG = 10.0
"""Of a displacement of 22,000 voxels: what an untrained network says must not overflow."""


class Estimate(NamedTuple):
    """Where landmarks are, by the votes of all patches of an image.

    Attributes:
        positions: (batch, n, d) in voxels and array order.
        covariances: (batch, n, d, d) weighted scatter of the places the patches point to. It is that of one vote, not
            of their mean: neighbouring patches see nearly the same and err together.
        evidence: (batch, n) logits of the probability that the image shows the landmark; None if it is not predicted.
    """

    positions: Tensor
    covariances: Tensor
    evidence: Tensor | None


def estimate(votes: Votes, patch_size: int, *, is_logarithmic: bool) -> Estimate:
    """Mean of the places the patches point to, weighted by the probabilities of the patches to hold the landmark.

    Without displacements every patch points to its own centre; without probabilities all patches weigh the same
    [Noothout 2020, section V-B]. Where all probabilities are about 0, of which the paper says nothing, their ratios
    still count, because the weights come from the logits.

    Args:
        votes: of the patches of an image.
        patch_size: side of the patches in voxels.
        is_logarithmic: whether the displacements are as `signed_log` makes them. Each is turned back into voxels
            before they are averaged.
    """
    sides = votes.logits.shape[2:] if votes.displacements is None else votes.displacements.shape[3:]
    seen = votes.logits if votes.displacements is None else votes.displacements
    pointed = patch_centres(sides, patch_size, seen.device).flatten(1)
    if votes.displacements is not None:
        displacements = votes.displacements.float().flatten(3)
        pointed = pointed + (signed_exponential(displacements) if is_logarithmic else displacements)
    if votes.logits is None:
        weights = pointed.new_full((1, 1, pointed.shape[-1]), 1.0 / pointed.shape[-1])
    else:
        weights = functional.logsigmoid(votes.logits.float().flatten(2)).softmax(-1)
    positions = (weights[:, :, None] * pointed).sum(-1)
    offsets = pointed - positions[..., None]
    covariances = (weights[:, :, None, None] * offsets[:, :, :, None] * offsets[:, :, None]).sum(-1)
    return Estimate(positions, covariances, None if votes.logits is None else _evidence(votes.logits.float()))


def _evidence(logits: Tensor) -> Tensor:
    """Logits (batch, n) of the largest probability that any two neighbouring patches along each axis hold the landmark.

    A landmark near the border of patches is as likely in one as in the other, and cannot be in both: their
    probabilities add up.
    """
    sides = [min(2, side) for side in logits.shape[2:]]
    together = average_pooling(len(sides))(sides, stride=1)(logits.sigmoid()) * math.prod(sides)
    return together.flatten(2).amax(-1).logit(eps=_LEAST_DOUBT)


def patch_centres(sides: Sequence[int], patch_size: int, device: torch.device | str = "cpu") -> Tensor:
    """Centres (d, *sides) of patches in voxels and array order; voxel 0 has its own centre at 0.

    That of the first patch of 8 voxels lies at 3.5, between its fourth and fifth voxel.
    """
    along = [torch.arange(side, dtype=torch.float32, device=device) * patch_size for side in sides]
    return torch.stack(torch.meshgrid(*along, indexing="ij")) + (patch_size - 1) / 2


def signed_log(displacements: Tensor) -> Tensor:
    """sign(d) ln(1 + |d|) of displacements in voxels, so that errors of far patches count less in training.

    The paper names no form: this one has a value at 0 and keeps the sign.
    """
    return displacements.sign() * displacements.abs().log1p()


def signed_exponential(logarithms: Tensor) -> Tensor:
    """The displacements in voxels of which these are the `signed_log`."""
    return logarithms.sign() * logarithms.abs().clamp(max=_LARGEST_LOG).expm1()
