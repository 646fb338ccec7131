"""A smooth random displacement field that bends an image, and carries points along exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import FloatArray

_STEEPEST = 0.8
"""Largest change of the displacement over a millimetre; below 1 no two places are moved to the same one."""
_TOLERANCE_MM = 1e-4
_SQUARED_SPLINE = 151 / 315
"""Integral of the squared cubic B-spline: what it leaves of the variance of independent control displacements."""


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """A bending of a box: what comes to lie at x was at x + u(x), u a cubic B-spline of control displacements.

    Positions are millimetres from the box's first voxel along its d axes i, j (and k); beyond the box the displacement
    is that of the nearest place in it.

    Attributes:
        controls_mm: control displacements (d, [k,] j, i) along i, j (and k), from one grid spacing before the box on.
        grid_mm: distance of the controls.
        size_mm: of the box (d,).
    """

    controls_mm: FloatArray
    grid_mm: float
    size_mm: FloatArray

    @classmethod
    def random(
        cls, size_mm: ArrayLike, deviation_mm: float, grid_mm: float, generator: np.random.Generator
    ) -> DisplacementField:
        """Displacements of a standard deviation along each axis; of less where it would fold the image onto itself.

        Args:
            size_mm: of the box (d,).
            deviation_mm: standard deviation of the displacement.
            grid_mm: distance of the controls: the larger, the smoother.
            generator: of the control displacements.
        """
        size_mm = np.asarray(size_mm, dtype=np.float64)
        dimension = len(size_mm)
        counts = np.maximum(np.ceil(size_mm / grid_mm).astype(int), 1) + 3
        controls_mm = generator.normal(0.0, 1.0, (dimension, *counts[::-1]))
        controls_mm *= deviation_mm / _SQUARED_SPLINE ** (dimension / 2)
        controls_mm *= min(1.0, _STEEPEST / max(_steepness(controls_mm, grid_mm), _STEEPEST))
        return cls(controls_mm, grid_mm, size_mm)

    def displacements(self, points_mm: ArrayLike) -> FloatArray:
        """u (n, d) at points (n, d)."""
        products = np.ones((len(points_mm), 1))
        for axis, along in reversed(list(enumerate(np.transpose(points_mm)))):
            weights = self._weights(along, axis)
            products = (products[:, :, None] * weights[:, None, :]).reshape(len(weights), -1)
        return products @ self.controls_mm.reshape(len(self.controls_mm), -1).T

    def carried(self, points_mm: ArrayLike) -> FloatArray:
        """Where points (n, d) of the image come to lie: the y for which y + u(y) is the point. NaN stays NaN."""
        points_mm = np.asarray(points_mm, dtype=np.float64)
        places = points_mm
        while True:
            # Comes nearer by a factor of `_STEEPEST` at least.
            nearer = points_mm - self.displacements(places)
            if not np.any(np.abs(nearer - places) > _TOLERANCE_MM):
                return nearer
            places = nearer

    def bent(self, voxels: NDArray, spacing_mm: ArrayLike) -> NDArray[np.float32]:
        """An image [(k,) j, i] bent, interpolated linearly; what was outside becomes its minimum."""
        from scipy.ndimage import map_coordinates

        spacing_kji = np.reshape(np.flip(spacing_mm), (-1, *[1] * voxels.ndim))
        sources = (self.controls_mm[::-1] / spacing_kji).astype(np.float32)
        for axis, (count, spacing) in enumerate(zip(voxels.shape[::-1], spacing_mm, strict=True)):
            weights = self._weights(np.arange(count) * spacing, axis).astype(np.float32)
            # Along the last axes first, because those before are still short then.
            sources = weights @ sources.reshape(-1, weights.shape[1], math.prod(voxels.shape[voxels.ndim - axis :]))
        sources = sources.reshape(-1, *voxels.shape)
        for own, count in enumerate(voxels.shape):
            sources[own] += np.arange(count, dtype=np.float32).reshape(-1, *[1] * (voxels.ndim - 1 - own))
        least = float(voxels.min())
        return map_coordinates(voxels, sources, np.float32, order=1, cval=least)

    def _weights(self, along_mm: FloatArray, axis: int) -> FloatArray:
        """Share (n, controls) of each control in the displacement at positions (n,) along an axis."""
        cells = np.clip(along_mm, 0.0, self.size_mm[axis]) / self.grid_mm
        count = self.controls_mm.shape[self.controls_mm.ndim - 1 - axis]
        return _cubic_b_spline(cells[:, None] - (np.arange(count) - 1))


def _cubic_b_spline(distance: FloatArray) -> FloatArray:
    """The cubic B-spline at distances in units of the grid: 2/3 at its own control, nothing from 2 on."""
    distance = np.abs(distance)
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(2.0 - distance, 0.0) ** 3 / 6
    return np.where(distance < 1.0, inner, outer)


def _steepness(controls_mm: FloatArray, grid_mm: float) -> float:
    """A bound on the change of the displacement over a millimetre in any direction.

    Between two controls the spline is a Bézier curve, whose derivative lies among the differences of the curve's own
    control points, three a grid spacing: a far tighter bound than the differences of the spline's controls.
    """
    points_mm = controls_mm
    for axis in range(1, controls_mm.ndim):
        points_mm = np.moveaxis(_bezier_points(np.moveaxis(points_mm, axis, 0)), 0, axis)
    differences = [np.diff(points_mm, axis=axis) for axis in range(1, controls_mm.ndim)]
    largest_mm = [np.linalg.norm(difference, axis=0).max() for difference in differences]
    return 3.0 / grid_mm * float(np.linalg.norm(largest_mm))


def _bezier_points(controls: FloatArray) -> FloatArray:
    """Bézier control points (3 * cells + 1, ...) of a cubic B-spline with controls (cells + 3, ...)."""
    points = np.empty((3 * len(controls) - 8, *controls.shape[1:]))
    points[::3] = (controls[:-2] + 4.0 * controls[1:-1] + controls[2:]) / 6.0
    points[1::3] = (2.0 * controls[1:-2] + controls[2:-1]) / 3.0
    points[2::3] = (controls[1:-2] + 2.0 * controls[2:-1]) / 3.0
    return points
