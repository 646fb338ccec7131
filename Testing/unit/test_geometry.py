"""Affine maps, orientations, planes and lines, against values worked out by hand."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.geometry import (
    RAS_TO_LPS,
    apply_affine,
    axis_reordering,
    direction_of,
    fit_line,
    fit_plane,
    map_about,
    orientation_of,
    rotation_matrix,
    spacing_of,
)

ALL_ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "IS")) for letters in product(*axes)]

coordinates = st.floats(-200, 200)
points = st.tuples(coordinates, coordinates, coordinates).map(np.array)
unit_vectors = points.filter(lambda point: np.linalg.norm(point) > 1).map(lambda point: point / np.linalg.norm(point))
angles_deg = st.floats(-180, 180)


def affine(linear, translation=(0.0, 0.0, 0.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = translation
    return matrix


class TestApplyAffine:
    def test_scales_then_translates(self):
        matrix = affine(np.diag([2.0, 3.0, 4.0]), (10.0, 20.0, 30.0))
        assert apply_affine(matrix, (1, 1, 1)).tolist() == [12.0, 23.0, 34.0]

    def test_columns_are_the_images_of_the_axes(self):
        matrix = affine([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
        assert apply_affine(matrix, (1, 0, 0)).tolist() == [0.0, 1.0, 0.0]

    @pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3)])
    def test_keeps_the_shape_of_the_points(self, shape):
        assert apply_affine(np.eye(4), np.zeros(shape)).shape == shape

    def test_ras_to_lps_reverses_two_signs_and_undoes_itself(self):
        assert apply_affine(RAS_TO_LPS, (1, 2, 3)).tolist() == [-1.0, -2.0, 3.0]
        np.testing.assert_array_equal(RAS_TO_LPS @ RAS_TO_LPS, np.eye(4))

    @given(unit_vectors, angles_deg, points, points)
    def test_the_inverse_matrix_brings_a_point_back(self, axis, angle_deg, translation, point):
        matrix = affine(rotation_matrix(axis, angle_deg) * (0.5, 1.0, 3.0), translation)
        np.testing.assert_allclose(apply_affine(np.linalg.inv(matrix), apply_affine(matrix, point)), point, atol=1e-9)


class TestOrientation:
    def test_there_are_48(self):
        assert len(set(ALL_ORIENTATIONS)) == 48

    def test_columns_of_lps(self):
        np.testing.assert_array_equal(direction_of("LPS"), np.diag([-1, -1, 1]))

    def test_columns_of_psr(self):
        expected = np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]])
        np.testing.assert_array_equal(direction_of("PSR"), expected)

    @pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
    def test_is_read_back_from_its_directions(self, orientation):
        assert orientation_of(affine(direction_of(orientation) * (0.3, 1.0, 5.0), (7, 8, 9))) == orientation

    @pytest.mark.parametrize("wrong", ["", "RA", "RAR", "RAL", "ras", "XYZ", "RASR", "RAS "])
    def test_refuses_letters_that_do_not_name_each_axis_once(self, wrong):
        with pytest.raises(ValueError, match="must name each anatomical axis once"):
            direction_of(wrong)

    @given(st.sampled_from(ALL_ORIENTATIONS), unit_vectors, st.floats(-30, 30))
    def test_survives_a_tilt(self, orientation, axis, angle_deg):
        assert orientation_of(affine(rotation_matrix(axis, angle_deg) @ direction_of(orientation))) == orientation

    def test_names_each_axis_once_even_when_two_voxel_axes_lean_the_same_way(self):
        leaning = np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 1.0]])
        assert orientation_of(affine(leaning)) == "RAS"


class TestAxisReordering:
    def test_from_psr_to_ras_takes_r_from_k_flips_p_and_keeps_s(self):
        assert axis_reordering(affine(direction_of("PSR")), "RAS") == ((2, 0, 1), (False, True, False))

    @pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
    def test_nothing_to_do_when_already_there(self, orientation):
        assert axis_reordering(affine(direction_of(orientation)), orientation) == ((0, 1, 2), (False, False, False))

    @given(st.sampled_from(ALL_ORIENTATIONS), st.sampled_from(ALL_ORIENTATIONS))
    def test_reordered_columns_are_the_wanted_directions(self, old, new):
        source, flips = axis_reordering(affine(direction_of(old)), new)
        reordered = direction_of(old)[:, source] * np.where(flips, -1.0, 1.0)
        np.testing.assert_array_equal(reordered, direction_of(new))


class TestSpacing:
    def test_is_the_length_of_the_columns(self):
        assert spacing_of(affine([[3, 0, 0], [4, 0, 0], [0, 0.5, 2]])).tolist() == [5.0, 0.5, 2.0]

    @given(unit_vectors, angles_deg, points)
    def test_does_not_depend_on_rotation_or_origin(self, axis, angle_deg, origin):
        matrix = affine(rotation_matrix(axis, angle_deg) * (0.4, 0.5, 6.0), origin)
        np.testing.assert_allclose(spacing_of(matrix), (0.4, 0.5, 6.0))


class TestPlaneFit:
    def test_through_three_points(self):
        centroid, normal = fit_plane([(0, 0, 5), (3, 0, 5), (0, 3, 5)])
        np.testing.assert_allclose(centroid, (1, 1, 5))
        np.testing.assert_allclose(np.abs(normal), (0, 0, 1), atol=1e-12)

    def test_lies_between_points_on_both_sides(self):
        corners = [(x, y, z) for x, y, z in [(0, 0, 1), (0, 4, -1), (4, 0, -1), (4, 4, 1)]]
        centroid, normal = fit_plane(corners)
        np.testing.assert_allclose(centroid, (2, 2, 0))
        np.testing.assert_allclose(np.abs(normal), (0, 0, 1), atol=1e-12)

    @given(unit_vectors, points, st.integers(0, 2**32 - 1))
    def test_recovers_the_plane_its_points_were_drawn_from(self, normal, origin, seed):
        flat = np.random.default_rng(seed).normal(size=(8, 3)) * 20
        flat -= np.outer(flat @ normal, normal)
        centroid, fitted = fit_plane(origin + flat)
        assert abs(fitted @ normal) == pytest.approx(1.0, abs=1e-9)
        assert (centroid - origin) @ normal == pytest.approx(0.0, abs=1e-9)


class TestLineFit:
    def test_through_two_points(self):
        centroid, direction = fit_line([(1, 1, 0), (1, 1, 8)])
        np.testing.assert_allclose(centroid, (1, 1, 4))
        np.testing.assert_allclose(np.abs(direction), (0, 0, 1), atol=1e-12)

    @given(unit_vectors, points, st.integers(0, 2**32 - 1))
    def test_recovers_the_line_its_points_were_drawn_from(self, direction, origin, seed):
        along = np.random.default_rng(seed).normal(size=(6, 1)) * 20
        centroid, fitted = fit_line(origin + along * direction)
        assert abs(fitted @ direction) == pytest.approx(1.0, abs=1e-9)
        np.testing.assert_allclose(np.cross(centroid - origin, direction), 0.0, atol=1e-9)


class TestRotation:
    def test_turns_right_handed(self):
        np.testing.assert_allclose(rotation_matrix((0, 0, 2), 90.0) @ (1, 0, 0), (0, 1, 0), atol=1e-12)

    def test_by_thirty_degrees_about_x(self):
        expected = (0, np.sqrt(3) / 2, 0.5)
        np.testing.assert_allclose(rotation_matrix((1, 0, 0), 30.0) @ (0, 1, 0), expected, atol=1e-12)

    @given(unit_vectors, angles_deg)
    def test_is_orthonormal_keeps_handedness_and_its_axis(self, axis, angle_deg):
        rotation = rotation_matrix(axis, angle_deg)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        np.testing.assert_allclose(rotation @ axis, axis, atol=1e-12)

    @given(unit_vectors, angles_deg)
    def test_has_the_angle_asked_for(self, axis, angle_deg):
        cosine = (np.trace(rotation_matrix(axis, angle_deg)) - 1) / 2
        assert cosine == pytest.approx(np.cos(np.deg2rad(angle_deg)), abs=1e-12)

    def test_about_a_point_leaves_it_where_it_is(self):
        quarter = map_about((10.0, 20.0, 30.0), rotation_matrix((0, 0, 1), 90.0))
        moved = apply_affine(quarter, [(10.0, 20.0, 30.0), (11.0, 20.0, 35.0)])
        np.testing.assert_allclose(moved, [(10.0, 20.0, 30.0), (10.0, 21.0, 35.0)], atol=1e-12)
