"""The networks of global-to-local have the layers of the paper, take images of any size, and fold what is fixed."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from LandmarkDetectionLib.networks.folding import folded
from LandmarkDetectionLib.networks.global_to_local import AveragePooling, GlobalNetwork, LocalNetwork, ResidualPair
from LandmarkDetectionLib.networks.grouping import grouped, separated

SMALL = {"first_width": 2, "widths": (3, 4), "pairs": (1, 2), "poolings": 1, "head_width": 5}


def published(dimension=3, **changes) -> GlobalNetwork:
    with torch.device("meta"):
        return GlobalNetwork(dimension, 8, **changes)


def kernel_weights(before, after, size):
    """Of a convolution without bias and its normalisation."""
    return before * after * size**3 + 2 * after


def test_published_network_has_the_layers_of_resnet34_in_3d():
    expected = kernel_weights(1, 16, 7)
    for before, after, pairs in [(16, 32, 3), (32, 64, 4), (64, 128, 6), (128, 256, 3)]:
        expected += kernel_weights(before, after, 3) + (2 * pairs - 1) * kernel_weights(after, after, 3)
        expected += kernel_weights(before, after, 1)
    for outputs in (8, 8 * 3):
        expected += 2 * kernel_weights(256, 256, 1) + 257 * outputs
    assert sum(parameter.numel() for parameter in published().parameters()) == expected


def test_every_convolution_but_the_last_of_each_head_is_normalised():
    layers = list(published().modules())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv3d)]
    normalisations = [layer for layer in layers if isinstance(layer, nn.BatchNorm3d)]
    assert len(convolutions) - len(normalisations) == 2
    assert sum(layer.bias is not None for layer in convolutions) == 2


def test_only_the_first_two_blocks_are_pooled_in_3d_and_all_four_in_a_2d_network_with_two_more():
    layers = [type(layer) for layer in published().trunk]
    pair, pool = ResidualPair, AveragePooling
    assert layers == [nn.Sequential, nn.ReLU, pool, *[pair] * 3, pool, *[pair] * 4, *[pair] * 6, *[pair] * 3]
    assert published().patch_size == 8
    assert published(2, poolings=4).patch_size == 32
    assert sum(isinstance(layer, AveragePooling) for layer in published(2, poolings=4).trunk) == 4


def test_eight_published_local_networks_take_3_4_gflop():
    network = LocalNetwork(3)
    assert network.patch_size == 2
    macs = 16**3 * 27 * (1 * 32 + 32 * 32) + 16**3 * 32
    macs += 8**3 * (27 * (32 * 64 + 64 * 64) + 32 * 64 + 2 * 2 * 64 * 64 + 4 * 64)
    counted = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            layer.register_forward_hook(
                lambda layer, _given, made: counted.append(made[0, 0].numel() * layer.weight.numel())
            )
    network.eval()(torch.zeros(1, 1, 16, 16, 16))
    assert sum(counted) == macs
    assert 8 * 2e-9 * macs == pytest.approx(3.4, abs=0.05)


@pytest.mark.parametrize(
    ("sides", "patches"), [((16, 16, 16), (4, 4, 4)), ((13, 18, 5), (4, 5, 2)), ((17, 12, 1), (5, 3, 1))]
)
def test_images_of_any_size_have_a_patch_for_every_voxel(sides, patches):
    network = GlobalNetwork(3, 6, **SMALL).eval()
    votes = network(torch.rand(2, 1, *sides))
    assert votes.displacements.shape == (2, 6, 3, *patches)
    assert votes.logits.shape == (2, 6, *patches)


def test_cephalograms_of_592_pixels_have_19_patches_along_each_side():
    network = GlobalNetwork(2, 3, first_width=2, widths=(2, 2, 2, 2), pairs=(1, 1, 1, 1), poolings=4, head_width=2)
    votes = network.eval()(torch.rand(1, 1, 592, 592))
    assert votes.displacements.shape == (1, 3, 2, 19, 19)


def test_an_image_that_is_no_multiple_of_the_patches_counts_as_zero_beyond_its_end():
    network = GlobalNetwork(3, 2, **SMALL).eval()
    image = torch.rand(1, 1, 9, 14, 7)
    whole = functional.pad(image, (0, 1, 0, 2, 0, 3))
    assert whole.shape[2:] == (12, 16, 8)
    for one, other in zip(network(image), network(whole), strict=True):
        assert torch.equal(one, other)


def test_votes_move_with_the_image_by_whole_patches():
    """Away from the border: what the image holds moves by 8 of its voxels, two patches."""
    network = GlobalNetwork(2, 2, **SMALL).eval()
    image = torch.zeros(1, 1, 96, 96)
    image[..., 40:48, 40:48] = torch.rand(8, 8)
    for one, other in zip(network(image), network(image.roll((8, 8), (2, 3))), strict=True):
        torch.testing.assert_close(other[..., 8:20, 8:20], one[..., 6:18, 6:18])


@pytest.mark.parametrize("shape", [(2, 3, 6, 4, 8), (1, 2, 6, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_average_pooling_is_that_of_torch_in_any_precision_and_layout(shape, dtype):
    features = torch.rand(shape)
    expected = (functional.avg_pool2d if len(shape) == 4 else functional.avg_pool3d)(features, 2)
    layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    pooled = AveragePooling()(features.to(dtype).contiguous(memory_format=layout))
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled.float(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.01)


@pytest.mark.parametrize(("regresses", "classifies"), [(True, False), (False, True)])
def test_a_head_that_is_not_wanted_is_not_there(regresses, classifies):
    network = LocalNetwork(3, widths=(2, 2), head_width=2, regresses=regresses, classifies=classifies).eval()
    votes = network(torch.rand(1, 1, 4, 4, 4))
    assert (votes.displacements is not None) == regresses
    assert (votes.logits is not None) == classifies
    assert any("regression" in name for name in network.state_dict()) == regresses
    assert any("classification" in name for name in network.state_dict()) == classifies


def with_random_statistics(network: nn.Module) -> nn.Module:
    """As after some training: nothing is 0 or 1 any more."""
    for name, value in network.state_dict().items():
        if value.is_floating_point() and "normalisation" in name:
            value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("dimension", [2, 3])
def test_folded_network_votes_as_the_one_with_batch_normalisation(dimension):
    torch.manual_seed(0)
    normalised = with_random_statistics(GlobalNetwork(dimension, 2, **SMALL))
    plain = GlobalNetwork(dimension, 2, **SMALL, is_normalised=False).eval()
    plain.load_state_dict(folded(normalised.state_dict()))
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d) for layer in plain.modules())
    image = torch.rand(1, 1, *[12] * dimension)
    for one, other in zip(normalised(image), plain(image), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


def test_folding_a_normalisation_without_its_convolution_fails():
    tensors = {name: value for name, value in LocalNetwork(2).state_dict().items() if "convolution" not in name}
    with pytest.raises(KeyError):
        folded(tensors)


@pytest.mark.parametrize("dimension", [2, 3])
def test_grouped_local_networks_vote_as_each_one_by_itself(dimension):
    torch.manual_seed(0)
    settings = {"widths": (3, 4), "head_width": 5}
    single = [with_random_statistics(LocalNetwork(dimension, **settings)) for _ in range(3)]
    together = LocalNetwork(dimension, 3, **settings).eval()
    together.load_state_dict(grouped([network.state_dict() for network in single]))
    images = torch.rand(2, 3, *[8] * dimension)
    votes = together(images)
    for index, network in enumerate(single):
        alone = network(images[:, [index]])
        for one, other in zip(alone, votes, strict=True):
            torch.testing.assert_close(other[:, [index]], one, rtol=1e-4, atol=1e-5)


def test_separated_weights_are_those_that_were_grouped():
    networks = [LocalNetwork(2, widths=(2, 3), head_width=2).state_dict() for _ in range(3)]
    for before, after in zip(networks, separated(grouped(networks), 3), strict=True):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_grouped_networks_learn_apart():
    """The loss of one landmark has no gradient in the networks of the others."""
    network = LocalNetwork(2, 3, widths=(2, 2), head_width=2)
    votes = network(torch.rand(2, 3, 4, 4))
    votes.logits[:, 1].sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            first, _, last = parameter.grad.chunk(3)
            assert not first.any(), name
            assert not last.any(), name
