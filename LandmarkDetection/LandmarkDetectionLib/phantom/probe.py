"""The sector of a mechanically swept curved probe: a grid along its beams, and its conversion to voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import FloatArray, apply_affine

FIELD_OF_VIEW_MM = (162.0, 103.5, 139.5)
"""Front to back, left to right, base to top: 324 x 207 x 279 voxels of 0.5 mm."""

Float32Array = NDArray[np.float32]
Box = tuple[slice, slice, slice]


def voxel_grid(spacing_mm: float) -> tuple[tuple[int, int, int], FloatArray]:
    """Numbers of voxels along i, j, k and ijk_to_ras of the field of view, its centre at RAS (0, 0, 0).

    The orientation is PRS (right-handed): i from front to back, j from left to right, k from base to top.
    """
    size = tuple(int(np.ceil(extent / spacing_mm - 1e-6)) for extent in FIELD_OF_VIEW_MM)
    ijk_to_ras = np.zeros((4, 4))
    ijk_to_ras[1, 0], ijk_to_ras[0, 1], ijk_to_ras[2, 2], ijk_to_ras[3, 3] = -spacing_mm, spacing_mm, spacing_mm, 1.0
    ijk_to_ras[:3, 3] = -ijk_to_ras[:3, :3] @ ((np.array(size) - 1) / 2)
    return size, ijk_to_ras


@dataclass(frozen=True, eq=False)
class Beams:
    """A grid [depth, elevation, azimuth] along beams that diverge from an apex at the left of the volume.

    A beam of tangents (elevation, azimuth) passes, at a distance D from the apex along the right direction, through
    anterior = -azimuth * D and superior = elevation * D. One step in depth is one voxel, so conversion to voxels
    interpolates each depth by itself, in two dimensions.

    Attributes:
        spacing_mm: voxel size.
        apex_ras: (3,) where the beams meet.
        face_mm: radius of the probe's face around the apex; nothing is seen nearer.
        distance_mm: (depths,) along the right direction from the apex.
        elevation, azimuth: tangents of the beams.
    """

    spacing_mm: float
    apex_ras: FloatArray
    face_mm: float
    distance_mm: Float32Array
    elevation: Float32Array
    azimuth: Float32Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of depths, elevations and azimuths."""
        return len(self.distance_mm), len(self.elevation), len(self.azimuth)

    @property
    def stretch(self) -> Float32Array:
        """Length along each beam (elevation, azimuth) of one unit of distance along the right direction."""
        return np.sqrt(1.0 + self.elevation[:, None] ** 2 + self.azimuth**2)

    def box(self, centre_ras: FloatArray, radius_mm: float) -> Box:
        """The part of the grid that holds a ball; empty slices if it lies outside."""
        right, front, top = np.asarray(centre_ras) - self.apex_ras
        depths = _span(self.distance_mm, right - radius_mm, right + radius_mm)
        ends = np.maximum([right - radius_mm, right + radius_mm], self.distance_mm[0])
        return (
            depths,
            _span(self.elevation, min((top - radius_mm) / ends), max((top + radius_mm) / ends)),
            _span(self.azimuth, min((-front - radius_mm) / ends), max((-front + radius_mm) / ends)),
        )

    def coordinates(self, box: Box, ras_to_local: FloatArray) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Local x, y, z of the grid points of a box, each of the box's shape."""
        distance = self.distance_mm[box[0]][:, None]
        top, back = distance * self.elevation[box[1]], distance * self.azimuth[box[2]]
        origin = apply_affine(ras_to_local, self.apex_ras)
        matrix = ras_to_local[:3, :3].astype(np.float32)
        rows = (distance * m[0] + top * m[2] + np.float32(o) for m, o in zip(matrix, origin, strict=True))
        return tuple(row[:, :, None] - (back * m[1])[:, None, :] for row, m in zip(rows, matrix, strict=True))

    def directions(self, box: Box, ras_to_local: FloatArray) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Local x, y, z of the unit direction of each beam (elevation, azimuth) of a box."""
        elevation, azimuth = self.elevation[box[1]][:, None], self.azimuth[box[2]]
        matrix = ras_to_local[:3, :3].astype(np.float32)
        stretch = self.stretch[box[1], box[2]]
        return tuple((m[0] - m[1] * azimuth + m[2] * elevation) / stretch for m in matrix)

    def to_voxels(self, echo: Float32Array) -> NDArray[np.uint8]:
        """Scan conversion: grey values on the beams to voxels [k, j, i]; outside the sector is 0."""
        (size_i, size_j, size_k), _ = voxel_grid(self.spacing_mm)
        back = (np.arange(size_i) - (size_i - 1) / 2) * self.spacing_mm + self.apex_ras[1]
        top = (np.arange(size_k) - (size_k - 1) / 2) * self.spacing_mm - self.apex_ras[2]
        voxels = np.zeros((size_k, size_j, size_i), np.uint8)
        for j, (distance, plane) in enumerate(zip(self.distance_mm, echo, strict=True)):
            rows, row, row_weight = _interpolation(self.elevation, top / distance)
            columns, column, column_weight = _interpolation(self.azimuth, back / distance)
            lines = plane[row] + (plane[row + 1] - plane[row]) * row_weight[:, None]
            pixels = lines[:, column] + (lines[:, column + 1] - lines[:, column]) * column_weight
            voxels[rows, j, columns] = pixels
        return voxels


def random_beams(random: np.random.Generator, spacing_mm: float) -> Beams:
    """A probe at the left of the volume, its sector of random width."""
    _, depths, _ = voxel_grid(spacing_mm)[0]
    radius, offset = random.uniform(50.0, 65.0), random.uniform(0.0, 4.0)
    apex = np.array([-FIELD_OF_VIEW_MM[1] / 2 - radius, random.uniform(-4.0, 4.0), random.uniform(-4.0, 4.0)])
    azimuth, elevation = np.tan(np.deg2rad([random.uniform(36.0, 42.0), random.uniform(32.0, 38.0)]))
    step = spacing_mm / (radius + FIELD_OF_VIEW_MM[1] / 2)
    right = (np.arange(depths) - (depths - 1) / 2) * spacing_mm
    return Beams(
        spacing_mm=spacing_mm,
        apex_ras=apex,
        face_mm=radius + offset,
        distance_mm=(right - apex[0]).astype(np.float32),
        elevation=np.linspace(-elevation, elevation, int(2 * elevation / step), dtype=np.float32),
        azimuth=np.linspace(-azimuth, azimuth, int(2 * azimuth / step), dtype=np.float32),
    )


def _span(values: Float32Array, low: float, high: float) -> slice:
    return slice(int(np.searchsorted(values, low)), int(np.searchsorted(values, high)))


def _interpolation(grid: Float32Array, values: FloatArray) -> tuple[slice, NDArray[np.int64], Float32Array]:
    """The span of increasing values inside an even grid, and for each the lower grid index and the upper's weight."""
    position = (values - grid[0]) / (grid[1] - grid[0])
    inside = slice(int(np.searchsorted(position, 0.0)), int(np.searchsorted(position, len(grid) - 1)))
    index = position[inside].astype(np.int64)
    return inside, index, (position[inside] - index).astype(np.float32)
