"""The cascade's networks have the layers of the paper, and what is folded or rearranged in them changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from LandmarkDetectionLib.networks.cascade import (
    CascadeNetwork,
    DisplacementNetwork,
    HeatmapUNet,
    initialise_cascade,
)
from LandmarkDetectionLib.networks.folding import folded

WIDTHS = (2, 3, 4, 5)


def unet(dimension=2, landmarks=2, **changes) -> HeatmapUNet:
    torch.manual_seed(0)
    return HeatmapUNet(dimension, landmarks, **{"widths": WIDTHS} | changes).eval()


@pytest.mark.parametrize(("dimension", "sides"), [(2, (19, 24)), (3, (17, 9, 8))])
def test_there_is_a_heatmap_for_each_landmark_and_the_background_as_large_as_the_image(dimension, sides):
    with torch.inference_mode():
        assert unet(dimension)(torch.rand(2, 1, *sides)).shape == (2, 3, *sides)


@pytest.mark.parametrize("dimension", [2, 3])
def test_sides_that_do_not_divide_by_eight_see_zeros_beyond_the_image(dimension):
    image = torch.zeros(1, 1, *[16] * dimension)
    inner = (slice(None), slice(None), *[slice(11)] * dimension)
    image[inner] = torch.rand(1, 1, *[11] * dimension)
    network = unet(dimension)
    with torch.inference_mode():
        torch.testing.assert_close(network(image[inner]), network(image)[inner])


def test_convolutions_are_two_at_every_level_with_deconvolutions_between():
    network = HeatmapUNet(3, 5, (16, 32, 64, 128))
    kernels = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Conv3d)]
    downwards = [(16, 1), (16, 16), (32, 16), (32, 32), (64, 32), (64, 64), (128, 64), (128, 128)]
    upwards = [(64, 128), (64, 64), (32, 64), (32, 32), (16, 32), (16, 16)]
    assert kernels[:14] == [(*channels, 3, 3, 3) for channels in downwards + upwards]
    # The side paths from coarse to fine, then the output: six channels each.
    assert kernels[14:] == [(6, 128, 1, 1, 1), (6, 64, 1, 1, 1), (6, 32, 1, 1, 1), (6, 16, 1, 1, 1)]
    steps = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.ConvTranspose3d)]
    assert steps == [(128, 64, 2, 2, 2), (64, 32, 2, 2, 2), (32, 16, 2, 2, 2)]


@pytest.mark.parametrize("widths", [WIDTHS, (2, 3, 4, 5, 6)])
def test_side_paths_come_from_the_three_levels_below_the_finest_at_full_size(widths):
    network = unet(widths=widths)
    image = torch.rand(1, 1, 32, 32)
    taken = {}
    for path in network.side_paths:
        path.register_forward_hook(lambda layer, inputs, _output: taken.update({layer: inputs[0].shape[-1]}))
    with torch.inference_mode():
        outputs = network.with_side_paths(image)
    assert [taken[path] for path in network.side_paths] == [4, 8, 16]
    assert [output.shape for output in outputs] == [(1, 3, 32, 32)] * 4
    torch.testing.assert_close(outputs[0], network(image))


def test_a_side_path_is_interpolated_linearly():
    """The coarsest level of an 8-pixel image has one value: all of the full size has it."""
    network = unet()
    with torch.inference_mode():
        coarsest = network.with_side_paths(torch.rand(1, 1, 8, 8))[1]
    torch.testing.assert_close(coarsest, coarsest[..., :1, :1].expand_as(coarsest))


def test_the_output_is_linear():
    network = unet(landmarks=20)
    with torch.inference_mode():
        heatmaps = network(torch.randn(1, 1, 32, 32))
    assert heatmaps.min() < 0.0 < heatmaps.max()


@pytest.mark.parametrize(("patch_size", "left"), [(16, 1), (24, 1), (32, 2), (64, 4)])
def test_four_poolings_leave_a_sixteenth_of_the_patch(patch_size, left):
    network = DisplacementNetwork(2, patch_size, (2, 2, 2, 3), 7)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(3 * left**2, 7), (7, 2)]
    assert network(torch.rand(5, 1, patch_size, patch_size)).shape == (5, 2)


def test_pooling_before_rectifying_changes_nothing():
    torch.manual_seed(0)
    network = DisplacementNetwork(3, 16, (2, 2, 2, 2), 4)
    patches = torch.randn(2, 1, 16, 16, 16)
    features = patches
    for layer in network.features:
        if isinstance(layer, nn.Sequential):
            features = nn.functional.max_pool3d(layer(features).relu(), 2)
    torch.testing.assert_close(network(patches), network.displacement(features.flatten(1)))


def test_displacements_may_have_either_sign():
    torch.manual_seed(0)
    displacements = DisplacementNetwork(3, 16, (4, 4, 4, 4), 16)(torch.randn(16, 1, 16, 16, 16))
    assert displacements.min() < 0.0 < displacements.max()


def test_a_network_begins_with_nothing_but_background_and_no_displacement():
    network = CascadeNetwork(unet(), [DisplacementNetwork(2, 16, (2, 2, 2, 2), 4)])
    initialise_cascade(network)
    for heatmaps in network.coarse.with_side_paths(torch.rand(1, 1, 16, 16)):
        torch.testing.assert_close(heatmaps, torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(1, 3, 16, 16))
    assert not network.local[0](torch.rand(1, 1, 16, 16)).any()


def test_initial_weights_keep_the_size_of_activations():
    network = CascadeNetwork(HeatmapUNet(3, 2, (16, 32, 64, 64)), [DisplacementNetwork(3, 32, (16, 32, 64, 64), 256)])
    initialise_cascade(network)
    layers = [network.coarse.encoders[2][2], network.local[0].features[3], network.local[0].displacement[0]]
    for layer in (layers[0].convolution, layers[1].convolution, layers[2]):
        assert layer.weight.std().item() == pytest.approx((2.0 / layer.weight[0].numel()) ** 0.5, rel=0.05)
        assert not layer.bias.any()


def test_batch_normalisation_can_be_folded_away():
    torch.manual_seed(0)
    networks = [
        CascadeNetwork(unet(is_normalised=flag), [DisplacementNetwork(2, 16, (2, 2, 2, 2), 4, is_normalised=flag)])
        for flag in (True, False)
    ]
    normalised, plain = networks
    images = torch.rand(4, 1, 16, 16)
    normalised.train()
    for _ in range(20):
        normalised.coarse(images), normalised.local[0](images)
    normalised.eval()
    plain.eval().load_state_dict(folded(normalised.state_dict()))
    with torch.inference_mode():
        torch.testing.assert_close(plain.coarse(images), normalised.coarse(images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(plain.local[0](images), normalised.local[0](images), rtol=1e-4, atol=1e-5)


def test_the_residual_covariance_goes_towards_that_of_the_errors():
    network = DisplacementNetwork(2, 16, (1, 1, 1, 1), 1)
    errors = torch.tensor([[2.0, 0.0], [0.0, -1.0]])
    network.follow(errors)
    # From the identity a hundredth of the way to [[2, 0], [0, 0.5]].
    torch.testing.assert_close(network.residual_covariance, torch.tensor([[1.01, 0.0], [0.0, 0.995]]))
    for _ in range(2000):
        network.follow(errors)
    torch.testing.assert_close(network.residual_covariance, torch.tensor([[2.0, 0.0], [0.0, 0.5]]))
    assert "residual_covariance" in network.state_dict()


def test_the_usual_heat_goes_towards_that_of_the_landmarks_shown():
    network = unet(landmarks=3)
    heat = torch.tensor([[0.5, 0.2, 9.0], [0.7, 9.0, 9.0]])
    is_shown = torch.tensor([[True, True, False], [True, False, False]])
    network.follow(heat, is_shown)
    # From one a hundredth of the way to 0.6, 0.2 and nothing known.
    torch.testing.assert_close(network.usual_heat, torch.tensor([0.996, 0.992, 1.0]))
    assert "usual_heat" in network.state_dict()
