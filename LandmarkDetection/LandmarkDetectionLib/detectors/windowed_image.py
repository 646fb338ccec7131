"""A canonical volume as bytes over its intensity window, and bytes as what a network sees."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..preprocessing import CanonicalVolume
from .precision import network_dtype
from .slices import for_slices

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def windowed_bytes(canonical: CanonicalVolume) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The volume [k, j, i] as bytes, and which of them stand for 0 and 1.

    Bytes stay as they are, so that only what a network sees needs windowing; other data types become 0 to 255 over the
    window.
    """
    low, high = map(float, canonical.window)
    if canonical.voxels.dtype == np.uint8 and low.is_integer() and high.is_integer():
        return np.require(canonical.voxels, requirements=["C", "W"]), (int(low), int(high))
    windowed = np.empty(canonical.voxels.shape, np.uint8)
    step = (high - low) / 255.0

    def bring_into_window(slices: range) -> None:
        # Slice by slice, because what is between does not leave the processor's cache then.
        for index in slices:
            # Half a step more, so that what is cut off after the point rounds to the nearest.
            scaled = np.subtract(canonical.voxels[index], low - step / 2, dtype=np.float32)
            scaled *= 1.0 / step
            windowed[index] = np.clip(scaled, 0.0, 255.0, out=scaled)

    for_slices(bring_into_window, len(windowed))
    return windowed, (0, 255)


def image_tensor(canonical: CanonicalVolume, device: torch.device) -> tuple[Tensor, tuple[int, int]]:
    """The volume as bytes on a device, (1, 1, k, j, i) or for a picture (1, 1, j, i), and which of them are 0 and 1."""
    voxels, window = windowed_bytes(canonical)
    image = torch.as_tensor(voxels, device=device)
    return (image[None] if len(voxels) == 1 else image[None, None]), window


def as_network_input(images: Tensor, window: tuple[int, int] = (0, 255)) -> Tensor:
    """Bytes (batch, channels, ...) as numbers from 0 to 1 over a window, channels last, in the networks' precision.

    `images` is overwritten unless the window holds every byte.
    """
    low, high = window
    if window != (0, 255):
        images = images.clamp_(low, high).sub_(low)
    windowed = images.contiguous(memory_format=_CHANNELS_LAST[images.ndim])
    return windowed.to(network_dtype(images.device)).mul_(1.0 / (high - low))
