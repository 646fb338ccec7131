"""The same image at several scales: voxels that are means over those of the finest [Ma 2020, section 3]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .slices import for_slices

LARGEST_RATIO = 16
"""Most voxels along one axis that `mean_pooled` can add up in two bytes."""


def mean_pooled(
    voxels: NDArray[np.uint8], factor: int, window: tuple[int, int] = (0, 255), dimension: int = 3
) -> NDArray[np.uint8]:
    """An image each voxel of which is the mean over `factor` voxels along every axis, in 2D in plane.

    Args:
        voxels: [k, j, i]. What lies beyond its last voxel counts as 0.
        factor: from 1 to `LARGEST_RATIO`.
        window: bytes that become 0 and 255 before the mean is taken.
        dimension: 2 for a picture.

    Returns:
        [k, j, i], rounded up in number, rounded to the nearest in value.
    """
    slices = factor if dimension == 3 else 1
    depth, height, width = (-(-side // step) for side, step in zip(voxels.shape, (slices, factor, factor), strict=True))
    scale = np.float32(255.0 / ((window[1] - window[0]) * slices * factor**2))
    pooled = np.empty((depth, height, width), np.uint8)

    def pool(indices: range) -> None:
        # Slab by slab, because what is between does not leave the processor's cache then.
        for index in indices:
            slab = voxels[index * slices : (index + 1) * slices]
            if window != (0, 255):
                slab = np.clip(slab, *window) - np.uint8(window[0])
            rows = _summed(_summed(slab, slices, np.uint16)[0], factor, np.uint16)
            pooled[index] = np.rint(_summed(rows.T, factor, np.uint32).T * scale)

    for_slices(pool, depth)
    return pooled


def _summed(values: NDArray, factor: int, dtype: type) -> NDArray:
    """Sums over every `factor` entries along the first axis; the last may have fewer."""
    sums = np.zeros((-(-len(values) // factor), *values.shape[1:]), dtype)
    for offset in range(factor):
        every = values[offset::factor]
        sums[: len(every)] += every
    return sums
