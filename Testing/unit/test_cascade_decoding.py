"""Heatmaps become positions, spreads and evidence; between voxels exactly, for a Gaussian spot."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.heatmap_decoding import find_peaks
from LandmarkDetectionLib.training.heatmaps import target_heatmaps

SIZE = {2: (14, 17), 3: (12, 14, 17)}


def spots(positions, dimension=3, sigma=1.5):
    """Perfect heatmaps (n + 1, ...)."""
    places = torch.tensor(positions, dtype=torch.float32)[None]
    shown = torch.ones(places.shape[:2], dtype=torch.bool)
    return target_heatmaps(places, shown, SIZE[dimension], sigma, 1.0)[0]


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_hottest_voxel_is_found_per_landmark(dimension):
    positions = [[4.0, 9.0, 11.0][-dimension:], [6.0, 3.0, 5.0][-dimension:]]
    peaks = find_peaks(spots(positions, dimension), 1.5, sub_voxel=False)
    assert peaks.positions.tolist() == positions


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(3.0, side - 4.0) for side in SIZE[3]]), st.floats(0.8, 2.5))
def test_places_between_voxels_are_found_exactly(position, sigma):
    heatmaps = spots([position], sigma=sigma)
    np.testing.assert_allclose(find_peaks(heatmaps, sigma, sub_voxel=True).positions[0], position, atol=1e-3)
    np.testing.assert_allclose(find_peaks(heatmaps, sigma, sub_voxel=False).positions[0], position, atol=0.5 + 1e-3)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_peak_at_the_border_stays_within_half_a_voxel_of_it(dimension):
    last = [side - 1.0 for side in SIZE[dimension]]
    peaks = find_peaks(spots([last, [0.0] * dimension], dimension), 1.5, sub_voxel=True)
    np.testing.assert_allclose(peaks.positions, [last, [0.0] * dimension], atol=0.5)


def test_heat_without_a_peak_has_a_place_all_the_same():
    peaks = find_peaks(torch.zeros(3, 5, 6, 7), 1.0, sub_voxel=True)
    assert torch.isfinite(peaks.positions).all()
    assert torch.isfinite(peaks.variances).all()
    assert torch.isfinite(peaks.logits).all()


def test_heat_that_spreads_farther_has_the_larger_variance():
    centre = [[6.0, 7.0, 8.0]]
    narrow, wide = (find_peaks(spots(centre, sigma=s), 1.5, sub_voxel=False).variances.item() for s in (1.0, 2.0))
    # Within two standard deviations of a spot lie nearly all of the narrow one and a part of the wide one.
    assert narrow == pytest.approx(1.0, rel=0.02)
    assert 1.5 < wide < 4.0


def test_evidence_compares_the_heat_with_the_background_at_the_peak():
    heatmaps = torch.zeros(2, 5, 5)
    heatmaps[1] = 1.0
    heatmaps[:, 2, 3] = torch.tensor([0.6, 0.3])
    peaks = find_peaks(heatmaps, 1.0, sub_voxel=False)
    assert peaks.logits.item() == pytest.approx(math.log(0.6 / 0.3), abs=1e-6)


def test_evidence_is_bounded_where_the_network_leaves_the_range_of_heat():
    heatmaps = torch.zeros(2, 5, 5)
    heatmaps[:, 2, 3] = torch.tensor([1.1, -0.2])
    assert find_peaks(heatmaps, 1.0, sub_voxel=False).logits.item() == pytest.approx(math.log(1.1 / 1e-3), abs=1e-5)
