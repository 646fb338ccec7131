"""Where the voxels of an image lie in a model's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..geometry import FloatArray
from ..preprocessing import CanonicalVolume


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxels of a canonical volume, or of an image pooled from it.

    Attributes:
        spacing_mm: (3,) along i, j, k.
        origin_ijk: (3,) continuous voxel index of the frame's origin.
        dimension: 2 for pictures, 3 for volumes.
    """

    spacing_mm: FloatArray
    origin_ijk: FloatArray
    dimension: int

    @classmethod
    def of(cls, canonical: CanonicalVolume) -> Grid:
        """The grid of a canonical volume."""
        return cls(canonical.spacing_mm, canonical.origin_ijk, 2 if len(canonical.voxels) == 1 else 3)

    def pooled(self, factor: int) -> Grid:
        """The grid of an image each voxel of which is the mean over `factor` voxels along every axis (2D: in plane).

        The centre of the first pooled voxel is the middle of the first `factor` voxels.
        """
        factors = np.array([factor, factor, factor if self.dimension == 3 else 1])
        return Grid(self.spacing_mm * factors, (self.origin_ijk - (factors - 1) / 2) / factors, self.dimension)

    def frame_from_voxels(self, kji: ArrayLike) -> FloatArray:
        """Frame millimetres (..., 3) of voxel indices (..., d) in array order; pictures lie in the origin's plane."""
        positions = np.asarray(kji, dtype=np.float64)[..., ::-1]
        if self.dimension == 2:
            depth = np.broadcast_to(self.origin_ijk[2], (*positions.shape[:-1], 1))
            positions = np.concatenate([positions, depth], axis=-1)
        return (positions - self.origin_ijk) * self.spacing_mm

    def voxels_from_frame(self, positions_mm: ArrayLike) -> FloatArray:
        """Voxel indices (..., d) in array order of frame positions (..., 3) in millimetres."""
        ijk = np.asarray(positions_mm, dtype=np.float64) / self.spacing_mm + self.origin_ijk
        return ijk[..., : self.dimension][..., ::-1]

    def frame_covariances(self, covariances: ArrayLike) -> FloatArray:
        """Covariances (..., 3, 3) in square millimetres of ones (..., d, d) in array order and voxels."""
        values = np.asarray(covariances, dtype=np.float64)[..., ::-1, ::-1]
        scale = self.spacing_mm[: self.dimension]
        whole = np.zeros((*values.shape[:-2], 3, 3))
        whole[..., : self.dimension, : self.dimension] = values * scale[:, None] * scale
        return whole
