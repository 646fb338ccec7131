"""Voxels of pooled images lie where the voxels they are the means of lie."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from LandmarkDetectionLib.detectors.grid import Grid

NUMBERS = st.floats(-100.0, 100.0)


def grid(dimension=3):
    return Grid(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 0.0 if dimension == 2 else 30.0]), dimension)


def test_voxels_are_counted_from_the_origin_of_the_frame():
    np.testing.assert_allclose(grid().frame_from_voxels([30.0, 20.0, 10.0]), [0.0, 0.0, 0.0])
    np.testing.assert_allclose(grid().frame_from_voxels([31.0, 22.0, 13.0]), [3.0, 4.0, 3.0])
    np.testing.assert_allclose(grid(2).frame_from_voxels([22.0, 13.0]), [3.0, 4.0, 0.0])


def test_pooled_voxel_lies_in_the_middle_of_those_it_is_the_mean_of():
    members = np.array(list(itertools.product((4.0, 5.0), (6.0, 7.0), (8.0, 9.0))))
    middle = grid().frame_from_voxels(members).mean(axis=0)
    np.testing.assert_allclose(grid().pooled(2).frame_from_voxels([2.0, 3.0, 4.0]), middle)


def test_picture_is_pooled_in_its_plane_alone():
    pooled = grid(2).pooled(4)
    np.testing.assert_allclose(pooled.spacing_mm, [4.0, 8.0, 3.0])
    np.testing.assert_allclose(pooled.frame_from_voxels([0.0, 0.0]), grid(2).frame_from_voxels([1.5, 1.5]))


@pytest.mark.parametrize("dimension", [2, 3])
@given(data=st.data(), factor=st.integers(1, 8))
def test_frame_and_voxels_are_each_others_inverse(dimension, data, factor):
    voxels = data.draw(arrays(np.float64, (4, dimension), elements=NUMBERS))
    pooled = grid(dimension).pooled(factor)
    back = pooled.voxels_from_frame(pooled.frame_from_voxels(voxels))
    np.testing.assert_allclose(back, voxels, atol=1e-9)


def test_covariances_change_order_and_unit():
    covariance = np.diag([9.0, 4.0, 1.0])
    np.testing.assert_allclose(grid().frame_covariances(covariance), np.diag([1.0, 16.0, 81.0]))
    np.testing.assert_allclose(grid(2).frame_covariances(np.diag([4.0, 1.0])), np.diag([1.0, 16.0, 0.0]))
