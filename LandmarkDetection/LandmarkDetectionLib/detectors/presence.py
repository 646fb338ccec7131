"""How probable it is that a volume shows a landmark, from where it was found and how far that may be off."""

from __future__ import annotations

import numpy as np
import torch

from ..geometry import FloatArray, apply_affine
from ..volume import Volume

_SMALLEST_DEVIATION = 1e-6
"""In voxels: what has no spread lies in the volume, or outside."""


def probability_inside(volume: Volume, positions_ras: FloatArray, covariances_ras: FloatArray) -> FloatArray:
    """Probability (n,) that the truth lies in the box of voxels, their outer faces included.

    The truth is taken as normally distributed; along the three voxel axes independently, which is exact if the
    covariance's axes are the voxels'. A picture has no thickness to fall out of.

    Args:
        volume: the box.
        positions_ras: means (n, 3) in RAS millimetres.
        covariances_ras: (n, 3, 3) in square millimetres.
    """
    ijk_from_ras = np.linalg.inv(volume.ijk_to_ras)
    axes = np.array(volume.size) > 1
    centres = apply_affine(ijk_from_ras, positions_ras)[:, axes]
    directions = ijk_from_ras[:3, :3][axes]
    variances = np.einsum("ai,nij,aj->na", directions, covariances_ras, directions)
    deviations = np.maximum(np.sqrt(np.maximum(variances, 0.0)), _SMALLEST_DEVIATION)
    first_faces, last_faces = -0.5, np.array(volume.size)[axes] - 0.5
    below, above = (_normal_distribution((face - centres) / deviations) for face in (first_faces, last_faces))
    return np.prod(above - below, axis=1)


def _normal_distribution(values: FloatArray) -> FloatArray:
    return torch.special.ndtr(torch.from_numpy(values)).numpy()
