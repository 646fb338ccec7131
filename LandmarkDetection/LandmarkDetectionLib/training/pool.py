"""A pool of augmented cases in memory, renewed piece by piece while the training draws from it."""

from __future__ import annotations

import collections
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..geometry import FloatArray, apply_affine
from ..landmarks import LandmarkSet
from ..preprocessing import CanonicalVolume, frame_scaling
from .augmentation import Augmenter, Variant
from .cases import TrainingCase
from .size_balance import balanced_turns

if TYPE_CHECKING:
    from .job import TrainingJob

Batch = TypeVar("Batch")

_MOST_BYTES = 8e9
"""Of all variants together, unless there are more cases: each is to be among them."""

_log = logging.getLogger(__name__)


class CasePool:
    """Variants of the training cases on one common grid.

    Args:
        cases: to make variants of.
        augmenter: makes them.
        labels: the landmarks, in the order of the model.
        interchangeable: pairs of labels whose ends cannot be told apart.
        size: variants held, if the memory for them is not out of all proportion.
        seed: of all randomness.

    Attributes:
        origins_ijk: (pool, 3) voxel index of each frame's origin.
        size_ijk, spacing_mm: (3,) voxels of the common grid, and their size.
        truths_mm: (pool, alternatives, n, 3) frame positions, NaN where missing; the alternatives are the ways to
            assign the labels of interchangeable pairs, the one most like the original case first.
        is_inside: (pool, n) whether the variant shows the landmark, taken in the first assignment.
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
    ) -> None:
        self._cases = cases
        self._augmenter = augmenter
        self._labels = list(labels)
        self._alternatives = _assignments(self._labels, interchangeable)
        self._generator = np.random.default_rng(seed)
        self._next = 0
        self._turns = balanced_turns(self._sizes()) if augmenter.augmentation.balance_sizes else range(len(cases))
        self.dimension = augmenter.dimension
        self.spacing_mm = torch.tensor(augmenter.preprocessing.spacing_mm, dtype=torch.float32)
        shape = self._common_shape()
        self.size_ijk = torch.tensor(shape[::-1])
        empty = self._kept(torch.zeros(shape, dtype=torch.uint8))
        bytes_each = sum(array.numel() for array in empty)
        size = _affordable(size, bytes_each, len(cases))
        self._arrays = [array.new_zeros((size, *array.shape)) for array in empty]
        self.origins_ijk = torch.zeros((size, 3))
        self.truths_mm = torch.zeros((size, len(self._alternatives), len(self._labels), 3))
        self.is_inside = torch.zeros((size, len(self._labels)), dtype=torch.bool)
        made = f"Making variants ({size * bytes_each / 1e9:.1f} GB)"
        _exhaust(tqdm(self._renewed(size), made, size, unit="variant", leave=False, disable=None))

    @classmethod
    def of(cls, job: TrainingJob, **own: int) -> Self:
        """The pool of a training's cases, with what a subclass asks for beyond."""
        card = job.card
        return cls(
            job.cases,
            job.augmenter,
            labels=card.labels,
            interchangeable=card.interchangeable,
            size=job.recipe.optimisation.pool_size,
            seed=job.seed,
            **own,
        )

    def _kept(self, image: Tensor) -> Sequence[Tensor]:
        """The arrays as which an image (k, j, i) is kept."""
        return (image,)

    @property
    def images(self) -> Tensor:
        """Bytes (pool, k, j, i), 0 to 255 over the intensity window, the frame's origin near the middle."""
        return self._arrays[0]

    def __len__(self) -> int:
        return len(self.origins_ijk)

    def renew(self, count: int) -> None:
        """Replace the oldest entries by new variants, taking the cases in turn."""
        _exhaust(self._renewed(count))

    def _renewed(self, count: int) -> Iterator[int]:
        """The entries replaced, each as soon as it is."""
        seeds = self._generator.integers(2**63, size=count)
        slots = [(self._next + offset) % len(self) for offset in range(count)]
        turns = [self._turns[(self._next + offset) % len(self._turns)] for offset in range(count)]
        self._next += count
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            variants = threads.map(self._variant, turns, seeds)
            for slot, turn, variant in zip(slots, turns, variants, strict=True):
                self._store(slot, variant, self._cases[turn].landmarks)
                yield slot

    def _variant(self, case_index: int, seed: int) -> Variant:
        case = self._cases[case_index]
        return self._augmenter(case.volume, case.landmarks, np.random.default_rng(seed))

    def _sizes(self) -> list[float]:
        """Root mean square distance of each case's landmarks from their mean, in millimetres of the frame."""
        sizes = []
        for case in self._cases:
            shape_mm = case.landmarks.to_array(self._labels)
            scale = frame_scaling(case.volume, self._augmenter.preprocessing)[0, 0]
            sizes.append(scale * np.sqrt(np.nanvar(shape_mm, axis=0).sum()))
        return sizes

    def _common_shape(self) -> tuple[int, int, int]:
        """Voxels along k, j, i that hold every case however it is turned a little."""
        preprocessing = self._augmenter.preprocessing
        volumes = [case.volume for case in self._cases]
        sizes = [frame_scaling(one, preprocessing)[0, 0] * np.array(one.size) * one.spacing_mm for one in volumes]
        spacing = np.array(preprocessing.spacing_mm)
        if self._augmenter.dimension == 2:
            side = int(np.ceil(max(size.max() for size in sizes) / spacing[0]))
            return 1, side, side
        return tuple(int(n) for n in np.ceil(np.max(sizes, axis=0).max() / spacing[::-1]))

    def _store(self, slot: int, variant: Variant, original: LandmarkSet) -> None:
        canonical = variant.canonical
        shape = self.size_ijk.numpy()[::-1]
        first = np.round(canonical.origin_ijk[::-1]).astype(int) - shape // 2
        if shape[0] == 1:
            first[0] = 0
        source = tuple(slice(max(f, 0), max(f + n, 0)) for f, n in zip(first, shape, strict=True))
        voxels = np.round(variant.windowed[source] * 255.0).astype(np.uint8)
        target = tuple(slice(max(-f, 0), max(-f, 0) + n) for f, n in zip(first, voxels.shape, strict=True))
        image = torch.zeros(tuple(shape), dtype=torch.uint8)
        image[target] = torch.from_numpy(voxels)
        for array, values in zip(self._arrays, self._kept(image), strict=True):
            array[slot] = values
        self.origins_ijk[slot] = torch.from_numpy(canonical.origin_ijk - first[::-1])
        truth = apply_affine(np.linalg.inv(canonical.frame_to_ras), variant.landmarks.to_array(self._labels))
        order = self._assignments_like(original.to_array(self._labels), variant.landmarks.to_array(self._labels))
        self.truths_mm[slot] = torch.from_numpy(truth[order])
        is_shown = np.array([label in variant.shown for label in self._labels])
        self.is_inside[slot] = torch.from_numpy((is_shown & _within(canonical, truth))[order[0]])

    def _assignments_like(self, original: FloatArray, moved: FloatArray) -> np.ndarray:
        """The alternatives, first the one that leaves each label closest to where it was: a mirror image swaps ends."""
        candidates = moved[self._alternatives]
        offsets = (candidates - np.nanmean(moved, axis=0)) - (original - np.nanmean(original, axis=0))
        return self._alternatives[np.argsort(np.nansum(offsets**2, axis=(1, 2)), kind="stable")]

    def positions(self, cases: Tensor) -> Tensor:
        """True positions (batch, n, d) of pool entries (batch,) in voxels and array order, NaN where missing."""
        return self.alternative_positions(cases)[:, 0]

    def alternative_positions(self, cases: Tensor) -> Tensor:
        """The same (batch, alternatives, n, d) for every way to assign the labels of interchangeable pairs."""
        voxels = self.truths_mm[cases] / self.spacing_mm + self.origins_ijk[cases][:, None, None]
        return voxels[..., : self.dimension].flip(-1)

    def alternatives_shown(self, cases: Tensor) -> Tensor:
        """Whether pool entries (batch,) show the landmarks (batch, alternatives, n), for the same assignments."""
        truths_mm = self.truths_mm[cases]
        # Known of the first assignment; the others have the same places in another order.
        is_same = (truths_mm[:, :, :, None] == truths_mm[:, :1, None]).all(-1)
        return (is_same & self.is_inside[cases][:, None, None]).any(-1)

    def inputs(self, cases: Tensor) -> Tensor:
        """Images (batch, 1, k, j, i), or (batch, 1, j, i) in 2D, of pool entries (batch,)."""
        images = self.images[cases]
        return images if self.dimension == 2 else images[:, None]

    def shapes_mm(self) -> Tensor:
        """True shapes (complete, n, 3) of the entries without a missing landmark, labels as given."""
        shapes = self.truths_mm[:, 0]
        return shapes[torch.isfinite(shapes).all(dim=(1, 2))]


