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
    scale = 255.0 / ((window[1] - window[0]) * slices * factor**2)
    largest_sum = 255 * slices * factor**2
    pooled = np.empty((depth, height, width), np.uint8)

    def pool(indices: range) -> None:
        # Slab by slab, because what is between does not leave the processor's cache then.
        for index in indices:
            slab = voxels[index * slices : (index + 1) * slices]
            if window != (0, 255):
                slab = np.clip(slab, *window) - np.uint8(window[0])
            rows = _summed(_summed(slab, slices, 0, np.uint16)[0], factor, 0, np.uint16)
            sums = _summed(rows, factor, 1, np.uint16 if largest_sum < 2**16 else np.uint32)
            means = np.multiply(sums, scale, dtype=np.float32)
            # Cut off after the point, which rounds to the nearest.
            pooled[index] = np.add(means, 0.5, out=means)

    for_slices(pool, depth)
    return pooled


def _summed(values: NDArray, factor: int, axis: int, dtype: type) -> NDArray:
    """Sums over every `factor` entries along an axis; the last may have fewer."""
    along = (slice(None),) * axis
    sums = values[(*along, slice(None, None, factor))].astype(dtype)
    for offset in range(1, factor):
        every = values[(*along, slice(offset, None, factor))]
        sums[(*along, slice(every.shape[axis]))] += every
    return sums
