"""Histogram equalisation, against contrast that varies from image to image [Noothout 2020, section V-A-3]."""

from __future__ import annotations

import torch
from torch import Tensor


def equalised(images: Tensor) -> Tensor:
    """Images of bytes (images, ...) whose values above 0 are all about as frequent, in the order they had.

    Voxels of 0 stay 0 and do not count, so that a black margin changes nothing.
    """
    return torch.stack([_equalised(image) for image in images])


def _equalised(image: Tensor) -> Tensor:
    counts = image.flatten().int().bincount(minlength=256)
    counts[0] = 0
    shares = counts.cumsum(0) / counts.sum().clamp(min=1)
    return (shares * 255.0).round().to(torch.uint8)[image.int()]
