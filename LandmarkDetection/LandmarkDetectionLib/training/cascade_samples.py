"""Training samples of the cascade: whole images at low resolution, and patches near their landmarks at full one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.boxes import cut_boxes, nearest_voxels, pad_for_boxes
from ..detectors.cascade import CascadeNetworkSettings, coarse_positions
from ..detectors.mean_pooling import mean_pooled
from ..detectors.windowed_image import as_network_input
from .placement import placed_entries
from .pool import CasePool, renewing


@dataclass(frozen=True, eq=False)
class CascadeBatch:
    """What both stages see and should answer.

    Attributes:
        images: (batch, 1, ...) for the first stage.
        positions: (batch, alternatives, n, d) true positions in its voxels and array order, NaN where missing; the
            alternatives are the ways to assign interchangeable labels.
        is_shown: (batch, alternatives, n) whether the image shows the landmark.
        patches: (n, patches, 1, ...) for the network of each landmark.
        displacements: (n, patches, d) in voxels of the full image and array order, NaN where there is no truth.
    """

    images: Tensor
    positions: Tensor
    is_shown: Tensor
    patches: Tensor
    displacements: Tensor

    def to(self, device: torch.device) -> CascadeBatch:
        """The same batch on a device."""
        return CascadeBatch(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


_MOST_MARGIN = 8
"""Voxels of the first stage by which the images of a batch may be larger than the largest content of them."""


class CascadeSamples(IterableDataset):
    """Endless batches drawn from a pool of cases.

    The second stage learns near the truth, as the first stage's predictions will be: about every landmark predictions
    S_0 are drawn from a normal distribution, and around each of them a point q uniformly, at which the patch is cut
    [Tan 2019, section 2.2]. The paper does not give its ranges.

    Args:
        pool: the cases.
        settings: of the networks.
        batch_size: images a batch.
        patches_per_image: for each landmark.
        prediction_error: standard deviation of S_0 along each axis, in voxels of the first stage.
        sampling_range: largest distance of q from S_0 along each axis, in the same unit.
        renew_every: batches after which one case of the pool is replaced.
        seed: of all randomness.

    Attributes:
        spacing_mm: (d,) size of the full images' voxels in array order.
    """

    def __init__(
        self,
        pool: CasePool,
        settings: CascadeNetworkSettings,
        *,
        batch_size: int,
        patches_per_image: int,
        prediction_error: float,
        sampling_range: float,
        renew_every: int,
        seed: int,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._batch_size = batch_size
        self._patches_per_image = patches_per_image
        self._prediction_error = prediction_error * settings.pooling
        self._sampling_range = sampling_range * settings.pooling
        self._renew_every = renew_every
        self._random = torch.Generator().manual_seed(seed)
        self.spacing_mm = pool.spacing_mm[: pool.dimension].flip(-1)

    def __iter__(self) -> Iterator[CascadeBatch]:
        return renewing(self._pool, self._draw, self._renew_every)

    def _draw(self) -> CascadeBatch:
        cases = torch.randint(len(self._pool), (self._batch_size,), generator=self._random)
        images, truths, is_shown = placed_entries(
            self._pool, cases, _MOST_MARGIN * self._settings.pooling, self._random
        )
        # Either end of a pair may be found under either label, so that the networks of both learn both.
        chosen = torch.arange(len(cases)), torch.randint(truths.shape[1], (len(cases),), generator=self._random)
        whole = torch.from_numpy(images[:, 0] if self._pool.dimension == 2 else images)
        patches, displacements = self._patches(whole, truths[chosen], is_shown[chosen])
        positions = coarse_positions(truths, self._settings.pooling)
        return CascadeBatch(self._coarse_images(images), positions, is_shown, patches, displacements)

    def _coarse_images(self, images: NDArray[np.uint8]) -> Tensor:
        """What the first stage sees (batch, 1, ...) of images (batch, k, j, i)."""
        dimension = self._pool.dimension
        pooled = np.stack([mean_pooled(image, self._settings.pooling, dimension=dimension) for image in images])
        return as_network_input(torch.from_numpy(pooled if dimension == 2 else pooled[:, None]))

    def _patches(self, images: Tensor, truths: Tensor, is_shown: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (n, batch * patches, 1, ...) of images (batch, ...), and the displacements to be learned.

        Where the image does not show a landmark, its patches show anything and their displacements are NaN.
        """
        # Landmarks first, because each has a network of its own.
        shape = (truths.shape[1], len(truths), self._patches_per_image, truths.shape[2])
        places = torch.where(is_shown[..., None], truths, torch.nan).transpose(0, 1)[:, :, None].expand(shape)
        predictions = places + self._prediction_error * torch.randn(shape, generator=self._random)
        offsets = self._sampling_range * (2.0 * torch.rand(shape, generator=self._random) - 1.0)
        voxels = nearest_voxels((predictions + offsets).nan_to_num(), images.shape[1:])
        origins = voxels if self._settings.counted_from == "patch" else predictions
        cases = torch.arange(len(images))[None, :, None].expand(shape[:-1])
        size = self._settings.patch_size
        boxes = cut_boxes(pad_for_boxes(images, size), cases.flatten(), voxels.flatten(0, 2), size)
        patches = as_network_input(boxes[:, None]).unflatten(0, (shape[0], -1))
        return patches, (places - origins).flatten(1, 2)
