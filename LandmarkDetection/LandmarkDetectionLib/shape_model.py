"""Point-distribution model: landmark shapes as a mean and a few principal modes [Li 2018, section 2, eq. 3-4]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .errors import LandmarkDetectionError
from .geometry import FloatArray

_EMPTY_MODE = 1e-12
"""Variances this small beside the others, or beside the coordinates, are rounding: a mode no landmark moves in."""


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Shapes of n landmarks as X = mean + b @ eigenvectors, in the frame of the model that uses it.

    Attributes:
        mean: (3n,) coordinates x1 y1 z1 x2 ... in millimetres.
        eigenvectors: (modes, 3n), orthonormal rows.
        eigenvalues: (modes,) variances in square millimetres, descending.
    """

    mean: FloatArray
    eigenvectors: FloatArray
    eigenvalues: FloatArray

    def __post_init__(self) -> None:
        for name in ("mean", "eigenvectors", "eigenvalues"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))

    @classmethod
    def fit(cls, shapes: ArrayLike, explained_variance: float = 0.995) -> ShapeModel:
        """Fit to shapes (cases, n, 3) without gaps, keeping the fewest modes that explain the given variance.

        Raises:
            LandmarkDetectionError: if there are fewer than three shapes, or they do not differ.
        """
        from sklearn.decomposition import PCA

        shapes = np.asarray(shapes, dtype=np.float64)
        if len(shapes) < 3:
            message = f"A shape model needs at least 3 cases with every landmark, but there are {len(shapes)}."
            raise LandmarkDetectionError(message)
        analysis = PCA(svd_solver="full").fit(shapes.reshape(len(shapes), -1))
        variances = analysis.explained_variance_
        variances = variances[variances > _EMPTY_MODE * (variances[0] + np.square(analysis.mean_).mean())]
        if len(variances) == 0:
            message = "The landmarks lie at the same places in every case, so there is no shape to learn; check them."
            raise LandmarkDetectionError(message)
        modes = modes_for_variance(variances, explained_variance)
        return cls(analysis.mean_, analysis.components_[:modes], variances[:modes])

    @classmethod
    def free_point(cls, standard_deviation_mm: float) -> ShapeModel:
        """The model of one landmark that may lie anywhere around the frame's origin."""
        return cls(np.zeros(3), np.eye(3), np.full(3, standard_deviation_mm**2))

    @property
    def modes(self) -> int:
        """Number of modes kept (n_b in the paper)."""
        return len(self.eigenvalues)

    @property
    def landmarks(self) -> int:
        """Number of landmarks n."""
        return len(self.mean) // 3

    @property
    def standard_deviations_mm(self) -> FloatArray:
        """Standard deviation (modes,) of each mode."""
        return np.sqrt(self.eigenvalues)

    def project(self, shape: ArrayLike) -> FloatArray:
        """Mode weights b (modes,) of a shape (n, 3); coordinates that are NaN are filled in by the model.

        Gaps are filled by the weights that fit the known coordinates best, each weight held back by its variance.
        """
        offsets = np.asarray(shape, dtype=np.float64).reshape(-1) - self.mean
        known = np.isfinite(offsets)
        if known.all():
            return self.eigenvectors @ offsets
        basis = self.eigenvectors[:, known]
        prior = np.diag(1.0 / np.maximum(self.eigenvalues, 1e-9))
        return np.linalg.solve(basis @ basis.T + prior, basis @ offsets[known])

    def reconstruct(self, weights: ArrayLike) -> FloatArray:
        """The shape (n, 3) of mode weights (modes,)."""
        return (self.mean + np.asarray(weights) @ self.eigenvectors).reshape(-1, 3)


def modes_for_variance(eigenvalues: ArrayLike, explained_variance: float) -> int:
    """The smallest number of leading modes whose variances exceed a share of the sum."""
    cumulative = np.cumsum(eigenvalues) / np.sum(eigenvalues)
    return int(min(np.searchsorted(cumulative, explained_variance, side="right") + 1, len(cumulative)))
