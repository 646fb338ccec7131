"""A pool of augmented cases in memory, renewed piece by piece while the training draws from it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..detectors.patches import pad_for_patches, plane_stacks
from ..geometry import FloatArray, apply_affine
from ..landmarks import LandmarkSet
from ..volume import Volume
from .augmentation import Augmenter, Variant


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """A volume and its true landmarks."""

    name: str
    volume: Volume
    landmarks: LandmarkSet


class CasePool:
    """Variants of the training cases on one common grid.

    Attributes:
        stacks: plane stacks of bytes, 0 to 255 over the intensity window, the frame's origin near the middle, with the
            margin that patches of `patch_size` need; each stack is contiguous, because training reads far more often
            than it writes.
        origins_ijk: (pool, 3) voxel index of each frame's origin, not counting the margin.
        size_ijk: (3,) voxels of the common grid, not counting the margin.
        truths_mm: (pool, alternatives, n, 3) frame positions, NaN where missing; the alternatives are the ways to
            assign the labels of interchangeable pairs, the one most like the original case first.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        augmenter: Augmenter,
        *,
        labels: Sequence[str],
        interchangeable: Sequence[tuple[str, str]],
        size: int,
        patch_size: int,
        seed: int,
    ) -> None:
        self._cases = cases
        self._augmenter = augmenter
        self._labels = list(labels)
        self._alternatives = _assignments(self._labels, interchangeable)
        self._generator = np.random.default_rng(seed)
        self._next = 0
        self.spacing_mm = torch.tensor(augmenter.preprocessing.spacing_mm, dtype=torch.float32)
        shape = self._common_shape()
        self.size_ijk = torch.tensor(shape[::-1])
        self._patch_size = patch_size
        padded = pad_for_patches(torch.zeros((1, *shape), dtype=torch.uint8), patch_size)
        self.stacks = [stack.new_zeros((size, *stack.shape[1:])) for stack in plane_stacks(padded)]
        self.origins_ijk = torch.zeros((size, 3))
        self.truths_mm = torch.zeros((size, len(self._alternatives), len(self._labels), 3))
        self.renew(size)

    def __len__(self) -> int:
        return len(self.origins_ijk)

    def renew(self, count: int) -> None:
        """Replace the oldest entries by new variants, taking the cases in turn."""
        seeds = self._generator.integers(2**63, size=count)
        slots = [(self._next + offset) % len(self) for offset in range(count)]
        turns = [(self._next + offset) % len(self._cases) for offset in range(count)]
        self._next += count
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            variants = threads.map(self._variant, turns, seeds)
            for slot, turn, variant in zip(slots, turns, variants, strict=True):
                self._store(slot, variant, self._cases[turn].landmarks)

    def _variant(self, case_index: int, seed: int) -> Variant:
        case = self._cases[case_index]
        return self._augmenter(case.volume, case.landmarks, np.random.default_rng(seed))

    def _common_shape(self) -> tuple[int, int, int]:
        """Voxels along k, j, i that hold every case however it is turned a little."""
        sizes = [np.array(case.volume.size) * case.volume.spacing_mm for case in self._cases]
        spacing = np.array(self._augmenter.preprocessing.spacing_mm)
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
        box = torch.zeros((1, *shape), dtype=torch.uint8)
        box[0][target] = torch.from_numpy(voxels)
        for stack, planes in zip(self.stacks, plane_stacks(pad_for_patches(box, self._patch_size)), strict=True):
            stack[slot] = planes[0]
        self.origins_ijk[slot] = torch.from_numpy(canonical.origin_ijk - first[::-1])
        truth = apply_affine(np.linalg.inv(canonical.frame_to_ras), variant.landmarks.to_array(self._labels))
        order = self._assignments_like(original.to_array(self._labels), variant.landmarks.to_array(self._labels))
        self.truths_mm[slot] = torch.from_numpy(truth[order])

    def _assignments_like(self, original: FloatArray, moved: FloatArray) -> np.ndarray:
        """The alternatives, first the one that leaves each label closest to where it was: a mirror image swaps ends."""
        candidates = moved[self._alternatives]
        offsets = (candidates - np.nanmean(moved, axis=0)) - (original - np.nanmean(original, axis=0))
        return self._alternatives[np.argsort(np.nansum(offsets**2, axis=(1, 2)), kind="stable")]

    def shapes_mm(self) -> Tensor:
        """True shapes (complete, n, 3) of the entries without a missing landmark, labels as given."""
        shapes = self.truths_mm[:, 0]
        return shapes[torch.isfinite(shapes).all(dim=(1, 2))]


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
