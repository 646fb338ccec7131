"""Plane definitions, the planes landmarks put in space, and how far two planes lie apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.planes import PlaneDefinition, StandardPlane, plane_errors, standard_plane

BY_ORDER = PlaneDefinition(
    name="by order",
    description="",
    fit=(("a",), ("b",), ("c",)),
    normal_towards="order",
    axis=(("a",), ("b", "c")),
    x_towards="order",
    origin=(("b", "c"), ("a",)),
    size_mm=(100.0, 60.0),
)
BY_DIRECTION = PlaneDefinition(
    name="by direction",
    description="",
    fit=(("a",), ("b",), ("c",), ("d",)),
    normal_towards="S",
    axis=(("a",), ("b",), ("c",)),
    x_towards="P",
    origin=(("d",),),
    size_mm=(100.0, 60.0),
)
TRIANGLE = LandmarkSet({"a": (10.0, 20.0, 5.0), "b": (12.0, 0.0, 5.0), "c": (16.0, 0.0, 5.0)})
NEARLY_AXIAL = LandmarkSet(
    {"a": (1.0, 40.0, 3.0), "b": (-2.0, -1.0, -2.0), "c": (0.0, -45.0, 1.0), "d": (30.0, 2.0, 0.0)}
)

angles_deg = st.floats(-180.0, 180.0)
positions = arrays(np.float64, 3, elements=st.floats(-100.0, 100.0))
axes = positions.filter(lambda axis: np.linalg.norm(axis) > 1.0)


def plane_with(rotation=None, origin=(0.0, 0.0, 0.0)) -> StandardPlane:
    columns = (np.eye(3) if rotation is None else rotation).T
    return StandardPlane("plane", np.array(origin), *columns, (100.0, 60.0))


def rigid(axis, angle_deg, translation) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(axis, angle_deg)
    matrix[:3, 3] = translation
    return matrix


def test_order_gives_the_sense_of_normal_and_x_axis():
    plane = standard_plane(BY_ORDER, TRIANGLE)
    np.testing.assert_allclose(plane.normal, (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(plane.x_axis, np.array([4.0, -20.0, 0.0]) / np.sqrt(416), atol=1e-12)
    np.testing.assert_allclose(plane.y_axis, np.array([20.0, 4.0, 0.0]) / np.sqrt(416), atol=1e-12)
    np.testing.assert_allclose(plane.origin_ras, (12.0, 10.0, 5.0), atol=1e-12)
    assert plane.size_mm == (100.0, 60.0)
    assert plane.name == "by order"


def test_exchanged_landmarks_flip_a_normal_that_follows_their_order():
    exchanged = LandmarkSet({"a": TRIANGLE["a"], "b": TRIANGLE["c"], "c": TRIANGLE["b"]})
    plane, flipped = standard_plane(BY_ORDER, TRIANGLE), standard_plane(BY_ORDER, exchanged)
    np.testing.assert_allclose(flipped.normal, -plane.normal, atol=1e-12)
    np.testing.assert_allclose(flipped.x_axis, plane.x_axis, atol=1e-12)


def test_a_direction_gives_the_sense_whatever_the_order():
    reordered = dataclasses.replace(BY_DIRECTION, fit=BY_DIRECTION.fit[::-1], axis=BY_DIRECTION.axis[::-1])
    plane, same = standard_plane(BY_DIRECTION, NEARLY_AXIAL), standard_plane(reordered, NEARLY_AXIAL)
    assert plane.normal[2] > 0.9
    assert plane.x_axis[1] < -0.9
    np.testing.assert_allclose(same.plane_to_ras, plane.plane_to_ras, atol=1e-9)


@pytest.mark.parametrize(("letter", "component", "sign"), [("S", 2, 1), ("I", 2, -1)])
def test_opposite_directions_give_opposite_normals(letter, component, sign):
    plane = standard_plane(dataclasses.replace(BY_DIRECTION, normal_towards=letter), NEARLY_AXIAL)
    assert np.sign(plane.normal[component]) == sign


def test_the_origin_is_projected_on_the_plane():
    plane = standard_plane(BY_DIRECTION, NEARLY_AXIAL)
    centroid = NEARLY_AXIAL.to_array().mean(axis=0)
    assert abs((plane.origin_ras - centroid) @ plane.normal) < 1e-9
    shift = NEARLY_AXIAL["d"] - plane.origin_ras
    np.testing.assert_allclose(np.cross(shift, plane.normal), 0.0, atol=1e-9)


def test_the_plane_minimises_the_squared_distances():
    plane = standard_plane(BY_DIRECTION, NEARLY_AXIAL)
    offsets = NEARLY_AXIAL.to_array() - NEARLY_AXIAL.to_array().mean(axis=0)
    best = np.sum((offsets @ plane.normal) ** 2)
    for axis in (plane.x_axis, plane.y_axis):
        for angle_deg in (-0.5, 0.5):
            assert np.sum((offsets @ (rotation_matrix(axis, angle_deg) @ plane.normal)) ** 2) > best


def test_plane_to_ras_maps_the_plane_coordinates():
    plane = standard_plane(BY_ORDER, TRIANGLE)
    expected = plane.origin_ras + 2 * plane.x_axis + 3 * plane.y_axis - plane.normal
    np.testing.assert_allclose(apply_affine(plane.plane_to_ras, (2.0, 3.0, -1.0)), expected)


@given(axes, angles_deg, positions)
def test_a_plane_by_order_moves_with_its_landmarks(axis, angle_deg, translation):
    motion = rigid(axis, angle_deg, translation)
    moved = standard_plane(BY_ORDER, TRIANGLE.transformed(motion))
    expected = motion @ standard_plane(BY_ORDER, TRIANGLE).plane_to_ras
    np.testing.assert_allclose(moved.plane_to_ras, expected, atol=1e-8)


@given(axes, st.floats(-60.0, 60.0), positions)
def test_a_plane_by_direction_moves_with_its_landmarks_while_its_senses_hold(axis, angle_deg, translation):
    motion = rigid(axis, angle_deg, translation)
    moved = standard_plane(BY_DIRECTION, NEARLY_AXIAL.transformed(motion))
    expected = motion @ standard_plane(BY_DIRECTION, NEARLY_AXIAL).plane_to_ras
    np.testing.assert_allclose(moved.plane_to_ras, expected, atol=1e-8)


@given(arrays(np.float64, (4, 3), elements=st.integers(-2, 2).map(float)))
def test_landmarks_that_are_not_refused_give_a_right_handed_frame(points):
    try:
        plane = standard_plane(BY_DIRECTION, LandmarkSet.from_array("abcd", points))
    except LandmarkDetectionError:
        reject()
    frame = plane.plane_to_ras[:3, :3]
    np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-9)
    assert np.linalg.det(frame) > 0
    assert np.isfinite(plane.origin_ras).all()


def test_every_missing_landmark_is_named():
    landmarks = LandmarkSet({"a": TRIANGLE["a"], "b": None})
    with pytest.raises(LandmarkDetectionError, match=r'^Plane "by order" needs .* "b", "c"; place'):
        standard_plane(BY_ORDER, landmarks)


@pytest.mark.parametrize("sideways_mm", [0.0, 1e-9, 0.01])
def test_collinear_landmarks_are_refused(sideways_mm):
    landmarks = LandmarkSet({"a": (0, 0, 0), "b": (10, 10, 10), "c": (30, 30, 30 + sideways_mm)})
    with pytest.raises(LandmarkDetectionError, match=r'^Plane "by order".* lie on one line'):
        standard_plane(BY_ORDER, landmarks)


@given(positions)
def test_coincident_landmarks_are_refused(position):
    landmarks = LandmarkSet({"a": position, "b": position, "c": position})
    with pytest.raises(LandmarkDetectionError, match="lie on one line"):
        standard_plane(BY_ORDER, landmarks)


def test_the_tolerance_grows_with_the_spread():
    small = LandmarkSet.from_array("abc", [(0, 0, 0), (0.1, 0, 0), (0.2, 0.01, 0)])
    assert np.allclose(standard_plane(BY_ORDER, small).normal, (0, 0, 1))
    large = LandmarkSet.from_array("abc", [(0, 0, 0), (100, 0, 0), (200, 0.01, 0)])
    with pytest.raises(LandmarkDetectionError):
        standard_plane(BY_ORDER, large)


def test_an_x_axis_along_the_normal_is_refused():
    definition = dataclasses.replace(BY_ORDER, axis=(("a",), ("above a",)))
    landmarks = LandmarkSet({**TRIANGLE, "above a": TRIANGLE["a"] + (0, 0, 10)})
    with pytest.raises(LandmarkDetectionError, match=r'^Plane "by order".* x axis fall on one point'):
        standard_plane(definition, landmarks)


@pytest.mark.parametrize(
    "changes",
    [
        {"fit": (("a",), ("b",))},
        {"fit": (("a",), ("b",), ("c",), ("d",))},
        {"axis": (("a",),)},
        {"axis": (("a",), ("b",), ("c",))},
        {"origin": ()},
        {"origin": ((),)},
        {"size_mm": (100.0, 0.0)},
        {"size_mm": (float("nan"), 10.0)},
    ],
)
def test_an_impossible_definition_is_refused(changes):
    with pytest.raises(LandmarkDetectionError, match=r'^Plane definition "by order"'):
        dataclasses.replace(BY_ORDER, **changes)


def test_a_definition_lists_its_landmarks_once():
    assert BY_ORDER.labels == ("a", "b", "c")


def test_errors_of_equal_planes_are_zero():
    plane = plane_with(rotation_matrix((1, 2, 3), 40.0), (1.0, 2.0, 3.0))
    np.testing.assert_allclose(dataclasses.astuple(plane_errors(plane, plane)), 0.0, atol=1e-9)


def test_offset_counts_only_the_distance_from_the_plane():
    errors = plane_errors(plane_with(origin=(0.0, 3.0, -2.0)), plane_with())
    assert errors.offset_mm == pytest.approx(2.0)
    assert errors.origin_distance_mm == pytest.approx(np.sqrt(13.0))
    assert (errors.normal_angle_deg, errors.in_plane_angle_deg) == (0.0, 0.0)


def test_offset_is_measured_from_the_predicted_plane():
    predicted, truth = plane_with(rotation_matrix((0, 1, 0), 30.0)), plane_with(origin=(4.0, 0.0, 0.0))
    assert plane_errors(predicted, truth).offset_mm == pytest.approx(2.0)
    assert plane_errors(truth, predicted).offset_mm == pytest.approx(0.0)


@given(st.floats(0.0, 179.0), st.floats(0.0, 180.0), st.floats(-180.0, 180.0))
def test_tilt_and_turn_are_told_apart(tilt_deg, turn_deg, hinge_deg):
    hinge = (np.cos(np.radians(hinge_deg)), np.sin(np.radians(hinge_deg)), 0.0)
    rotation = rotation_matrix(hinge, tilt_deg) @ rotation_matrix((0, 0, 1), turn_deg)
    for errors in (plane_errors(plane_with(rotation), plane_with()), plane_errors(plane_with(), plane_with(rotation))):
        assert errors.normal_angle_deg == pytest.approx(tilt_deg, abs=1e-6)
        assert errors.in_plane_angle_deg == pytest.approx(turn_deg, abs=1e-4)


def test_a_flipped_normal_is_half_a_turn():
    flipped = plane_errors(plane_with(np.diag([1.0, -1.0, -1.0])), plane_with())
    assert (flipped.normal_angle_deg, flipped.in_plane_angle_deg) == pytest.approx((180.0, 0.0))
    flipped = plane_errors(plane_with(np.diag([-1.0, 1.0, -1.0])), plane_with())
    assert (flipped.normal_angle_deg, flipped.in_plane_angle_deg) == pytest.approx((180.0, 180.0))


@given(axes, angles_deg, positions, axes, angles_deg)
def test_errors_do_not_depend_on_where_the_pair_of_planes_lies(axis, angle_deg, translation, tilt_axis, tilt_deg):
    assume(abs(tilt_deg) < 175.0)
    truth = plane_with(rotation_matrix((1, 1, 0), 30.0), (5.0, 6.0, 7.0))
    predicted = plane_with(rotation_matrix(tilt_axis, tilt_deg), (4.0, 4.0, 9.0))
    motion = rigid(axis, angle_deg, translation)
    moved = [
        plane_with((motion @ plane.plane_to_ras)[:3, :3], (motion @ plane.plane_to_ras)[:3, 3])
        for plane in (predicted, truth)
    ]
    np.testing.assert_allclose(
        dataclasses.astuple(plane_errors(*moved)), dataclasses.astuple(plane_errors(predicted, truth)), atol=1e-4
    )
