"""Where the images of a batch lie: anywhere in larger ones, as the content of a volume does."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .pool import CasePool


def placed_entries(
    pool: CasePool, entries: Tensor, most_margin: int, random: torch.Generator
) -> tuple[NDArray[np.uint8], Tensor, Tensor]:
    """Entries (batch,) of a pool, randomly placed.

    Returns:
        Images (batch, k, j, i); true positions (batch, alternatives, n, d) in their voxels and array order, NaN where
        missing; whether they show the landmarks (batch, alternatives, n).
    """
    images, moved = randomly_placed(pool.images[entries].numpy(), pool.dimension, most_margin, random)
    return images, pool.alternative_positions(entries) + moved[:, None, None], pool.alternatives_shown(entries)


def randomly_placed(
    volumes: NDArray[np.uint8], dimension: int, most_margin: int, random: torch.Generator
) -> tuple[NDArray[np.uint8], Tensor]:
    """What is in volumes (batch, k, j, i), as close together as it can be or, half of the time, in larger ones.

    Networks with zeros beyond the image can tell where its borders are. In a pool these always lie in the same place
    around the foreground, in detection wherever the volume ends.

    Args:
        volumes: images on one grid, 0 where they are empty; pictures have k = 1.
        dimension: 3, or 2 for pictures.
        most_margin: voxels by which they may be larger than the largest content of them.
        random: of the places.

    Returns:
        The volumes, and by how many voxels (batch, d) each content moved, in array order.
    """
    boxes = [_box_of_content(volume) for volume in volumes]
    sides = np.array([[part.stop - part.start for part in box] for box in boxes])
    axes = slice(3 - dimension, 3)
    canvas = sides.max(axis=0)
    if torch.rand((), generator=random) < 0.5:
        canvas[axes] += _drawn(np.full(dimension, most_margin), random)
    placed = np.zeros((len(volumes), *canvas), np.uint8)
    firsts = np.array([_drawn(canvas - own, random) for own in sides])
    for target, volume, box, first, own in zip(placed, volumes, boxes, firsts, sides, strict=True):
        target[tuple(slice(start, start + side) for start, side in zip(first, own, strict=True))] = volume[box]
    moved = firsts - [[part.start for part in box] for box in boxes]
    return placed, torch.from_numpy(moved[:, axes]).float()


def _drawn(most: NDArray[np.int64], random: torch.Generator) -> NDArray[np.int64]:
    """Random whole numbers from 0 to `most`."""
    uniform = torch.rand(len(most), generator=random).double().numpy()
    return (uniform * (most + 1)).astype(np.int64)


def _box_of_content(volume: NDArray[np.uint8]) -> tuple[slice, ...]:
    """The smallest box of a volume outside of which all is 0; the whole of an empty one."""
    if not volume.any():
        return tuple(slice(0, side) for side in volume.shape)
    extents = [np.flatnonzero(volume.any(axis=across)) for across in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(int(extent[0]), int(extent[-1]) + 1) for extent in extents)
