"""Volumes of 90 % confidence are those of the paper where nothing is correlated, and smaller elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.confidence_volume import uncorrelated_volumes90_mm3, volumes90_mm3


def test_published_volume_is_65_47_times_the_deviations():
    covariances = np.stack([np.diag([4.0, 9.0, 16.0]), np.eye(3)])
    expected = [65.47 * 2 * 3 * 4, 65.47]
    assert uncorrelated_volumes90_mm3(covariances) == pytest.approx(expected, rel=1e-4)
    assert volumes90_mm3(covariances) == pytest.approx(expected, rel=1e-4)


def test_the_volume_holds_90_percent_of_a_normal_distribution():
    """The ball of that volume, for deviations of 1."""
    radius = (3 * float(volumes90_mm3(np.eye(3))) / (4 * np.pi)) ** (1 / 3)
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    assert (np.linalg.norm(points, axis=1) <= radius).mean() == pytest.approx(0.9, abs=0.003)


@given(st.lists(st.floats(-3.0, 3.0), min_size=9, max_size=9))
def test_correlation_makes_the_volume_smaller_whatever_the_axes(entries):
    root = np.reshape(entries, (3, 3))
    covariance = root @ root.T
    assert volumes90_mm3(covariance) <= uncorrelated_volumes90_mm3(covariance) + 1e-6


def test_what_does_not_scatter_has_no_volume():
    assert volumes90_mm3(np.zeros((2, 3, 3))).tolist() == [0.0, 0.0]
