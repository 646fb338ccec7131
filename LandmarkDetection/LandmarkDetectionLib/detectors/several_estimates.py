"""Several estimates of all landmarks of one volume: whose ends are which, how far they scatter, where most agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..geometry import FloatArray

_MOST_ITERATIONS = 200
_TOLERANCE_MM = 1e-4


def with_ends_matched(paths: FloatArray, interchangeable: Sequence[tuple[int, int]]) -> FloatArray:
    """Paths (steps, m, n, 3), the ends of each pair exchanged where that brings them nearer to the first estimate's.

    Estimates may end at either assignment of a pair, and the mean of both would be neither.
    """
    matched = paths.copy()
    for first, second in interchangeable:
        ends = paths[-1][:, [first, second]]
        kept, swapped = (np.linalg.norm(other - ends[0], axis=-1).sum(-1) for other in (ends, ends[:, ::-1]))
        for estimate in np.flatnonzero(swapped < kept):
            matched[:, estimate, [first, second]] = paths[:, estimate, [second, first]]
    return matched


def spread(positions: FloatArray, centres: FloatArray) -> FloatArray:
    """Covariances (n, 3, 3) of estimates (m, n, 3) about centres (n, 3); a missing estimate, NaN, counts for nothing.

    0 where there is only one.
    """
    is_there = ~np.isnan(positions).any(-1)
    offsets = np.where(is_there[..., None], positions - centres, 0.0)
    degrees_of_freedom = np.maximum(is_there.sum(0) - 1, 1)
    return np.einsum("mni,mnj->nij", offsets, offsets) / degrees_of_freedom[:, None, None]


def geometric_median(points: FloatArray) -> FloatArray:
    """The point (d,) whose summed distance from points (m, d) is least: up to half of them may lie anywhere.

    By Weiszfeld's iteration from the mean; a point that it meets is given a tiny distance, not an endless weight.
    """
    median = points.mean(0)
    for _ in range(_MOST_ITERATIONS):
        weights = 1.0 / np.maximum(np.linalg.norm(points - median, axis=1), _TOLERANCE_MM)
        moved = weights @ points / weights.sum()
        step_mm, median = np.linalg.norm(moved - median), moved
        if step_mm <= _TOLERANCE_MM:
            break
    return median
