"""Errors of planes and measurements, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from LandmarkDetectionLib.evaluation.derived import summarise_measurements, summarise_planes
from LandmarkDetectionLib.evaluation.predictions import Prediction
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.measurements import MeasurementDefinition
from LandmarkDetectionLib.planes import PlaneDefinition

AXIAL = PlaneDefinition(
    name="axial",
    description="",
    fit=(("front",), ("back",), ("left",)),
    normal_towards="S",
    axis=(("back",), ("front",)),
    x_towards="order",
    origin=(("back",),),
    size_mm=(100.0, 100.0),
)
LENGTH = MeasurementDefinition("length", "", "distance", ("front", "back"), "mm")
TRUTH = LandmarkSet({"front": (0, 100, 0), "back": (0, 0, 0), "left": (-50, 0, 0)})
RAISED = LandmarkSet({"front": (0, 110, 3), "back": (0, 0, 3), "left": (-50, 0, 3)})
TILTED = LandmarkSet({"front": (0, 80, 0), "back": (0, 0, 0), "left": (-50, 0, 50)})
FOUND_RAISED, FOUND_TILTED = map(Prediction.from_landmarks, (RAISED, TILTED))
INCOMPLETE = LandmarkSet({"front": (0, 100, 0), "back": None, "left": (-50, 0, 0)})


def test_plane_errors_are_averaged_over_the_cases():
    summary = summarise_planes([AXIAL], [TRUTH, TRUTH], [RAISED, TILTED])["axial"]
    assert (summary["cases"], summary["failed"]) == (2, 0)
    assert summary["offset_mm"] == {"mean": pytest.approx(1.5), "sd": pytest.approx(3 / math.sqrt(2))}
    assert summary["normal_angle_deg"] == {"mean": pytest.approx(22.5), "sd": pytest.approx(45 / math.sqrt(2))}


def test_a_plane_that_cannot_be_predicted_is_a_failure_and_one_without_truth_is_none():
    summary = summarise_planes([AXIAL], [TRUTH, TRUTH, INCOMPLETE], [INCOMPLETE, None, RAISED])["axial"]
    assert (summary["cases"], summary["failed"]) == (2, 2)
    assert summary["offset_mm"] == {"mean": None, "sd": None}


def test_measurement_errors_are_absolute_and_relative_to_the_truth():
    summary = summarise_measurements([LENGTH], [TRUTH, TRUTH], [FOUND_RAISED, FOUND_TILTED])["length"]
    assert summary == {
        "unit": "mm",
        "cases": 2,
        "failed": 0,
        "mean_true": pytest.approx(100.0),
        "mean_absolute_error": pytest.approx(15.0),
        "mean_absolute_percentage_error": pytest.approx(15.0),
        "mean_sd": None,
        "interval90": None,
    }


def test_a_measurement_that_cannot_be_predicted_is_a_failure_and_one_without_truth_is_none():
    found = [Prediction.from_landmarks(INCOMPLETE), FOUND_RAISED, FOUND_RAISED]
    summary = summarise_measurements([LENGTH], [TRUTH, INCOMPLETE, TRUTH], found)["length"]
    assert (summary["cases"], summary["failed"], summary["mean_absolute_error"]) == (2, 1, pytest.approx(10.0))


@pytest.mark.parametrize(("variance", "held"), [(18.0, 0.0), (20.0, 0.5), (80.0, 1.0)])
def test_the_interval_of_a_measurement_holds_the_truth_or_not(variance, held):
    """Lengths err by 10 and 20 mm; both ends vary, so that 1.645 sd is 9.87, 10.40 and 20.81 mm."""
    covariances = dict.fromkeys(TRUTH, np.eye(3) * variance)
    found = [Prediction(points, covariances_ras=covariances) for points in (RAISED, TILTED)]
    summary = summarise_measurements([LENGTH], [TRUTH, TRUTH], found)["length"]
    assert summary["mean_sd"] == pytest.approx(math.sqrt(2 * variance), rel=1e-3)
    assert (summary["interval90"]["cases"], summary["interval90"]["coverage"]) == (2, held)


def test_a_model_without_planes_or_measurements_has_none_to_report():
    assert summarise_planes([], [TRUTH], [RAISED]) == {}
    assert summarise_measurements([], [TRUTH], [FOUND_RAISED]) == {}
