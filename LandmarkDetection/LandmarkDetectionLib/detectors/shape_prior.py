"""Where the other landmarks lead one to expect each: heatmaps of look-alikes decided together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import FloatArray
from ..shape_model import ShapeModel

_ANYWHERE_MM = 1000.0
"""Standard deviation of the place of the whole shape, of which the prior shall say nothing."""


@dataclass(frozen=True, eq=False)
class ShapePrior:
    """A normal distribution of how landmarks lie to each other, wherever they lie together.

    Attributes:
        mean_mm: (n, d) in array order.
        covariance_mm2: (n, d, n, d).
    """

    mean_mm: FloatArray
    covariance_mm2: FloatArray

    @classmethod
    def of(cls, model: ShapeModel, dimension: int, tolerance_mm: float) -> ShapePrior:
        """The distribution of a shape model, each coordinate of which may differ by another standard deviation."""
        count, axes = model.landmarks, slice(3 - dimension, 3)
        modes = model.eigenvectors.reshape(-1, count, 3)[..., ::-1][..., axes]
        covariance = np.einsum("m,mia,mjb->iajb", model.eigenvalues, modes, modes)
        together, own = np.eye(dimension), np.eye(count * dimension).reshape(covariance.shape)
        covariance += _ANYWHERE_MM**2 * together[None, :, None, :] + tolerance_mm**2 * own
        return cls(model.mean.reshape(count, 3)[:, ::-1][:, axes], covariance)

    def weighed(self, masses: FloatArray, positions_mm: FloatArray, rounds: int) -> FloatArray:
        """Mean positions (n, d) of masses, each weighed by where the others lead one to expect it.

        The masses are taken for normal distributions in turn, as in expectation propagation [Minka 2001]: where one has
        two peaks it is broad and has little say about the others, and these soon decide between its peaks.

        Args:
            masses: (n, voxels), each of sum 1.
            positions_mm: (n, voxels, d) of the voxels, in array order.
            rounds: in which every landmark has its turn.
        """
        means = np.einsum("nv,nvd->nd", masses, positions_mm)
        covariances = np.stack(list(map(_covariance, masses, means, positions_mm)))
        for index in [*range(len(masses))] * rounds:
            expected_mm, covariance_mm2 = self._expected(index, means, covariances)
            offsets = positions_mm[index] - expected_mm
            distances = np.einsum("va,ab,vb->v", offsets, np.linalg.inv(covariance_mm2), offsets)
            mass = masses[index] * np.exp(-0.5 * (distances - distances.min()))
            mass /= mass.sum()
            means[index] = mass @ positions_mm[index]
            covariances[index] = _covariance(mass, means[index], positions_mm[index])
        return means

    def _expected(self, index: int, means_mm: FloatArray, covariances_mm2: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Where a landmark lies, if the others lie at means (n, d) with covariances (n, d, d)."""
        others = np.arange(len(means_mm)) != index
        count, size = int(others.sum()), means_mm.shape[1]
        known = self.covariance_mm2[others][:, :, others].copy()
        known[np.arange(count), :, np.arange(count)] += covariances_mm2[others]
        shared = self.covariance_mm2[index][:, others].reshape(size, -1)
        gain = np.linalg.solve(known.reshape(count * size, -1), shared.T).T
        offsets = (means_mm - self.mean_mm)[others].ravel()
        own = self.covariance_mm2[index][:, index]
        return self.mean_mm[index] + gain @ offsets, own - gain @ shared.T


def _covariance(mass: FloatArray, mean_mm: FloatArray, positions_mm: FloatArray) -> FloatArray:
    offsets = positions_mm - mean_mm
    return (mass[:, None] * offsets).T @ offsets
