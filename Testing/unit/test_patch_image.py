"""The network sees the same whatever type the voxels are stored in, and in detection what it saw in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.pin_search import PatchImage
from LandmarkDetectionLib.detectors.precision import network_dtype
from LandmarkDetectionLib.detectors.windowed_image import as_network_input
from LandmarkDetectionLib.preprocessing import CanonicalVolume

CPU = torch.device("cpu")
PATCH_SIZE = 9
HALF_A_LEVEL = 0.5 / 255
ROUNDING = float(torch.finfo(network_dtype(CPU)).eps)
"""Largest error of a number from 0 to 1 in the networks' precision: one rounding of it, one of its scale."""

VOXELS = np.random.default_rng(3).integers(0, 256, (12, 10, 11)).astype(np.uint8)


def network_input(voxels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Patches (1, 6, s, s) around two voxels, one of them near a corner."""
    canonical = CanonicalVolume(voxels, np.ones(3), np.zeros(3), np.eye(4), window)
    return PatchImage(canonical, PATCH_SIZE, CPU).patches(torch.tensor([[[5, 5, 6], [1, 9, 2]]])).float().numpy()


def windowed(voxels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    low, high = window
    return np.clip((voxels.astype(np.float64) - low) / (high - low), 0.0, 1.0)


windows = st.tuples(st.integers(0, 254), st.integers(1, 255)).filter(lambda window: window[0] < window[1])


@settings(max_examples=50)
@given(windows)
def test_bytes_are_windowed_without_loss(window):
    exact = network_input(windowed(VOXELS, window).astype(np.float32), (0.0, 1.0))
    np.testing.assert_allclose(network_input(VOXELS, window), exact, rtol=0, atol=HALF_A_LEVEL + ROUNDING)
    first_patch = windowed(VOXELS[2:11, 1:10, 5], window)
    np.testing.assert_allclose(network_input(VOXELS, window)[0, 0], first_patch, rtol=0, atol=ROUNDING)


@settings(max_examples=50)
@given(windows)
def test_windowing_a_whole_volume_to_bytes_costs_half_a_level_at_most(window):
    as_bytes = np.round(windowed(VOXELS, window) * 255.0).astype(np.uint8)
    difference = network_input(VOXELS, window) - network_input(as_bytes, (0.0, 255.0))
    assert np.abs(difference).max() <= HALF_A_LEVEL + ROUNDING


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64, ">i2"])
@pytest.mark.parametrize("window", [(0.0, 255.0), (33.0, 213.0), (100.5, 101.25)])
def test_the_type_of_the_voxels_changes_half_a_level_at_most(dtype, window):
    expected = network_input(VOXELS, window)
    found = network_input(VOXELS.astype(dtype), window)
    np.testing.assert_allclose(found, expected, rtol=0, atol=HALF_A_LEVEL + ROUNDING)


def test_bytes_may_have_a_window_between_whole_numbers():
    found = network_input(VOXELS, (99.5, 101.5))[0, 0]
    np.testing.assert_allclose(found, windowed(VOXELS[2:11, 1:10, 5], (99.5, 101.5)), atol=HALF_A_LEVEL + ROUNDING)


def test_outside_of_bytes_is_dark_though_the_window_does_not_begin_at_zero():
    across_i = network_input(np.full_like(VOXELS, 200), (50.0, 200.0))[0, 3]
    expected = np.ones((PATCH_SIZE, PATCH_SIZE))
    expected[:2] = expected[:, 5:] = 0.0
    np.testing.assert_array_equal(across_i, expected)


def test_detection_shows_the_network_exactly_what_training_shows_it():
    """Training cuts patches from windowed volumes that it rounded to bytes."""
    voxels, window = VOXELS.astype(np.float32) * 3.7 - 200.0, (-150.0, 650.0)
    training_bytes = np.round(windowed(voxels, window) * 255.0).astype(np.uint8)
    patch = torch.from_numpy(training_bytes[2:11, 1:10, 5].copy())[None, None]
    np.testing.assert_array_equal(network_input(voxels, window)[0, 0], as_network_input(patch)[0, 0].float().numpy())


def test_network_input_is_laid_out_and_rounded_as_convolutions_like_it():
    prepared = as_network_input(torch.zeros((2, 6, 9, 9), dtype=torch.uint8))
    assert prepared.dtype == network_dtype(CPU)
    assert prepared.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("error")
def test_voxels_that_may_not_be_written_to_can_be_cut():
    locked = VOXELS.copy()
    locked.setflags(write=False)
    np.testing.assert_array_equal(network_input(locked, (0.0, 255.0)), network_input(VOXELS, (0.0, 255.0)))
