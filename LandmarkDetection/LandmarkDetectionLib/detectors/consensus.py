"""What several estimates of one point amount to: where they agree, whom they leave out, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import FloatArray

_WITHIN_90 = {2: 4.6052, 3: 6.2514}
_WITHIN_95 = {2: 5.9915, 3: 7.8147}
"""Squared Mahalanobis distance within which a share of normally distributed points lies, by dimension: chi-squared."""

_MEAN_DISTANCE = {2: np.sqrt(np.pi / 2.0), 3: np.sqrt(8.0 / np.pi)}
"""Mean distance from the centre of a normal distribution of unit variance, by dimension [Rayleigh, Maxwell]."""

_MOST_ITERATIONS = 200
_TOLERANCE_MM = 1e-6


@dataclass(frozen=True, eq=False)
class Consensus:
    """Several estimates as one.

    Attributes:
        position: (d,).
        covariance: (d, d).
        agrees: (m,) whether the position lies where each estimate, by its own covariance, has 95 % of its probability;
            false for all if it does not for most of them.
    """

    position: FloatArray
    covariance: FloatArray
    agrees: NDArray[np.bool_]


def consensus_of(positions: FloatArray, covariances: FloatArray) -> Consensus:
    """Fuse estimates of one point; their order does not matter.

    Estimates that agree give the mean weighted by their information (inverse covariance). The weight of one that lies
    beyond its own 95 % region falls with its squared Mahalanobis distance, so that an outlier among three stays nearly
    without influence. It is found by iteration from the plain mean, from which the larger group wins however sure the
    smaller one is. The covariance is that of covariance intersection with these weights [Julier and Uhlmann 1997],
    because models that learnt from the same cases err together and their agreement proves little, plus the scatter of
    the estimates.

    If no majority agrees, nobody is right: the plain mean, with the covariance of the mixture of all, spans them.

    Args:
        positions: (m, d), d being 2 or 3.
        covariances: (m, d, d), positive definite.
    """
    precisions = np.linalg.inv(covariances)
    limit = _WITHIN_95[positions.shape[1]]
    position = positions.mean(0)
    for _ in range(_MOST_ITERATIONS):
        weights = _weights(positions - position, precisions, limit)
        information = np.einsum("m,mij->ij", weights, precisions)
        moved = np.linalg.solve(information, np.einsum("m,mij,mj->i", weights, precisions, positions))
        step_mm, position = np.linalg.norm(moved - position), moved
        if step_mm <= _TOLERANCE_MM:
            break
    agrees = _squared_distances(positions - position, precisions) <= limit
    if 2 * agrees.sum() > len(positions):
        covariance = np.linalg.inv(information / weights.sum()) + _scatter(positions - position, weights)
        return Consensus(position, covariance, agrees)
    mean = positions.mean(0)
    covariance = covariances.mean(0) + _scatter(positions - mean, np.ones(len(positions)))
    return Consensus(mean, covariance, np.zeros(len(positions), dtype=bool))


def with_least_deviation(covariance: FloatArray, least_sd_mm: float) -> FloatArray:
    """A covariance (d, d) whose standard deviation is, in every direction, at least the one given."""
    variances, directions = np.linalg.eigh(covariance)
    return (directions * np.maximum(variances, least_sd_mm**2)) @ directions.T


def deviation_of_radius90_mm(radius90_mm: float, dimension: int) -> float:
    """Standard deviation along each axis of the round normal distribution with this 90 % radius."""
    return radius90_mm / float(np.sqrt(_WITHIN_90[dimension]))


def deviation_of_mean_error_mm(mean_error_mm: float, dimension: int) -> float:
    """Standard deviation along each axis of the round normal distribution with this mean distance from its centre."""
    return mean_error_mm / float(_MEAN_DISTANCE[dimension])


def largest_distance_mm(positions: FloatArray) -> float:
    """Between any two of positions (m, d)."""
    return float(np.linalg.norm(positions[:, None] - positions, axis=-1).max())


def _weights(offsets: FloatArray, precisions: FloatArray, limit: float) -> FloatArray:
    """1 within the limit, beyond it falling with the squared distance, as the tails of Student's t do."""
    return limit / np.maximum(_squared_distances(offsets, precisions), limit)


def _squared_distances(offsets: FloatArray, precisions: FloatArray) -> FloatArray:
    """Squared Mahalanobis distances (m,) of offsets (m, d)."""
    return np.einsum("mi,mij,mj->m", offsets, precisions, offsets)


def _scatter(offsets: FloatArray, weights: FloatArray) -> FloatArray:
    return np.einsum("m,mi,mj->ij", weights / weights.sum(), offsets, offsets)
