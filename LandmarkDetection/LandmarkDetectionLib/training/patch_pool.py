"""A pool of cases kept the way PIN cuts its patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..detectors.patches import pad_for_patches, plane_stacks
from .augmentation import Augmenter
from .cases import TrainingCase
from .pool import CasePool


class PatchPool(CasePool):
    """A pool whose images are plane stacks with the margin that patches of a size need.

    Attributes:
        stacks: each contiguous, because training reads far more often than it writes.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        augmenter: Augmenter,
        *,
        labels: Sequence[str],
        interchangeable: Sequence[tuple[str, str]],
        size: int,
        seed: int,
        patch_size: int,
    ) -> None:
        self._patch_size = patch_size
        super().__init__(cases, augmenter, labels=labels, interchangeable=interchangeable, size=size, seed=seed)

    def _allocate(self, size: int, shape: tuple[int, int, int]) -> None:
        padded = pad_for_patches(torch.zeros((1, *shape), dtype=torch.uint8), self._patch_size)
        self.stacks = [stack.new_zeros((size, *stack.shape[1:])) for stack in plane_stacks(padded)]

    def _write(self, slot: int, image: Tensor) -> None:
        padded = pad_for_patches(image[None], self._patch_size)
        for stack, planes in zip(self.stacks, plane_stacks(padded), strict=True):
            stack[slot] = planes[0]
