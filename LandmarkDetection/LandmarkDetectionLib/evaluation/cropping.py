"""Volumes cut short at random, so that some of their known landmarks are cut off."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import LandmarkDetectionError
from ..files.case import Case
from ..files.dataset import Dataset
from ..geometry import FloatArray, apply_affine
from ..landmarks import LandmarkSet
from ..volume import Volume

_log = logging.getLogger(__name__)

FEWEST, MOST = 0.2, 0.6
"""Share of a volume's landmarks that is cut off."""


@dataclass(frozen=True, kw_only=True)
class ShortCase(Case):
    """A case whose image is cut short, in the same way with the same seed."""

    whole: Case
    seed: int

    @classmethod
    def of(cls, case: Case, seed: int) -> ShortCase:
        """The case cut short."""
        return cls(**{field.name: getattr(case, field.name) for field in fields(Case)}, whole=case, seed=seed)

    def read_volume(self, report: Callable[[str], None] = _log.warning) -> Volume:
        """The rest of the image.

        Raises:
            LandmarkDetectionError: if it cannot be read, or no cut parts its landmarks.
        """
        rest = short_volume(self.name, self.whole.read_volume(report), self.read_landmarks(), self.seed)
        if rest is None:
            message = f"Case {self.name} cannot be cut between its landmarks: leave it out."
            raise LandmarkDetectionError(message)
        return rest

    def read_landmarks(self, observer: str | None = None) -> LandmarkSet:
        """The landmarks of the whole image."""
        return self.whole.read_landmarks(observer)


def short_dataset(dataset: Dataset, seed: int) -> Dataset:
    """The same cases and landmarks, every image cut short."""
    return replace(dataset, cases=tuple(ShortCase.of(case, seed) for case in dataset.cases))


def short_volume(case: str, volume: Volume, landmarks: LandmarkSet, seed: int) -> Volume | None:
    """A case's volume cut short by a choice that depends on the seed and the case's name alone."""
    return cut_short(volume, landmarks, np.random.default_rng([seed, *case.encode()]))


def cut_short(volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator) -> Volume | None:
    """A volume without a slab at one of its faces, or a picture without a strip, that held 20 to 60 % of the landmarks.

    Each face that allows it is as likely as the others, then each number of landmarks, then each cut.

    Args:
        volume: any.
        landmarks: those outside the volume do not count. Of one or two, one goes.
        generator: of the choice.

    Returns:
        The rest, of two slices at least; None if no cut parts the landmarks so.
    """
    positions = landmarks.to_array(landmarks.present)
    ijk = apply_affine(np.linalg.inv(volume.ijk_to_ras), positions[volume.contains(positions)])
    fewest, most = max(1, math.ceil(FEWEST * len(ijk))), max(1, math.floor(MOST * len(ijk)))
    faces = []
    for axis, is_first in ((axis, is_first) for axis in range(3) for is_first in (True, False)):
        gone = _gone_by_slices(ijk[:, axis], volume.size[axis], is_first=is_first)
        if np.any((gone >= fewest) & (gone <= most)):
            faces.append((axis, is_first, gone))
    if not faces:
        return None
    axis, is_first, gone = faces[generator.integers(len(faces))]
    number = generator.choice(np.unique(gone[(gone >= fewest) & (gone <= most)]))
    return _without(volume, axis, int(generator.choice(np.flatnonzero(gone == number))), is_first=is_first)


def _gone_by_slices(indices: FloatArray, size: int, *, is_first: bool) -> NDArray[np.intp]:
    """How many of the landmarks are cut off with 0, 1, ... slices at a face, as long as two are left."""
    depths = indices + 0.5 if is_first else size - 0.5 - indices
    return (depths < np.arange(max(size - 1, 1))[:, None]).sum(axis=1)


def _without(volume: Volume, axis: int, slices: int, *, is_first: bool) -> Volume:
    begin_ijk, end_ijk = np.zeros(3, dtype=int), np.array(volume.size)
    begin_ijk[axis], end_ijk[axis] = (slices, volume.size[axis]) if is_first else (0, volume.size[axis] - slices)
    return volume.cropped(begin_ijk, end_ijk)
