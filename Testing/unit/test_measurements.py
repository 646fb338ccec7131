"""Distances, angles and circumferences, and how the landmarks' uncertainty carries over to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ellipe

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, LandmarkSet
from LandmarkDetectionLib.measurements import (
    Measurement,
    MeasurementDefinition,
    ellipse_circumference,
    measure,
    measure_landmarks,
)

DISTANCE = MeasurementDefinition("D", "", "distance", ("a", "b"), "mm")
ANGLE_AT_VERTEX = MeasurementDefinition("V", "", "angle", ("a", "b", "c"), "deg")
ANGLE_OF_LINES = MeasurementDefinition("L", "", "angle", ("a", "b", "c", "d"), "deg")
ANGLE_DIFFERENCE = MeasurementDefinition("ANB", "", "angle_difference", ("a", "b", "c", "d"), "deg")
CIRCUMFERENCE = MeasurementDefinition("HC", "", "ellipse_circumference", ("a", "b", "c", "d"), "mm")

POINTS = LandmarkSet({"a": (-50.0, 3.0, 8.0), "b": (48.0, -2.0, 11.0), "c": (2.0, 41.0, 9.0), "d": (-3.0, -38.0, 10.0)})


def correlated_covariance(seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(3, 3))
    return factor @ factor.T


COVARIANCES = {label: correlated_covariance(seed) for seed, label in enumerate("abcd")}


def value_of(definition: MeasurementDefinition, *positions) -> float:
    return measure_landmarks(definition, LandmarkSet(dict(zip("abcd", positions, strict=False))), {}).value


def test_distance():
    assert value_of(DISTANCE, (1, 2, 3), (4, 6, 15)) == 13.0


@pytest.mark.parametrize(
    ("third", "expected_deg"), [((0, 5, 0), 90.0), ((7, 7, 0), 45.0), ((-2, 0, 0), 180.0), ((3, 0, 0), 0.0)]
)
def test_angle_at_the_second_of_three_landmarks(third, expected_deg):
    shift = np.array([10.0, -4.0, 2.0])
    assert value_of(ANGLE_AT_VERTEX, np.add(shift, (1, 0, 0)), shift, shift + third) == pytest.approx(expected_deg)


def test_angle_between_two_directed_lines():
    direction = np.array([np.cos(np.radians(60)), np.sin(np.radians(60)), 0.0])
    elsewhere = np.array([100.0, 50.0, 30.0])
    assert value_of(ANGLE_OF_LINES, (0, 0, 0), (2, 0, 0), elsewhere, elsewhere + direction) == pytest.approx(60.0)
    assert value_of(ANGLE_OF_LINES, (2, 0, 0), (0, 0, 0), elsewhere, elsewhere + direction) == pytest.approx(120.0)


def test_difference_of_two_angles_has_a_sign():
    at_80_deg, at_78_deg = (
        (5 + np.cos(np.radians(angle)), 2 + np.sin(np.radians(angle)), 0.0) for angle in (80.0, 78.0)
    )
    arm, vertex = (9.0, 2.0, 0.0), (5.0, 2.0, 0.0)
    assert value_of(ANGLE_DIFFERENCE, arm, vertex, at_80_deg, at_78_deg) == pytest.approx(2.0)
    assert value_of(ANGLE_DIFFERENCE, arm, vertex, at_78_deg, at_80_deg) == pytest.approx(-2.0)


@given(st.floats(0.1, 200.0))
def test_circumference_of_a_circle(radius):
    assert ellipse_circumference(2 * radius, 2 * radius) == pytest.approx(2 * np.pi * radius, rel=1e-14)


@pytest.mark.parametrize("ratio", [0.5, 0.7, 0.78, 0.9])
def test_circumference_of_an_ellipse_agrees_with_the_elliptic_integral(ratio):
    exact = 4 * 55.0 * ellipe(1 - ratio**2)
    assert ellipse_circumference(110.0, 110.0 * ratio) == pytest.approx(exact, rel=1e-9)
    assert ellipse_circumference(110.0 * ratio, 110.0) == pytest.approx(exact, rel=1e-9)


def test_circumference_follows_the_ends_of_both_axes():
    ends = ((-50, 0, 4), (50, 0, 4), (0, 40, 4), (0, -40, 4))
    assert value_of(CIRCUMFERENCE, *ends) == pytest.approx(4 * 50 * ellipe(1 - 0.8**2), rel=1e-9)


def test_only_the_spread_along_a_distance_widens_it():
    covariances = {"a": np.diag([4.0, 100.0, 100.0]), "b": np.diag([5.0, 100.0, 100.0])}
    measurement = measure_landmarks(DISTANCE, LandmarkSet({"a": (0, 0, 0), "b": (50, 0, 0)}), covariances)
    assert measurement == Measurement("D", 50.0, pytest.approx(3.0), "mm")


def test_spread_across_an_arm_turns_its_angle():
    """One arm of 100 mm whose end moves sideways by 1 mm (one standard deviation): 0.01 radians."""
    landmarks = LandmarkSet({"a": (100, 0, 0), "b": (0, 0, 0), "c": (0, 30, 0)})
    covariances = {"a": np.diag([9.0, 1.0, 9.0]), "b": np.zeros((3, 3)), "c": np.zeros((3, 3))}
    assert measure_landmarks(ANGLE_AT_VERTEX, landmarks, covariances).sd == pytest.approx(np.degrees(0.01), rel=1e-6)


@pytest.mark.parametrize(
    "definition",
    [DISTANCE, ANGLE_AT_VERTEX, ANGLE_OF_LINES, ANGLE_DIFFERENCE, CIRCUMFERENCE],
    ids=lambda definition: definition.name,
)
def test_propagated_uncertainty_agrees_with_simulation(definition):
    random = np.random.default_rng(7)
    samples = {label: random.multivariate_normal(POINTS[label], COVARIANCES[label], 4000) for label in "abcd"}
    values = [value_of(definition, *(samples[label][index] for label in "abcd")) for index in range(4000)]
    measurement = measure_landmarks(definition, POINTS, COVARIANCES)
    assert measurement.sd == pytest.approx(np.std(values, ddof=1), rel=0.05)
    assert measurement.value == pytest.approx(np.mean(values), abs=0.2 * measurement.sd)


def test_uncertainty_is_unknown_unless_that_of_every_landmark_is_known():
    assert measure_landmarks(DISTANCE, POINTS, {"a": np.eye(3)}).sd is None
    assert measure_landmarks(DISTANCE, POINTS, {"a": np.eye(3), "b": np.zeros((3, 3))}).sd == pytest.approx(1.0)
    assert measure_landmarks(DISTANCE, POINTS, dict.fromkeys("ab", np.zeros((3, 3)))).sd == 0.0


def detection_of(*landmarks: DetectedLandmark) -> Detection:
    return Detection(landmarks, "model", "1.0.0", "0" * 64, "cpu", 0.1)


def test_a_detection_is_measured_with_its_covariances():
    detection = detection_of(*(DetectedLandmark(label, POINTS[label], COVARIANCES[label]) for label in "abcd"))
    assert measure(CIRCUMFERENCE, detection) == measure_landmarks(CIRCUMFERENCE, POINTS, COVARIANCES)


def test_a_landmark_flagged_missing_is_named():
    detection = detection_of(
        DetectedLandmark("a", np.zeros(3), np.eye(3)),
        DetectedLandmark("b", np.ones(3), np.eye(3), presence=0.1, missing=True),
    )
    with pytest.raises(LandmarkDetectionError, match=r'^Measurement "V" needs .* "b", "c"; place'):
        measure(ANGLE_AT_VERTEX, detection)


@pytest.mark.parametrize("definition", [DISTANCE, ANGLE_AT_VERTEX, ANGLE_OF_LINES, ANGLE_DIFFERENCE, CIRCUMFERENCE])
def test_coincident_landmarks_are_refused(definition):
    same = np.array([5.0, 6.0, 7.0])
    with pytest.raises(LandmarkDetectionError, match="two of its landmarks coincide"):
        value_of(definition, same, same, same + 1, same + 2)


@pytest.mark.parametrize(
    ("kind", "labels", "unit"),
    [
        ("distance", ("a", "b", "c"), "mm"),
        ("distance", ("a", "b"), "deg"),
        ("angle", ("a", "b"), "deg"),
        ("angle", ("a", "b", "c"), "mm"),
        ("angle_difference", ("a", "b", "c"), "deg"),
        ("angle_difference", ("a", "b", "c", "d"), "mm"),
        ("ellipse_circumference", ("a", "b", "c"), "mm"),
    ],
)
def test_an_impossible_definition_is_refused(kind, labels, unit):
    with pytest.raises(LandmarkDetectionError, match=rf'^Measurement "M": a measurement of kind "{kind}"'):
        MeasurementDefinition("M", "", kind, labels, unit)
