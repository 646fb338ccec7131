"""Training samples of the multi-scale Loc-Net: images at every scale, true positions, and shifts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.locnet_scales import MultiscaleLocNetSettings, ScaleImages, scale_images
from .pool import CasePool, renewing


@dataclass(frozen=True, eq=False)
class LocNetBatch:
    """What the networks see and should answer. Positions are in voxels of the model's grid, array order.

    Attributes:
        scales: the images, coarsest first.
        truths: (batch, alternatives, n, d), NaN where the image does not show the landmark.
        shifts: (batch, n, d) by which the crops of the last scale miss what the scale before found.
    """

    scales: tuple[ScaleImages, ...]
    truths: Tensor
    shifts: Tensor

    def to(self, device: torch.device) -> LocNetBatch:
        """The same batch on a device."""
        scales = tuple(scale.to(device) for scale in self.scales)
        return dataclasses.replace(self, scales=scales, truths=self.truths.to(device), shifts=self.shifts.to(device))


class LocNetSamples(IterableDataset):
    """Endless batches of random entries of a pool that show any landmark.

    Args:
        pool: the cases.
        settings: of the networks.
        batch_size: images a batch.
        renew_every: batches after which one case of the pool is replaced.
        seed: of the draws and the shifts.
    """

    def __init__(
        self, pool: CasePool, settings: MultiscaleLocNetSettings, *, batch_size: int, renew_every: int, seed: int
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._batch_size = batch_size
        self._renew_every = renew_every
        self._random = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[LocNetBatch]:
        return renewing(self._pool, self._draw, self._renew_every)

    @property
    def spacing_mm(self) -> Tensor:
        """Voxel size (d,) of the model's grid, array order."""
        return self._pool.spacing_mm[: self._pool.dimension].flip(-1)

    def _draw(self) -> LocNetBatch:
        pool, settings = self._pool, self._settings
        truths = self._shown_truths()
        usable = torch.isfinite(truths[:, 0]).all(-1).any(-1).nonzero()[:, 0]
        cases = usable[torch.randint(len(usable), (self._batch_size,), generator=self._random)]
        scales = scale_images(pool.images[cases].numpy(), settings.pooling, pool.dimension)
        low_mm, high_mm = settings.noise_range_mm
        uniform = torch.rand((len(cases), *truths.shape[2:]), generator=self._random)
        return LocNetBatch(scales, truths[cases], (low_mm + (high_mm - low_mm) * uniform) / self.spacing_mm)

    def _shown_truths(self) -> Tensor:
        """True positions (pool, alternatives, n, d) in voxels and array order, NaN where they are not to be seen."""
        pool = self._pool
        voxels = pool.truths_mm / pool.spacing_mm + pool.origins_ijk[:, None, None]
        # Which landmarks an image shows is known of the first alternative; the others have the same in another order.
        is_same = (voxels[:, :, :, None] == voxels[:, :1, None]).all(-1)
        is_shown = (is_same & pool.is_inside[:, None, None]).any(-1)
        return torch.where(is_shown[..., None], voxels, torch.nan)[..., : pool.dimension].flip(-1)
