"""Estimates of the same landmarks are matched, and fused, as computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.several_estimates import geometric_median, spread, with_ends_matched


def test_ends_of_interchangeable_pairs_are_matched_with_the_first_estimate():
    a, b, c = [0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [5.0, 5.0, 0.0]
    near = 0.5
    first, same, swapped = [a, b, c], [[near, 0, 0], b, c], [[10.0, near, 0.0], a, c]
    early = [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
    paths = np.array([[early, early, early], [first, same, swapped]])
    matched = with_ends_matched(paths, [(0, 1)])
    np.testing.assert_array_equal(matched[1], [first, same, [a, [10.0, near, 0.0], c]])
    np.testing.assert_array_equal(matched[0, :2], paths[0, :2])
    np.testing.assert_array_equal(matched[0, 2], [early[1], early[0], early[2]])
    np.testing.assert_array_equal(with_ends_matched(paths, []), paths)


def test_spread_is_the_covariance_of_the_estimates_that_are_there():
    nowhere = [np.nan] * 3
    first = [[0.0, 0, 0], [2.0, 4, 0], [1.0, 2, 0]]
    second = [[0.0, 0, 3], nowhere, [0.0, 0, 5]]
    positions = np.array([first, second]).swapaxes(0, 1)
    found = spread(positions, np.array([[1.0, 2, 0], [0.0, 0, 4]]))
    np.testing.assert_allclose(found[0], [[1, 2, 0], [2, 4, 0], [0, 0, 0]])
    np.testing.assert_allclose(found[1], np.diag([0, 0, 2]))


def test_a_single_estimate_has_no_spread():
    assert not spread(np.ones((1, 2, 3)), np.ones((2, 3))).any()


def test_the_median_of_points_on_a_line_is_the_middle_one():
    np.testing.assert_allclose(geometric_median(np.array([[0.0, 0, 0], [1, 0, 0], [100, 0, 0]])), [1, 0, 0], atol=1e-2)


def test_the_median_of_an_equilateral_triangle_is_its_centre():
    triangle = np.array([[1.0, 0, 0], [-0.5, np.sqrt(0.75), 0], [-0.5, -np.sqrt(0.75), 0]])
    np.testing.assert_allclose(geometric_median(triangle + np.array([7, 8, 9])), [7, 8, 9], atol=1e-3)


@given(st.floats(10.0, 1e6), st.integers(0, 2))
def test_two_of_five_outliers_do_not_move_the_median_far(distance, axis):
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])
    points[3:, axis] = distance
    assert np.linalg.norm(geometric_median(points)) < 3.0
    assert np.linalg.norm(points.mean(0)) > 3.0


@pytest.mark.parametrize("dimension", [2, 3])
def test_no_point_near_the_median_has_a_smaller_summed_distance(dimension):
    random = np.random.default_rng(0)
    points = random.normal(size=(7, dimension))
    median = geometric_median(points)

    def summed(point):
        return np.linalg.norm(points - point, axis=1).sum()

    for _ in range(50):
        assert summed(median) <= summed(median + 0.05 * random.normal(size=dimension)) + 1e-6
