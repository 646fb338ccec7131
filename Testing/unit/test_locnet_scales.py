"""Every scale of the multi-scale Loc-Net sees the means of the same voxels and knows where they lie."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.grid import Grid
from LandmarkDetectionLib.detectors.locnet_scales import (
    MultiscaleLocNetSettings,
    ScaleImages,
    coarse_sighting,
    refined_sighting,
    scale_images,
)
from LandmarkDetectionLib.detectors.mean_pooling import mean_pooled
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.networks.locnet import LocNet


def plain_means(voxels: np.ndarray, factors: tuple[int, int, int], window: tuple[int, int]) -> np.ndarray:
    """The same written straightforwardly."""
    low, high = window
    values = (np.clip(voxels.astype(float), low, high) - low) * 255.0 / (high - low)
    values = np.pad(values, [(0, -side % step) for side, step in zip(values.shape, factors, strict=True)])
    k, j, i = (side // step for side, step in zip(values.shape, factors, strict=True))
    return values.reshape(k, factors[0], j, factors[1], i, factors[2]).mean((1, 3, 5))


@given(
    shape=st.tuples(*[st.integers(1, 13)] * 3),
    factor=st.integers(1, 16),
    window=st.sampled_from([(0, 255), (20, 180), (0, 100)]),
    dimension=st.sampled_from([2, 3]),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_pooled_voxels_are_means_over_the_window(shape, factor, window, dimension, seed):
    voxels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    kept = voxels.copy()
    pooled = mean_pooled(voxels, factor, window, dimension)
    expected = plain_means(voxels, (factor if dimension == 3 else 1, factor, factor), window)
    assert pooled.dtype == np.uint8
    assert pooled.shape == expected.shape
    assert np.abs(pooled - expected).max() <= 0.501
    np.testing.assert_array_equal(voxels, kept)


def test_the_largest_factor_does_not_overflow():
    assert mean_pooled(np.full((16, 16, 16), 255, np.uint8), 16).tolist() == [[[255]]]


def test_scales_come_coarsest_first_and_the_finest_keeps_its_bytes():
    volumes = np.random.default_rng(0).integers(0, 256, (2, 9, 16, 12), dtype=np.uint8)
    coarse, middle, fine = scale_images(volumes, (4, 2, 1), 3, (10, 200))
    assert [tuple(scale.images.shape) for scale in (coarse, middle, fine)] == [
        (2, 3, 4, 3),
        (2, 5, 8, 6),
        (2, 9, 16, 12),
    ]
    assert (coarse.window, middle.window, fine.window) == ((0, 255), (0, 255), (10, 200))
    np.testing.assert_array_equal(fine.images.numpy(), volumes)
    expected = plain_means(volumes[1], (4, 4, 4), (10, 200))
    assert np.abs(coarse.images[1].numpy() - expected).max() <= 1.01


def test_pictures_are_pooled_in_their_plane():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 1, 12, 10), dtype=np.uint8)
    coarse, fine = scale_images(pictures, (4, 2), 2)
    assert tuple(coarse.images.shape) == (3, 3, 3)
    assert tuple(fine.images.shape) == (3, 6, 5)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_positions_at_a_scale_are_those_of_the_pooled_grid(factor):
    grid = Grid(np.array([0.5, 0.7, 0.9]), np.array([10.0, 20.0, 30.0]), 3)
    scale = ScaleImages(torch.zeros(1, 4, 4, 4), factor, (0, 255))
    positions = torch.tensor([[3.0, 5.5, 7.25]], dtype=torch.float64)
    coarse = scale.at_scale(positions)
    np.testing.assert_allclose(
        grid.pooled(factor).frame_from_voxels(coarse.numpy()), grid.frame_from_voxels(positions.numpy())
    )
    torch.testing.assert_close(scale.on_grid(coarse), positions)


@pytest.mark.parametrize("heatmap", ["relu", "softmax"])
def test_a_crop_is_looked_at_for_its_own_landmark(heatmap):
    """As if it were a whole image, of which one landmark is taken."""
    settings_ = MultiscaleLocNetSettings(pooling=(1,), widths=(4, 6), heatmap=heatmap)
    torch.manual_seed(1)
    network = settings_.networks(3, 4)[0]
    volumes = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 8), dtype=np.uint8)
    (scale,) = scale_images(volumes, (1,), 3)
    whole = coarse_sighting(network, scale)
    assert whole.cases.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert whole.landmarks.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    points = torch.tensor([6, 0, 5])
    cases, landmarks = whole.cases[points], whole.landmarks[points]
    own = refined_sighting(network, scale, cases, landmarks, torch.full((3, 3), 3.5), crop_size=8)
    torch.testing.assert_close(own.positions, whole.positions[points])
    torch.testing.assert_close(own.channels, whole.channels[points])
    torch.testing.assert_close(own.presence_logits, whole.channels[points].exp().flatten(1).sum(1).log())


def test_published_settings_are_the_defaults():
    settings_ = MultiscaleLocNetSettings()
    assert (settings_.pooling, settings_.crop_size, settings_.heatmap) == ((8, 4, 2, 1), 56, "relu")
    assert settings_.noise_range_mm == (-5.0, 5.0)
    assert len(settings_.networks(3, 1)) == 4


def test_the_noise_of_the_authors_code_goes_to_one_side():
    assert MultiscaleLocNetSettings(noise="reference", noise_mm=4.0).noise_range_mm == (0.0, 4.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": ()},
        {"pooling": (4, 3, 1)},
        {"pooling": (1, 2)},
        {"pooling": (32, 1)},
        {"pooling": (0,)},
        {"widths": ()},
        {"widths": (8, 0)},
        {"crop_size": 0},
        {"noise_mm": -1.0},
    ],
)
def test_settings_that_make_no_network_are_refused(changes):
    with pytest.raises(LandmarkDetectionError):
        MultiscaleLocNetSettings(**changes)


@pytest.mark.parametrize("heatmap", ["relu", "softmax"])
def test_masses_are_probabilities_over_the_voxels_and_even_where_nothing_is_seen(heatmap):
    network = LocNet(3, 2, (4, 8), heatmap)
    images = torch.zeros((1, 4, 6, 5), dtype=torch.uint8)
    sighting = coarse_sighting(network, ScaleImages(images, 2, (0, 255)))
    seen, nothing = torch.full((4, 6, 5), -9.0), torch.full((4, 6, 5), -60.0)
    seen[1, 2, 3] = 40.0
    sighting = dataclasses.replace(sighting, channels=torch.stack([seen, nothing]))
    masses = sighting.masses(network).view(2, 4, 6, 5)
    torch.testing.assert_close(masses.sum((1, 2, 3)), torch.ones(2))
    assert masses[0, 1, 2, 3] > 0.99
    torch.testing.assert_close(masses[1], torch.full((4, 6, 5), 1 / 120))
    voxel = torch.tensor([1, 2, 3]) * 2 + 0.5
    torch.testing.assert_close(sighting.voxels.view(2, 4, 6, 5, 3)[:, 1, 2, 3], voxel.expand(2, 3))
