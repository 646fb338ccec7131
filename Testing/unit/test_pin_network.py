"""The network has the size, the layers and the initial weights of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from LandmarkDetectionLib.detectors.pin_search import PINNetworkSettings
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.networks.pin import (
    PINNetwork,
    initialise_as_published,
    initialise_for_rectifiers,
    reduced_size,
)


@pytest.fixture(scope="module")
def published() -> PINNetwork:
    """Ten landmarks in 3D, fifteen modes."""
    torch.manual_seed(0)
    return PINNetwork(30, 15).eval()


def weights_and_biases(network):
    parameters = list(network.parameters())
    return [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim == 1]


def test_published_network_has_4_77_million_parameters(published):
    convolutions = sum(9 * before * after + after for before, after in [(30, 32), (32, 64), (64, 128), (128, 256)])
    convolutions += 9 * 256 * 512 + 512
    heads = 2 * (513 * 1024 + 1025 * 1024) + 1025 * 15 + 1025 * 30
    parameters = sum(parameter.numel() for parameter in published.parameters())
    assert parameters == convolutions + heads == 4_772_301


def test_published_patches_become_512_features_then_15_displacements_and_30_logits(published):
    patches = torch.zeros(2, 30, 101, 101)
    with torch.inference_mode():
        assert published.features(patches).shape == (2, 512)
        displacements, logits = published(patches)
    assert displacements.shape == (2, 15)
    assert logits.shape == (2, 30)


def test_every_side_of_the_published_network_is_as_in_the_paper(published):
    sides = []
    value = torch.zeros(1, 30, 101, 101)
    with torch.inference_mode():
        for layer in published.features:
            value = layer(value)
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                sides.append(value.shape[-1])
    assert sides == [99, 49, 47, 23, 21, 10, 8, 4, 2, 1]


@pytest.mark.parametrize(
    ("patch_size", "blocks", "side"), [(101, 0, 101), (101, 1, 49), (101, 5, 1), (49, 4, 1), (13, 2, 1), (101, 4, 4)]
)
def test_reduced_size_follows_the_layers(patch_size, blocks, side):
    assert reduced_size(patch_size, blocks) == side
    if blocks:
        features = PINNetwork(1, 1, [1] * blocks, 1).features[:-1](torch.zeros(1, 1, patch_size, patch_size))
        assert features.shape[-2:] == (side, side)


@pytest.mark.parametrize(
    ("patch_size", "widths"), [(101, (8, 8)), (12, (8, 8)), (9, (8, 8)), (15, (8, 8)), (1, ()), (11, (8, 0))]
)
def test_settings_whose_patch_does_not_shrink_to_a_pixel_are_refused(patch_size, widths):
    with pytest.raises(LandmarkDetectionError, match="choose"):
        PINNetworkSettings(patch_size=patch_size, widths=widths)


def test_the_two_heads_share_the_convolutions_alone():
    torch.manual_seed(0)
    network = PINNetwork(3, 2, (4, 4), 8)
    displacement, logits = network(torch.randn(2, 3, 13, 13))
    displacement.sum().backward()
    assert all(parameter.grad is not None for parameter in network.features.parameters())
    assert all(parameter.grad is None for parameter in network.direction.parameters())
    network.zero_grad(set_to_none=True)
    _, logits = network(torch.randn(2, 3, 13, 13))
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.features.parameters())
    assert all(parameter.grad is None for parameter in network.displacement.parameters())


def test_last_layers_are_not_rectified():
    torch.manual_seed(0)
    displacement, logits = PINNetwork(3, 8, (4, 4), 16)(torch.randn(16, 3, 13, 13))
    assert displacement.min() < 0 < displacement.max()
    assert logits.min() < 0 < logits.max()


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    network = PINNetwork(1, 2, (4, 4), 32, dropout=0.5)
    patches = torch.randn(1, 1, 13, 13)
    assert not torch.equal(network(patches)[0], network(patches)[0])
    network.eval()
    assert torch.equal(network(patches)[0], network(patches)[0])
    assert sum(isinstance(layer, nn.Dropout) for layer in network.modules()) == 4


def test_published_initialisation_is_a_truncated_normal_with_positive_biases():
    torch.manual_seed(0)
    network = PINNetwork(30, 15)
    initialise_as_published(network)
    weights, biases = weights_and_biases(network)
    assert all(torch.all(bias == 0.1) for bias in biases)
    pooled = torch.cat([weight.flatten() for weight in weights])
    assert pooled.abs().max() <= 0.2
    # A normal distribution of deviation 0.1 cut at twice that keeps a deviation of 0.08796.
    assert pooled.std().item() == pytest.approx(0.08796, abs=2e-4)
    assert pooled.mean().item() == pytest.approx(0.0, abs=2e-4)


def test_initialisation_for_rectifiers_keeps_the_size_of_activations():
    torch.manual_seed(0)
    network = PINNetwork(30, 15)
    initialise_for_rectifiers(network)
    weights, biases = weights_and_biases(network)
    assert all(torch.all(bias == 0.0) for bias in biases)
    for weight in weights:
        inputs = weight[0].numel()
        assert weight.std().item() == pytest.approx((2.0 / inputs) ** 0.5, rel=0.05)
