"""Crops lie exactly where they are wanted, and gradients run through them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.differentiable_crop import first_voxels, resampled_crops
from LandmarkDetectionLib.detectors.locnet_scales import (
    MultiscaleLocNetSettings,
    coarse_sighting,
    refined_sighting,
    scale_images,
)
from LandmarkDetectionLib.networks.locnet import initialise_locnet

ONE = torch.tensor([0])


def smooth_image(*sides: int) -> torch.Tensor:
    """A ramp along each axis, in bytes."""
    axes = torch.meshgrid(*[torch.arange(side) for side in sides], indexing="ij")
    return sum((2 + axis) * values for axis, values in enumerate(axes)).to(torch.uint8)[None]


def test_a_crop_on_whole_voxels_is_a_copy():
    images = torch.randint(0, 256, (2, 9, 8, 7), dtype=torch.uint8)
    centres = torch.tensor([[4.5, 3.5, 2.5], [3.5, 4.5, 4.5]])
    crops = resampled_crops(images, torch.tensor([0, 1]), centres, 4)
    torch.testing.assert_close(crops[0, 0], images[0, 3:7, 2:6, 1:5] / 255.0)
    torch.testing.assert_close(crops[1, 0], images[1, 2:6, 3:7, 3:7] / 255.0)


def test_a_crop_between_voxels_is_interpolated_linearly():
    images = smooth_image(10, 10)
    crop = resampled_crops(images, ONE, torch.tensor([[4.25, 5.5]]), 3)[0, 0] * 255.0
    j, i = torch.meshgrid(torch.tensor([3.25, 4.25, 5.25]), torch.tensor([4.5, 5.5, 6.5]), indexing="ij")
    torch.testing.assert_close(crop, 2 * j + 3 * i)


def test_beyond_the_image_a_crop_is_black_whatever_the_window():
    images = torch.full((1, 6, 6), 200, dtype=torch.uint8)
    crop = resampled_crops(images, ONE, torch.tensor([[0.5, 4.5]]), 4, (100, 225))[0, 0]
    expected = torch.zeros(4, 4)
    expected[1:, :3] = 0.8
    torch.testing.assert_close(crop, expected)


def test_a_crop_far_outside_is_empty():
    images = torch.full((1, 6, 6), 200, dtype=torch.uint8)
    assert not resampled_crops(images, ONE, torch.tensor([[-50.0, 300.0]]), 4).any()


def test_images_need_not_be_contiguous():
    images = torch.randint(0, 256, (7, 8, 9), dtype=torch.uint8).permute(2, 0, 1)[None]
    centre = torch.tensor([[4.0, 3.0, 4.0]])
    torch.testing.assert_close(
        resampled_crops(images, ONE, centre, 3), resampled_crops(images.contiguous(), ONE, centre, 3)
    )


positions = st.floats(2.05, 6.95).filter(lambda value: 0.02 < value % 0.5 < 0.48)


@given(centre=st.tuples(positions, positions, positions), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_gradient_through_a_crop_is_that_of_finite_differences(centre, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (1, 10, 10, 10), dtype=torch.uint8, generator=generator)
    weights = torch.randn(1, 1, 4, 4, 4, generator=generator)
    position = torch.tensor([centre], requires_grad=True)
    (gradient,) = torch.autograd.grad((resampled_crops(images, ONE, position, 4) * weights).sum(), position)
    step = 0.005
    for axis in range(3):
        offset = torch.zeros(1, 3)
        offset[0, axis] = step
        ahead, behind = (
            (resampled_crops(images, ONE, position.detach() + sign * offset, 4).double() * weights).sum()
            for sign in (1, -1)
        )
        assert gradient[0, axis].item() == pytest.approx(((ahead - behind) / (2 * step)).item(), abs=0.01)


@pytest.mark.parametrize("heatmap", ["relu", "softmax"])
def test_gradient_of_a_finer_scale_in_the_coarser_estimate_is_that_of_finite_differences(heatmap):
    """Through the crop's contents and through where its coordinates begin; so do all scales learn together."""
    torch.manual_seed(0)
    settings = MultiscaleLocNetSettings(pooling=(2, 1), crop_size=8, widths=(4, 8), heatmap=heatmap)
    network = settings.networks(3, 1)[1]
    initialise_locnet(network, 1000)
    network.double()
    volumes = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 20), dtype=np.uint8)
    fine = scale_images(volumes, settings.pooling, 3)[1]
    estimate = torch.tensor([[9.3, 10.7, 8.2]], dtype=torch.float64, requires_grad=True)

    def found(position: torch.Tensor) -> torch.Tensor:
        sighting = refined_sighting(network, fine, ONE, ONE, position, crop_size=8)
        return (sighting.positions * torch.tensor([1.0, 2.0, -1.0])).sum()

    (gradient,) = torch.autograd.grad(found(estimate), estimate)
    for axis in range(3):
        offset = torch.zeros(1, 3, dtype=torch.float64)
        offset[0, axis] = 1e-3
        difference = (found(estimate.detach() + offset) - found(estimate.detach() - offset)) / 2e-3
        assert gradient[0, axis].item() == pytest.approx(difference.item(), abs=0.02)


def test_the_loss_of_the_finest_scale_reaches_the_coarsest_network():
    torch.manual_seed(0)
    settings = MultiscaleLocNetSettings(pooling=(2, 1), crop_size=8, widths=(4, 8))
    networks = settings.networks(3, 1)
    for network in networks:
        initialise_locnet(network, 1000)
    volumes = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 20), dtype=np.uint8)
    coarse, fine = scale_images(volumes, settings.pooling, 3)
    estimates = coarse_sighting(networks[0], coarse).positions
    refined_sighting(networks[1], fine, ONE, ONE, estimates, crop_size=8).positions.sum().backward()
    assert all(parameter.grad is not None for parameter in networks[0].parameters())
    assert any(parameter.grad.abs().max() > 0 for parameter in networks[0].parameters())


def test_a_crop_begins_where_it_says():
    centres = torch.tensor([[5.0, 5.0]])
    torch.testing.assert_close(first_voxels(centres, 56), torch.tensor([[-22.5, -22.5]]))
    torch.testing.assert_close(first_voxels(centres, 3), torch.tensor([[4.0, 4.0]]))
