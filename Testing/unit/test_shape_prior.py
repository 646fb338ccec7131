"""Heatmaps of look-alikes are decided together: the sure ones tell which peak of a doubtful one is meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.shape_prior import ShapePrior
from LandmarkDetectionLib.shape_model import ShapeModel

COUNT = 5
SPACING_MM = 10.0
VOXELS_MM = np.stack(np.meshgrid(np.arange(60.0), [0.0], [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
"""A column of voxels along k."""


def column() -> ShapeModel:
    """Five points one above the other, 10 mm apart (x, y, z), the distance of which varies by a tenth."""
    mean = np.zeros((COUNT, 3))
    mean[:, 2] = SPACING_MM * np.arange(COUNT)
    stretch = mean / np.linalg.norm(mean)
    return ShapeModel(mean.ravel(), stretch.reshape(1, -1), [(0.1 * np.linalg.norm(mean)) ** 2])


def mass_at(*peaks_mm: float) -> np.ndarray:
    """Spots of equal weight, 2 mm wide."""
    mass = sum(np.exp(-0.5 * ((VOXELS_MM[:, 0] - peak) / 2.0) ** 2) for peak in peaks_mm)
    return mass / mass.sum()


def weighed(masses, rounds=3) -> np.ndarray:
    prior = ShapePrior.of(column(), 3, tolerance_mm=2.0)
    voxels_mm = np.broadcast_to(VOXELS_MM, (len(masses), *VOXELS_MM.shape))
    return prior.weighed(np.stack(masses), voxels_mm, rounds)[:, 0]


@given(st.floats(2.0, 15.0))
def test_the_others_decide_between_two_peaks_wherever_the_shape_lies(place_mm):
    truth = place_mm + SPACING_MM * np.arange(COUNT)
    masses = [mass_at(position) for position in truth]
    masses[3] = mass_at(truth[2], truth[3])
    assert weighed(masses, rounds=0)[3] == pytest.approx(truth[3] - SPACING_MM / 2, abs=0.3)
    np.testing.assert_allclose(weighed(masses), truth, atol=0.7)


def test_two_sure_ends_decide_for_all_between():
    truth = 5.0 + SPACING_MM * np.arange(COUNT)
    doubtful = [mass_at(truth[index - 1], truth[index], truth[index + 1]) for index in (1, 2, 3)]
    found = weighed([mass_at(truth[0]), *doubtful, mass_at(truth[4])])
    np.testing.assert_allclose(found, truth, atol=1.0)


def test_what_is_seen_alone_counts_where_it_agrees_with_the_shape():
    truth = 8.0 + 9.5 * np.arange(COUNT)
    np.testing.assert_allclose(weighed([mass_at(position) for position in truth]), truth, atol=0.5)


def test_expects_a_point_in_the_middle_of_its_neighbours():
    prior = ShapePrior.of(column(), 3, tolerance_mm=2.0)
    means = np.zeros((COUNT, 3))
    means[:, 0] = 20.0 + SPACING_MM * np.arange(COUNT)
    certain = np.zeros((COUNT, 3, 3))
    expected, covariance = prior._expected(2, means, certain)
    np.testing.assert_allclose(expected, means[2], atol=1e-3)
    # Its own 2 mm, and a quarter of that variance, as the mean of four others gives it.
    np.testing.assert_allclose(np.diag(covariance)[1:], 4.0 * 1.25, rtol=1e-3)


def test_pictures_have_two_axes():
    model = ShapeModel([1.0, 2.0, 0.0, 3.0, 5.0, 0.0, 8.0, 1.0, 0.0], np.eye(1, 9), [4.0])
    prior = ShapePrior.of(model, 2, tolerance_mm=1.0)
    np.testing.assert_array_equal(prior.mean_mm, [[2.0, 1.0], [5.0, 3.0], [1.0, 8.0]])
    # The mode moves x of the first landmark, which is the last axis of the array.
    assert prior.covariance_mm2[0, 1, 0, 1] - prior.covariance_mm2[0, 0, 0, 0] == pytest.approx(4.0)
