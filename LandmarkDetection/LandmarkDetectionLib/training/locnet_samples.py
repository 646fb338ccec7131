"""Training samples of the multi-scale Loc-Net: images at every scale, true positions, and shifts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.ellipse_outline import EllipseOutline
from ..detectors.locnet_scales import MultiscaleLocNetSettings, ScaleImages, scale_images
from .placement import placed_entries
from .pool import CasePool, renewing


@dataclass(frozen=True, eq=False)
class LocNetBatch:
    """What the networks see and should answer. Positions are in voxels of the model's grid, array order.

    Attributes:
        scales: the images, coarsest first.
        truths: (batch, alternatives, n, d), NaN where nobody placed the landmark.
        is_shown: (batch, alternatives, n) whether the image shows it.
        followed: (points,) which landmarks, counted image after image, are followed to the finer scales.
        shifts: (points, d) by which the crops of the last scale miss what the scale before found.
    """

    scales: tuple[ScaleImages, ...]
    truths: Tensor
    is_shown: Tensor
    followed: Tensor
    shifts: Tensor

    def to(self, device: torch.device) -> LocNetBatch:
        """The same batch on a device."""
        scales = tuple(scale.to(device) for scale in self.scales)
        names = [field.name for field in dataclasses.fields(self)[1:]]
        return LocNetBatch(scales, *(getattr(self, name).to(device) for name in names))


_MOST_MARGIN = 8
"""Voxels of the coarsest scale by which the images of a batch may be larger than the largest content of them."""


class LocNetSamples(IterableDataset):
    """Endless batches of random entries of a pool that show any landmark, anywhere in their images.

    Args:
        pool: the cases.
        settings: of the networks.
        batch_size: images a batch.
        followed: landmarks of a batch that are followed to the finer scales, drawn at random; 0 for all.
        renew_every: batches after which one case of the pool is replaced.
        seed: of the draws and the shifts.
        outline: of the ellipse that is learned in place of the landmarks.
    """

    def __init__(
        self,
        pool: CasePool,
        settings: MultiscaleLocNetSettings,
        *,
        batch_size: int,
        followed: int,
        renew_every: int,
        seed: int,
        outline: EllipseOutline | None = None,
    ) -> None:
        self._outline = outline
        self._pool = pool
        self._settings = settings
        self._batch_size = batch_size
        self._followed = followed
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
        usable = pool.is_inside.any(1).nonzero()[:, 0]
        cases = usable[torch.randint(len(usable), (self._batch_size,), generator=self._random)]
        most_margin = _MOST_MARGIN * settings.pooling[0]
        images, truths, is_shown = placed_entries(pool, cases, most_margin, self._random)
        scales = scale_images(images, settings.pooling, pool.dimension)
        if self._outline is not None:
            # Whichever way the ends are named, the ellipse is the same.
            truths = self._outline.points(truths[:, :1])
            is_shown = is_shown[:, :1].all(-1, keepdim=True).expand(truths.shape[:-1])
        points = truths.shape[0] * truths.shape[2]
        followed = torch.randperm(points, generator=self._random)[: self._followed or points]
        low_mm, high_mm = settings.noise_range_mm
        uniform = torch.rand((len(followed), pool.dimension), generator=self._random)
        shifts = (low_mm + (high_mm - low_mm) * uniform) / self.spacing_mm
        return LocNetBatch(scales, truths, is_shown, followed, shifts)
