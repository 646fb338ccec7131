"""Loc-Net has the layers of the paper, and its positions move with the image."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from LandmarkDetectionLib.networks.locnet import (
    LocNet,
    centre_of_mass,
    centres_of_windows,
    covariance_of_mass,
    initialise_locnet,
)


def published() -> LocNet:
    """One landmark in 3D."""
    torch.manual_seed(0)
    network = LocNet(3, 1)
    initialise_locnet(network, 1000)
    return network.eval()


def test_published_network_has_0_727_million_parameters():
    encoder = sum(27 * before * after + after for before, after in itertools.pairwise([1, 16, 32, 64, 128]))
    decoder = sum(27 * (deep + level) * level + level for level, deep in [(64, 128), (32, 64), (16, 32)])
    parameters = sum(parameter.numel() for parameter in published().parameters())
    assert parameters == encoder + decoder + 16 + 1 == 726_561


def test_published_network_takes_14_gigaflop_for_a_crop_of_56():
    """Two operations a weight and voxel: four scales take the 55.9 of the published model."""
    network, gflop = published(), 0.0

    def count(layer, _inputs, output):
        nonlocal gflop
        gflop += 2e-9 * output[0, 0].numel() * layer.weight.numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 1, 56, 56, 56))
    assert 4 * gflop == pytest.approx(55.9, abs=0.1)


@pytest.mark.parametrize(("dimension", "sides"), [(3, (8, 11, 5)), (2, (13, 8))])
def test_images_of_any_size_give_channels_of_their_size_and_a_position_for_each_landmark(dimension, sides):
    network = LocNet(dimension, 3, (4, 6, 8))
    images = torch.rand(2, 1, *sides)
    channels = network(images)
    assert channels.shape == (2, 3, *sides)
    assert centre_of_mass(network.weights(channels)).shape == (2, 3, dimension)


def test_rectified_heatmaps_do_not_begin_empty():
    for seed in range(5):
        torch.manual_seed(seed)
        network = LocNet(3, 20, (4, 8))
        initialise_locnet(network, 1000)
        assert torch.all(network.weights(network(torch.rand(1, 1, 16, 16, 16))).amax((2, 3, 4)) > 0)


def test_softmax_heatmaps_begin_undecided_between_the_image_and_nowhere():
    logits = []
    for seed in range(20):
        torch.manual_seed(seed)
        network = LocNet(3, 5, (4, 8), "softmax")
        initialise_locnet(network, 16**3)
        logits.append(network(torch.rand(1, 1, 16, 16, 16)).flatten(2).logsumexp(2))
    assert torch.cat(logits).median().abs() < 1.0


def test_softmax_heatmap_is_a_softmax_over_the_voxels():
    torch.manual_seed(0)
    network = LocNet(2, 2, (4, 8), "softmax")
    images = torch.rand(1, 1, 8, 8)
    logits = network(images)
    shares = logits.flatten(2).softmax(-1).view_as(logits)
    j, i = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    expected = torch.stack([(shares * j).sum((2, 3)), (shares * i).sum((2, 3))], -1)
    torch.testing.assert_close(centre_of_mass(network.weights(logits)), expected, atol=2e-4, rtol=0)


def test_centre_of_mass_by_hand():
    """Masses 1 and 3 at (1, 0) and (1, 4) of a 3 x 5 picture, and 1e-5 in its middle (1, 2)."""
    heatmaps = torch.zeros(1, 1, 3, 5)
    heatmaps[0, 0, 1, 0], heatmaps[0, 0, 1, 4] = 1.0, 3.0
    expected = torch.tensor([[[1.0, (3 * 4.0 + 1e-5 * 2.0) / (4.0 + 1e-5)]]])
    torch.testing.assert_close(centre_of_mass(heatmaps), expected)


def test_an_empty_heatmap_points_to_the_middle_of_the_image():
    torch.testing.assert_close(
        centre_of_mass(torch.zeros(1, 2, 4, 5, 6)), torch.tensor([1.5, 2.0, 2.5]).expand(1, 2, 3)
    )


shifts = st.tuples(*[st.integers(-3, 3)] * 3)


@given(shift=shifts, seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_centre_of_mass_moves_with_the_heatmap_by_any_whole_number_of_voxels(shift, seed):
    torch.manual_seed(seed)
    heatmap = torch.zeros(1, 1, 12, 12, 12)
    heatmap[:, :, 4:8, 4:8, 4:8] = torch.rand(4, 4, 4)
    moved = torch.roll(heatmap, shift, (2, 3, 4))
    torch.testing.assert_close(centre_of_mass(moved), centre_of_mass(heatmap) + torch.tensor(shift), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shift", [(8, 0, 0), (0, -8, 0), (8, 8, -8)])
def test_network_moves_with_the_image_by_whole_periods_of_its_pooling(shift):
    """Without biases the empty part of the image stays empty, as the paper's claim assumes."""
    torch.manual_seed(2)
    network = LocNet(3, 1, (2, 3, 3, 4))
    initialise_locnet(network, 1000)
    image = torch.zeros(1, 1, 96, 96, 96)
    image[:, :, 46:52, 46:52, 46:52] = torch.rand(6, 6, 6)
    with torch.inference_mode():
        still, moved = (
            centre_of_mass(network.weights(network(one))) for one in (image, torch.roll(image, shift, (2, 3, 4)))
        )
    torch.testing.assert_close(moved, still + torch.tensor(shift), atol=1e-3, rtol=0)


