"""A random displacement field bends images smoothly, never folds them, and carries points with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from LandmarkDetectionLib.training.displacement_field import DisplacementField

BOXES = {2: ((60, 70), (0.8, 1.3)), 3: ((26, 30, 34), (1.5, 1.2, 1.0))}
"""Shape [(k,) j, i] and spacing along i, j (, k)."""
seeds = st.integers(0, 2**32 - 1)


def size_mm(dimension):
    shape, spacing_mm = BOXES[dimension]
    return np.array(shape[::-1]) * spacing_mm


def random_field(dimension, seed, deviation_mm=3.0, grid_mm=25.0):
    return DisplacementField.random(size_mm(dimension), deviation_mm, grid_mm, np.random.default_rng(seed))


def points_around(dimension, seed, count=200):
    """Points in the box and up to a third of its size beyond."""
    return np.random.default_rng(seed).uniform(-1 / 3, 4 / 3, (count, dimension)) * size_mm(dimension)


@pytest.mark.parametrize("dimension", [2, 3])
@given(seed=seeds, deviation_mm=st.floats(0.0, 40.0), grid_mm=st.floats(4.0, 200.0))
@settings(max_examples=30)
def test_a_point_carried_along_came_from_where_it_was(dimension, seed, deviation_mm, grid_mm):
    field = random_field(dimension, seed, deviation_mm, grid_mm)
    points = points_around(dimension, seed)
    carried = field.carried(points)
    np.testing.assert_allclose(carried + field.displacements(carried), points, atol=0.01)


@pytest.mark.parametrize("dimension", [2, 3])
@given(seed=seeds, deviation_mm=st.floats(0.0, 40.0), grid_mm=st.floats(4.0, 200.0))
@settings(max_examples=30)
def test_no_two_places_come_from_the_same_one(dimension, seed, deviation_mm, grid_mm):
    field = random_field(dimension, seed, deviation_mm, grid_mm)
    places = points_around(dimension, seed)
    near = places + np.random.default_rng(seed).normal(0.0, 0.1, places.shape)
    changes = np.linalg.norm(field.displacements(near) - field.displacements(places), axis=1)
    assert np.all(changes <= 0.8 * np.linalg.norm(near - places, axis=1) + 1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
@given(seed=seeds)
@settings(max_examples=15)
def test_a_blob_moves_with_its_landmark(dimension, seed):
    shape, spacing_mm = BOXES[dimension]
    generator = np.random.default_rng(seed)
    landmark_mm = generator.uniform(0.35, 0.65, dimension) * size_mm(dimension)
    indices = np.moveaxis(np.indices(shape)[::-1], 0, -1) * spacing_mm
    blob = np.exp(-((indices - landmark_mm) ** 2).sum(-1) / (2 * 1.8**2))
    field = DisplacementField.random(size_mm(dimension), 2.0, 40.0, generator)
    bent = field.bent(blob, spacing_mm)
    assert bent.shape == shape
    found_mm = np.array(center_of_mass(bent)[::-1]) * spacing_mm
    carried_mm = field.carried(landmark_mm[None])[0]
    assert np.linalg.norm(found_mm - carried_mm) < 0.25


def test_displacement_by_hand():
    # One control of 6 mm along i, at 20 mm on a grid of 10 mm: the spline is 2/3 there and 1/6 at its neighbours.
    controls = np.zeros((2, 5, 7))
    controls[0, 2, 3] = 6.0
    field = DisplacementField(controls, 10.0, np.array([40.0, 20.0]))
    at = [(20.0, 10.0), (30.0, 10.0), (20.0, 0.0), (40.0, 10.0), (20.0, -50.0)]
    expected = [6 * 4 / 9, 6 * 1 / 9, 6 * 1 / 9, 0.0, 6 * 1 / 9]
    np.testing.assert_allclose(field.displacements(at), np.outer(expected, [1.0, 0.0]), atol=1e-12)


def test_an_equal_displacement_shifts_image_and_points_and_leaves_the_minimum_behind():
    picture = np.full((4, 5), 7.0)
    picture[1, 3] = 50.0
    field = DisplacementField(np.broadcast_to([[[2.0]], [[-1.0]]], (2, 4, 4)), 10.0, np.array([10.0, 4.0]))
    bent = field.bent(picture, (2.0, 1.0))
    # What lies at i was at i + 1 voxel, what lies at j was at j - 1.
    expected = np.full((4, 5), 7.0)
    expected[2, 2] = 50.0
    np.testing.assert_allclose(bent, expected, atol=1e-4)
    np.testing.assert_allclose(field.carried([(6.0, 1.0)]), [(4.0, 2.0)], atol=1e-3)


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_displacement_has_the_deviation_asked_for(dimension):
    places = points_around(dimension, 0)
    drawn = [random_field(dimension, seed, 0.5, 15.0).displacements(places) for seed in range(200)]
    assert np.std(drawn) == pytest.approx(0.5, rel=0.05)


def test_a_missing_point_stays_missing_and_moves_no_other():
    field = random_field(3, 1)
    points = points_around(3, 1, count=3)
    with_gap = np.insert(points, 1, np.nan, axis=0)
    carried = field.carried(with_gap)
    assert np.isnan(carried[1]).all()
    np.testing.assert_allclose(np.delete(carried, 1, axis=0), field.carried(points), atol=1e-3)
