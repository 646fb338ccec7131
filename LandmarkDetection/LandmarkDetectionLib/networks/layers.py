"""Layers for pictures and volumes by the number of their dimensions."""

from __future__ import annotations

from torch import nn


def convolution(dimension: int) -> type[nn.Conv2d | nn.Conv3d]:
    """The convolution of images with 2 or 3 axes."""
    return {2: nn.Conv2d, 3: nn.Conv3d}[dimension]


def max_pooling(dimension: int) -> type[nn.MaxPool2d | nn.MaxPool3d]:
    """The max pooling of images with 2 or 3 axes."""
    return {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dimension]


def average_pooling(dimension: int) -> type[nn.AvgPool2d | nn.AvgPool3d]:
    """The average pooling of images with 2 or 3 axes."""
    return {2: nn.AvgPool2d, 3: nn.AvgPool3d}[dimension]


def batch_normalisation(dimension: int) -> type[nn.BatchNorm2d | nn.BatchNorm3d]:
    """The batch normalisation of images with 2 or 3 axes."""
    return {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimension]