def test_positions_are_not_rounded_by_reduced_precision():
    heatmaps = torch.zeros(1, 1, 8, 8, 300, dtype=torch.bfloat16)
    heatmaps[..., 4, 4, 277] = 1.0
    with torch.autocast("cpu", torch.bfloat16):
        position = centre_of_mass(heatmaps)
    assert position.dtype == torch.float32
    torch.testing.assert_close(position[0, 0, 2], torch.tensor(277.0), atol=0.01, rtol=0)


def test_covariance_of_mass_by_hand():
    """Masses 1 and 3 at (1, 0) and (0, 4), about (0, 3): moments of 1 * (1, -3) and 3 * (0, 1) over 4."""
    heatmaps = torch.zeros(1, 3, 5)
    heatmaps[0, 1, 0], heatmaps[0, 0, 4] = 1.0, 3.0
    expected = torch.tensor([[[1.0, -3.0], [-3.0, 9.0 + 3.0]]]) / 4.0
    torch.testing.assert_close(covariance_of_mass(heatmaps, torch.tensor([[0.0, 3.0]])), expected)


class TestWindows:
    def test_a_window_on_whole_voxels_is_that_part_of_the_heatmap(self):
        torch.manual_seed(0)
        heatmaps = torch.rand(2, 9, 10, 11)
        starts = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 0.0, 6.0]], [[0.0, 5.0, 1.0], [2.0, 2.0, 2.0]]])
        found = centres_of_windows(heatmaps, starts, 5)
        for index, window in itertools.product(range(2), range(2)):
            k, j, i = starts[index, window].int().tolist()
            part = heatmaps[index, k : k + 5, j : j + 5, i : i + 5]
            expected = centre_of_mass(part[None, None])[0, 0] + starts[index, window]
            torch.testing.assert_close(found[index, window], expected)

    def test_a_window_between_voxels_counts_its_borders_in_part(self):
        """A window of 2 from 0.25 on holds 3/4 of the first voxel, the second, and 1/4 of the third."""
        heatmaps = torch.tensor([[4.0, 1.0, 8.0, 100.0]])
        found = centres_of_windows(heatmaps, torch.tensor([[[0.25]]]), 2)
        torch.testing.assert_close(found, torch.tensor([[[(0 * 3.0 + 1 * 1.0 + 2 * 2.0) / 6.0]]]), atol=1e-4, rtol=0)

    def test_a_window_beside_all_mass_points_to_its_own_middle(self):
        heatmaps = torch.zeros(1, 12, 12)
        heatmaps[0, 0, 0] = 1.0
        found = centres_of_windows(heatmaps, torch.tensor([[[6.0, 5.0]]]), 4)
        torch.testing.assert_close(found, torch.tensor([[[7.5, 6.5]]]))
