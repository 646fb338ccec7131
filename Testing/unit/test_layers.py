"""Layers learn the same in reduced precision, whatever the size of the image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from LandmarkDetectionLib.networks.layers import convolution


def gradient(layer: torch.nn.Module, images: Tensor, *, reduced: bool) -> Tensor:
    """What images teach the weights, in memory where floats left behind are not numbers."""
    rubbish = [torch.full((2**size,), torch.nan) for size in range(4, 22)]
    del rubbish
    with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        loss = layer(images).float().square().mean()
    return torch.autograd.grad(loss, layer.weight)[0]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("slices", [1, 2, 3, 4, 6])
def test_volumes_of_few_slices_teach_the_weights_the_same_in_reduced_precision(kernel, slices):
    torch.manual_seed(0)
    layer = convolution(3)(8, 16, kernel, padding=kernel // 2)
    images = torch.randn(2, 8, slices, 6, 6)
    expected = gradient(layer, images, reduced=False)
    found = gradient(layer, images, reduced=True)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02 * expected.abs().max().item())


def test_slices_are_added_for_the_gradient_only_and_change_no_output():
    torch.manual_seed(0)
    layer = convolution(3)(2, 3, 3, padding=1)
    images = torch.randn(1, 2, 2, 5, 4)
    with torch.inference_mode():
        plain = layer(images)
    torch.testing.assert_close(layer(images), plain)
    assert layer(images).shape == (1, 3, 2, 5, 4)


@pytest.mark.parametrize(("stride", "padding"), [(2, 1), (1, 0)])
def test_convolutions_that_change_the_size_stay_as_they_are(stride, padding):
    layer = convolution(3)(1, 1, 3, stride=stride, padding=padding)
    images = torch.randn(1, 1, 4, 4, 4)
    expected = torch.nn.functional.conv3d(images, layer.weight, layer.bias, stride, padding)
    torch.testing.assert_close(layer(images), expected)
