"""A pool of cases kept the way PIN cuts its patches."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..detectors.patches import pad_for_patches, plane_stacks
from .augmentation import Augmenter
from .cases import TrainingCase
from .pool import CasePool


class PatchPool(CasePool):
    """A pool whose images are plane stacks with the margin that patches of a size need."""

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

    @property
    def stacks(self) -> list[Tensor]:
        """Planes across i, j and k, each contiguous, because training reads far more often than it writes."""
        return self._arrays

    def _kept(self, image: Tensor) -> Sequence[Tensor]:
        padded = pad_for_patches(image[None], self._patch_size)
        return [planes[0] for planes in plane_stacks(padded)]
