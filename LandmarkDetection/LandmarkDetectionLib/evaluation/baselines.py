"""What a method that never looks at the image achieves: the numbers a model worth having must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..geometry import FloatArray
from ..landmarks import LandmarkSet

_ITERATIONS = 100
_TOLERANCE_MM = 1e-6


def mean_position_baseline(train_sets: Sequence[LandmarkSet], test_sets: Sequence[LandmarkSet]) -> list[LandmarkSet]:
    """One prediction a test case: the mean of the training positions of each landmark, in world coordinates.

    A landmark no training case has is missing from the prediction.
    """
    labels = _labels(train_sets)
    mean = LandmarkSet.from_array(labels, mean_of_present(_positions(train_sets, labels)))
    return [mean] * len(test_sets)


def translated_mean_shape_oracle(
    train_sets: Sequence[LandmarkSet], test_sets: Sequence[LandmarkSet]
) -> list[LandmarkSet]:
    """One prediction a test case: the mean training shape, moved onto the case's true centroid.

    It knows where the case lies, and nothing of its size, turn or form. Each training shape is centred before the
    mean is taken; where landmarks are missing, centring and moving use those that are there.
    """
    labels = _labels(train_sets)
    shape = _mean_shape(_positions(train_sets, labels))
    offsets = _offsets(_positions(test_sets, labels), shape)
    return [LandmarkSet.from_array(labels, shape + offset) for offset in offsets]


def _labels(landmark_sets: Sequence[LandmarkSet]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for landmarks in landmark_sets for label in landmarks))


def _positions(landmark_sets: Sequence[LandmarkSet], labels: Sequence[str]) -> FloatArray:
    """(cases, n, 3), NaN where missing."""
    return np.array([landmarks.to_array(labels) for landmarks in landmark_sets]).reshape(-1, len(labels), 3)


def mean_of_present(positions: FloatArray) -> FloatArray:
    """Mean over the first axis of (m, ..., 3), NaN where nothing is present."""
    count = (~np.isnan(positions)).sum(axis=0)
    return np.divide(np.nansum(positions, axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)


def _offsets(positions: FloatArray, shape: FloatArray) -> FloatArray:
    """The translation (cases, 3) that brings a shape's centroid onto each case's, over the landmarks both have."""
    return mean_of_present(np.moveaxis(positions - shape, 1, 0))


def _mean_shape(positions: FloatArray) -> FloatArray:
    """The shape (n, 3) closest to every case (cases, n, 3) up to translation, by alternating least squares.

    Without missing landmarks the first step is exact: the mean of the shapes, each centred on its own centroid.
    """
    shape = np.zeros(positions.shape[1:])
    for _ in range(_ITERATIONS):
        previous = shape
        shape = mean_of_present(positions - _offsets(positions, shape)[:, None])
        if np.nanmax(np.abs(shape - previous), initial=0.0) < _TOLERANCE_MM:
            break
    return shape
