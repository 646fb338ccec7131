"""Heatmaps become positions; between voxels exactly, for a Gaussian spot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.heatmap_decoding import find_peaks
from LandmarkDetectionLib.training.heatmaps import target_heatmaps

SIZE = {2: (14, 17), 3: (12, 14, 17)}


def spots(positions, dimension=3, sigma=1.5):
    """Perfect heatmaps (n, ...)."""
    places = torch.tensor(positions, dtype=torch.float32)[None]
    shown = torch.ones(places.shape[:2], dtype=torch.bool)
    return target_heatmaps(places, shown, SIZE[dimension], sigma, 1.0)[0, :-1]


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_hottest_voxel_is_found_per_landmark(dimension):
    positions = [[4.0, 9.0, 11.0][-dimension:], [6.0, 3.0, 5.0][-dimension:]]
    peaks, heat = find_peaks(spots(positions, dimension), sub_voxel=False)
    assert peaks.tolist() == positions
    np.testing.assert_allclose(heat, 1.0, atol=0.1)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(3.0, side - 4.0) for side in SIZE[3]]), st.floats(0.8, 2.5))
def test_places_between_voxels_are_found_exactly(position, sigma):
    heatmaps = spots([position], sigma=sigma)
    np.testing.assert_allclose(find_peaks(heatmaps, sub_voxel=True)[0][0], position, atol=1e-3)
    np.testing.assert_allclose(find_peaks(heatmaps, sub_voxel=False)[0][0], position, atol=0.5 + 1e-3)


def test_the_parabola_goes_through_the_logarithms_of_three_voxels():
    """Logarithms -1, 0 and -3 in a row: 0.5 (-1 + 3) / (-1 - 3) = -0.25 from the middle one."""
    heatmaps = torch.exp(torch.tensor([[[-9.0, -1.0, 0.0, -3.0, -9.0]]])).repeat(1, 3, 1)
    heatmaps[:, [0, 2]] *= 0.5
    peaks, heat = find_peaks(heatmaps, sub_voxel=True)
    assert peaks[0].tolist() == pytest.approx([1.0, 1.75])
    assert heat.item() == 1.0


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_peak_at_the_border_stays_within_half_a_voxel_of_it(dimension):
    last = [side - 1.0 for side in SIZE[dimension]]
    peaks, _ = find_peaks(spots([last, [0.0] * dimension], dimension), sub_voxel=True)
    np.testing.assert_allclose(peaks, [last, [0.0] * dimension], atol=0.5)


def test_heat_without_a_peak_has_a_place_all_the_same():
    peaks, heat = find_peaks(torch.zeros(2, 5, 6, 7), sub_voxel=True)
    assert torch.isfinite(peaks).all()
    assert heat.tolist() == [0.0, 0.0]
