"""Training samples of global-to-local: random parts of whole images, and small images around each landmark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.boxes import cut_boxes, nearest_voxels, pad_for_boxes
from ..detectors.equalisation import equalised
from ..detectors.global_to_local import GlobalToLocalNetworkSettings
from ..detectors.windowed_image import as_network_input
from .pool import CasePool, renewing


@dataclass(frozen=True)
class GlobalToLocalBatch:
    """What one step of the training sees; positions are in voxels of their image and array order, NaN where unknown.

    Attributes:
        images: (batch, 1, *sides) for the global network.
        positions: (batch, alternatives, n, d) in it; the alternatives are the ways to assign interchangeable labels.
        is_shown: (batch, alternatives, n) whether the whole image, of which this may be a part, shows the landmark.
        local_images: (local batch, n, *sides), one for each local network.
        local_positions: (local batch, n, d) of the landmark in each; NaN where the image does not show it.
    """

    images: Tensor
    positions: Tensor
    is_shown: Tensor
    local_images: Tensor
    local_positions: Tensor

    def to(self, device: torch.device) -> GlobalToLocalBatch:
        """The same batch on a device."""
        return GlobalToLocalBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class GlobalToLocalSamples(IterableDataset):
    """Endless batches from a pool.

    Args:
        pool: the cases.
        settings: of the networks.
        batch_size: parts of whole images in a batch.
        local_batch_size: small images in a batch, for each landmark.
        local_reach: voxels along each axis that a landmark may lie before or behind the middle of its small image.
        part_size: longest side in voxels of the parts.
        renew_every: batches after which one case of the pool is replaced.
        seed: of the random places.
    """

    def __init__(
        self,
        pool: CasePool,
        settings: GlobalToLocalNetworkSettings,
        *,
        batch_size: int,
        local_batch_size: int,
        local_reach: int,
        part_size: int,
        renew_every: int,
        seed: int,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._batch_size = batch_size
        self._local_batch_size = local_batch_size
        self._local_reach = local_reach
        self._part_size = part_size
        self._renew_every = renew_every
        self._random = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[GlobalToLocalBatch]:
        return renewing(self._pool, self._draw, self._renew_every)

    def _draw(self) -> GlobalToLocalBatch:
        cases = torch.randint(len(self._pool), (self._batch_size,), generator=self._random)
        parts, corners = self._parts(self._images(cases))
        local_cases = torch.randint(len(self._pool), (self._local_batch_size,), generator=self._random)
        local_images, local_positions = self._surroundings(local_cases)
        return GlobalToLocalBatch(
            as_network_input(parts),
            self._pool.alternative_positions(cases) - corners[:, None, None],
            self._pool.alternatives_shown(cases),
            as_network_input(local_images),
            local_positions,
        )

    def _images(self, cases: Tensor) -> Tensor:
        """Bytes (batch, 1, *sides) as in detection."""
        images = self._pool.inputs(cases)
        return equalised(images) if self._settings.histogram_equalisation else images

    def _parts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """A random part of each image, and its first voxel (batch, d); along shorter axes the whole image."""
        whole = torch.tensor(images.shape[2:])
        sides = whole.clamp(max=self._part_size)
        corners = (torch.rand(len(images), len(whole), generator=self._random) * (whole - sides + 1)).long()
        parts = [
            image[(slice(None), *(slice(first, first + side) for first, side in zip(corner, sides, strict=True)))]
            for image, corner in zip(images, corners, strict=True)
        ]
        return torch.stack(parts), corners

    def _surroundings(self, cases: Tensor) -> tuple[Tensor, Tensor]:
        """Small images (batch, n, *sides) with each landmark near the middle of its own, and its position in it.

        Either end of an interchangeable pair may be found under either label, so each network learns both.
        """
        size, images = self._settings.local_size, self._images(cases)
        positions, is_shown = self._pool.alternative_positions(cases), self._pool.alternatives_shown(cases)
        chosen = torch.randint(positions.shape[1], (len(cases),), generator=self._random)
        positions = torch.where(is_shown[..., None], positions, torch.nan)[torch.arange(len(cases)), chosen]
        offsets = torch.randint(-self._local_reach, self._local_reach, positions.shape, generator=self._random)
        centres = nearest_voxels(positions.nan_to_num() - offsets, images.shape[2:])
        boxes = cut_boxes(
            pad_for_boxes(images[:, 0], size),
            torch.arange(len(cases)).repeat_interleave(positions.shape[1]),
            centres.flatten(0, 1),
            size,
        )
        return boxes.unflatten(0, positions.shape[:2]), positions - (centres - size // 2)
