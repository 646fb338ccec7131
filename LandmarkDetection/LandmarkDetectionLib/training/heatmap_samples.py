"""Training samples of heatmap regression: whole images, and where their landmarks are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.windowed_image import as_network_input
from .placement import placed_entries
from .pool import CasePool, renewing


@dataclass(frozen=True, eq=False)
class HeatmapBatch:
    """What a network sees and should answer.

    Attributes:
        images: (batch, 1, ...).
        positions: (batch, alternatives, n, d) true positions in voxels and array order, NaN where missing; the
            alternatives are the ways to assign interchangeable labels.
        is_shown: (batch, alternatives, n) whether the image shows the landmark.
    """

    images: Tensor
    positions: Tensor
    is_shown: Tensor

    def to(self, device: torch.device) -> HeatmapBatch:
        """The same batch on a device."""
        return HeatmapBatch(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


_MOST_MARGIN = 8
"""Voxels by which the images of a batch may be larger than the largest content of them."""


class HeatmapSamples(IterableDataset):
    """Endless batches of random entries of a pool, anywhere in their images.

    Args:
        pool: the cases.
        batch_size: images a batch.
        renew_every: batches after which one case of the pool is replaced.
        seed: of the draws.
    """

    def __init__(self, pool: CasePool, *, batch_size: int, renew_every: int, seed: int) -> None:
        self._pool = pool
        self._batch_size = batch_size
        self._renew_every = renew_every
        self._random = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[HeatmapBatch]:
        return renewing(self._pool, self._draw, self._renew_every)

    def _draw(self) -> HeatmapBatch:
        entries = torch.randint(len(self._pool), (self._batch_size,), generator=self._random)
        images, positions, is_shown = placed_entries(self._pool, entries, _MOST_MARGIN, self._random)
        inputs = images if self._pool.dimension == 2 else images[:, None]
        return HeatmapBatch(as_network_input(torch.from_numpy(inputs)), positions, is_shown)
