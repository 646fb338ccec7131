"""Training samples of PIN: patches cut around random shapes, and how far those are from the truth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.patches import cut_patches
from ..detectors.pin_search import PINNetworkSettings, displacement_scale_mm
from ..detectors.windowed_image import as_network_input
from ..shape_model import ShapeModel
from .patch_pool import PatchPool
from .pool import renewing

_NEAREST_SPREAD = 0.02
_WIDEST_SPREAD = 0.7
"""Range, in standard deviations of the modes, of how far "near" starts lie from the truth.

Each mode has a spread of its own. With one spread for all of them the network would learn to leave the modes it sees
badly as they are whenever the others look right, and searches would end beside the truth."""
_WIDEST_VISITED = 4.0
"""Standard deviations beyond which a visited position is brought back, so that a network that errs in its first steps
does not wander off."""


@dataclass(frozen=True, eq=False)
class PINBatch:
    """What a network sees and should answer, and where that was.

    Attributes:
        patches: (batch, channels, s, s).
        displacements: (batch, outputs), in units of `displacement_scale_mm`.
        directions: (batch,) index of the direction of each displacement.
        cases: (batch,) entry of the pool.
        weights: (batch, modes) mode weights the patches were cut at.
    """

    patches: Tensor
    displacements: Tensor
    directions: Tensor
    cases: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> PINBatch:
        """The same batch on a device; what only the sampling needs stays."""
        moved = {name: getattr(self, name).to(device) for name in ("patches", "displacements", "directions")}
        return dataclasses.replace(self, **moved)


class PINSamples(IterableDataset):
    """Endless batches drawn from a pool of cases.

    A share of the samples goes on from where the network itself moved those of the batch before, so that it learns at
    the positions a search visits. Of the others, the fresh starts, a share lies near the truth and the rest within 3
    standard deviations of the mean, where the paper has all. The target is the displacement of the mode weights in
    units of `displacement_scale_mm`, counted from the voxels the patches were cut at.

    Args:
        pool: the cases; a batch takes its samples from random ones, but none from a case that lacks all the landmarks.
        landmarks: which of the pool's landmarks the network sees, by index. If not all, interchangeable ones are
            looked for where the pool's first assignment has them: alone, a landmark cannot say which end it is.
        shape_model: the space it moves in.
        settings: of the network.
        batch_size: samples a batch.
        near_share: share of the fresh starts near the truth.
        followed_share: share of the samples that go on from the batch before.
        renew_every: batches after which one case of the pool is replaced.
        seed: of the random starts.
    """

    def __init__(
        self,
        pool: PatchPool,
        landmarks: list[int],
        shape_model: ShapeModel,
        settings: PINNetworkSettings,
        *,
        batch_size: int,
        near_share: float,
        followed_share: float,
        renew_every: int,
        seed: int,
    ) -> None:
        self._pool = pool
        self._landmarks = landmarks
        self._assignments = slice(None) if len(landmarks) == pool.truths_mm.shape[2] else slice(1)
        self._settings = settings
        self._batch_size = batch_size
        self._near_share = near_share
        self._followed_share = followed_share
        self._visited: tuple[Tensor, Tensor] | None = None
        self._renew_every = renew_every
        self._random = torch.Generator().manual_seed(seed)
        self._shape_model = shape_model
        self._mean = torch.tensor(shape_model.mean, dtype=torch.float32)
        self._basis = torch.tensor(shape_model.eigenvectors, dtype=torch.float32)
        self._deviations = torch.tensor(shape_model.standard_deviations_mm, dtype=torch.float32)
        self._scale = torch.tensor(displacement_scale_mm(shape_model, settings), dtype=torch.float32)

    def __iter__(self) -> Iterator[PINBatch]:
        return renewing(self._pool, self._draw, self._renew_every)

    def follow(self, batch: PINBatch, displacements: Tensor) -> None:
        """Remember where a network moves the samples of a batch: its displacements (batch, outputs)."""
        moved = batch.weights + displacements.float().cpu() * self._scale
        limit = _WIDEST_VISITED * self._deviations
        self._visited = batch.cases, torch.maximum(torch.minimum(moved, limit), -limit)

    def _draw(self) -> PINBatch:
        shapes_mm = self._pool.truths_mm[:, self._assignments][:, :, self._landmarks]
        is_usable = torch.isfinite(shapes_mm[:, 0]).all(-1).any(-1)
        usable = is_usable.nonzero()[:, 0]
        cases = usable[torch.randint(len(usable), (self._batch_size,), generator=self._random)]
        is_followed = torch.zeros(len(cases), dtype=torch.bool)
        if self._visited is not None:
            is_followed = torch.rand(len(cases), generator=self._random) < self._followed_share
            is_followed &= is_usable[self._visited[0]]
            cases = torch.where(is_followed, self._visited[0], cases)
        truths = self._weights_of(shapes_mm[cases])
        starts = self._starts(truths[:, 0])
        if self._visited is not None:
            starts = torch.where(is_followed[:, None], self._visited[1], starts)
        voxels, cut_at = self._cut_positions(cases, starts)
        nearest = (truths - cut_at[:, None]).norm(dim=-1).argmin(1)
        displacements = (truths[torch.arange(len(cases)), nearest] - cut_at) / self._scale
        largest = displacements.abs().argmax(1)
        is_negative = displacements.gather(1, largest[:, None])[:, 0] <= 0
        patches = cut_patches(self._pool.stacks, cases, voxels.flip(-1), self._settings.patch_size)
        return PINBatch(as_network_input(patches), displacements, 2 * largest + is_negative, cases, cut_at)

    def _weights_of(self, shapes_mm: Tensor) -> Tensor:
        """Mode weights (batch, alternatives, modes) of shapes (batch, alternatives, n, 3), gaps filled by the model."""
        weights = (shapes_mm.flatten(-2) - self._mean) @ self._basis.T
        for gap in torch.isnan(weights).any(-1).nonzero():
            projected = self._shape_model.project(shapes_mm[tuple(gap)].numpy())
            weights[tuple(gap)] = torch.from_numpy(projected).float()
        return weights

    def _starts(self, truths: Tensor) -> Tensor:
        """Mode weights (batch, modes) of fresh starts."""
        span = math.log(_WIDEST_SPREAD / _NEAREST_SPREAD)
        spread = _NEAREST_SPREAD * torch.exp(torch.rand(truths.shape, generator=self._random) * span)
        near = truths + spread * self._deviations * torch.randn(truths.shape, generator=self._random)
        size = (len(truths), 1)
        range_sd = 3.0 * torch.rand(size, generator=self._random)
        anywhere = (torch.rand(truths.shape, generator=self._random) * 2.0 - 1.0) * range_sd * self._deviations
        return torch.where(torch.rand(size, generator=self._random) < self._near_share, near, anywhere)

    def _cut_positions(self, cases: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Voxels ijk (batch, n, 3) nearest to the starts, and their mode weights (batch, modes)."""
        positions = (self._mean + starts @ self._basis).unflatten(-1, (-1, 3))
        origins = self._pool.origins_ijk[cases][:, None]
        ijk = (positions / self._pool.spacing_mm + origins).round().long()
        voxels = torch.minimum(ijk.clamp(min=0), self._pool.size_ijk - 1)
        rounded = (voxels - origins) * self._pool.spacing_mm
        return voxels, (rounded.flatten(1) - self._mean) @ self._basis.T