def renewing(pool: CasePool, draw: Callable[[], Batch], renew_every: int) -> Iterator[Batch]:
    """Endless batches as drawn, one entry of the pool replaced after every few of them."""
    for batch in itertools.count(1):
        yield draw()
        if batch % renew_every == 0:
            pool.renew(1)


def _affordable(size: int, bytes_each: int, cases: int) -> int:
    """How many variants a pool may hold."""
    held = min(size, max(int(_MOST_BYTES / bytes_each), cases))
    if held < size:
        _log.warning("Instead of %d variants, %d are held: they take %.1f GB.", size, held, held * bytes_each / 1e9)
    return held


def _exhaust(iterator: Iterable[object]) -> None:
    collections.deque(iterator, maxlen=0)


def _within(canonical: CanonicalVolume, positions_mm: FloatArray) -> np.ndarray:
    """Whether frame positions (n, 3) lie in a volume, whose empty margins may have been cut off to within a voxel."""
    ijk = positions_mm / canonical.spacing_mm + canonical.origin_ijk
    return ((ijk >= -1.0) & (ijk <= np.array(canonical.voxels.shape[::-1]))).all(axis=1)


def _assignments(labels: list[str], interchangeable: Sequence[tuple[str, str]]) -> np.ndarray:
    """Index arrays (alternatives, n): every way to swap the labels of interchangeable pairs, the given one first."""
    alternatives = []
    for swaps in itertools.product((False, True), repeat=len(interchangeable)):
        order = np.arange(len(labels))
        for (first, second), is_swapped in zip(interchangeable, swaps, strict=True):
            pair = [labels.index(first), labels.index(second)]
            if is_swapped:
                order[pair] = order[pair[::-1]]
        alternatives.append(order)
    return np.array(alternatives)
