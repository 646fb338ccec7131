"""How large the region is that should hold a landmark with 90 % probability [Ma 2020, section 3]."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ..geometry import FloatArray

_CHI_SQUARED90 = 6.251388631170325
"""What the squared distance from the mean of a normal distribution in space, in deviations, exceeds in 10 %."""
_REGION90 = 4.0 / 3.0 * math.pi * _CHI_SQUARED90**1.5
"""Volume of the region for deviations of 1: 65.47."""


def volumes90_mm3(covariances_mm2: ArrayLike) -> FloatArray:
    """Volumes (...) of the ellipsoids that covariances (..., 3, 3) describe, in cubic millimetres."""
    determinants = np.linalg.det(np.asarray(covariances_mm2, dtype=np.float64))
    return _REGION90 * np.sqrt(np.maximum(determinants, 0.0))


def uncorrelated_volumes90_mm3(covariances_mm2: ArrayLike) -> FloatArray:
    """The published volumes (...): of covariances (..., 3, 3) as if what lies beside their diagonal were nothing.

    They depend on the axes, and are never smaller than `volumes90_mm3`.
    """
    variances = np.diagonal(np.asarray(covariances_mm2, dtype=np.float64), axis1=-2, axis2=-1)
    return _REGION90 * np.sqrt(variances.prod(-1))
