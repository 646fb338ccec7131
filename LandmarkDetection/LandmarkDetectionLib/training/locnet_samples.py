"""Training samples of the multi-scale Loc-Net: images at every scale, true positions, and shifts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.locnet_scales import MultiscaleLocNetSettings, ScaleImages, scale_images
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
    """Endless batches of random entries of a pool that show any landmark, half of them in larger images, anywhere.

    Networks with zeros beyond the image can tell where its borders are. In the pool these always lie in the same place
    around the foreground, in detection wherever the volume ends.

    Args:
        pool: the cases.
        settings: of the networks.
        batch_size: images a batch.
        followed: landmarks of a batch that are followed to the finer scales, drawn at random; 0 for all.
        renew_every: batches after which one case of the pool is replaced.
        seed: of the draws and the shifts.
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
    ) -> None:
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
        images, moved = self._placed(pool.images[cases].numpy())
        scales = scale_images(images, settings.pooling, pool.dimension)
        truths = pool.alternative_positions(cases) + moved[:, None, None]
        points = truths.shape[0] * truths.shape[2]
        followed = torch.randperm(points, generator=self._random)[: self._followed or points]
        low_mm, high_mm = settings.noise_range_mm
        uniform = torch.rand((len(followed), pool.dimension), generator=self._random)
        shifts = (low_mm + (high_mm - low_mm) * uniform) / self.spacing_mm
        return LocNetBatch(scales, truths, pool.alternatives_shown(cases), followed, shifts)

    def _placed(self, volumes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Tensor]:
        """What is in volumes (batch, k, j, i) at random places in larger ones, and how far it moved (batch, d)."""
        boxes = [_box_of_content(volume) for volume in volumes]
        sides = np.array([[part.stop - part.start for part in box] for box in boxes])
        axes = slice(3 - self._pool.dimension, 3)
        canvas = sides.max(axis=0)
        if torch.rand((), generator=self._random) < 0.5:
            canvas[axes] += self._drawn(np.full(self._pool.dimension, _MOST_MARGIN * self._settings.pooling[0]))
        placed = np.zeros((len(volumes), *canvas), np.uint8)
        firsts = np.array([self._drawn(canvas - own) for own in sides])
        for target, volume, box, first, own in zip(placed, volumes, boxes, firsts, sides, strict=True):
            target[tuple(slice(start, start + side) for start, side in zip(first, own, strict=True))] = volume[box]
        moved = firsts - [[part.start for part in box] for box in boxes]
        return placed, torch.from_numpy(moved[:, axes]).float()

    def _drawn(self, most: NDArray[np.int64]) -> NDArray[np.int64]:
        """Random whole numbers from 0 to `most`."""
        uniform = torch.rand(len(most), generator=self._random).double().numpy()
        return (uniform * (most + 1)).astype(np.int64)


def _box_of_content(volume: NDArray[np.uint8]) -> tuple[slice, ...]:
    """The smallest box of a volume outside of which all is 0; the whole of an empty one."""
    if not volume.any():
        return tuple(slice(0, side) for side in volume.shape)
    extents = [np.flatnonzero(volume.any(axis=across)) for across in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(int(extent[0]), int(extent[-1]) + 1) for extent in extents)
