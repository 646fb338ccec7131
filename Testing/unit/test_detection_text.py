"""What the terminal says of a case tells whether its uncertainty was ever measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from LandmarkDetectionLib.case_result import CaseResult
from LandmarkDetectionLib.detection_text import case_line, case_text, measured, review_first
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, Doubt
from LandmarkDetectionLib.measurements import Measurement, MeasurementDefinition, measure


def result_of(*radii_mm: float | None, notes: tuple[str, ...] = ()) -> CaseResult:
    """A case with landmarks of these calibrated radii."""
    marks = tuple(
        DetectedLandmark(f"mark {index}", np.zeros(3), np.eye(3), radius90_mm=radius_mm)
        for index, radius_mm in enumerate(radii_mm)
    )
    detection = Detection(marks, "model", "1.0.0", "0" * 64, "cpu", 0.5, 0, notes=notes)
    return CaseResult("scan", Path("scan.nii.gz"), None, detection)


def test_a_guessed_spread_is_called_a_guess():
    assert "it is not calibrated" in case_text(result_of(None, None))


@pytest.mark.parametrize("radii_mm", [(2.0, 3.0), (2.0, None)])
def test_a_calibrated_one_is_not(radii_mm):
    assert "not calibrated" not in case_text(result_of(*radii_mm))


@pytest.mark.parametrize(("notes", "ending"), [((), "cpu"), (("a",), "cpu, 1 note"), (("a", "b"), "cpu, 2 notes")])
def test_a_line_counts_the_notes(notes, ending):
    assert case_line(result_of(2.0, notes=notes)).endswith(ending)


def test_a_kept_case_says_so_and_not_how_long_it_took_then():
    kept = replace(result_of(2.0), is_kept=True)
    assert "kept from an earlier run" in case_line(kept)
    assert case_text(kept).startswith("scan: model 1.0.0, kept from an earlier run\n")
    assert "0.50 s" not in case_line(kept) + case_text(kept)


def test_a_single_landmark_is_a_landmark():
    assert "1 of 1 landmark," in case_line(result_of(2.0))
    assert "2 of 2 landmarks," in case_line(result_of(2.0, 2.0))


def test_nothing_is_minus_zero():
    result = result_of(2.0)
    (mark,) = result.detection.landmarks
    mark = replace(mark, position_ras=np.array([-0.01, 0.0, -0.2]))
    text = case_text(replace(result, detection=replace(result.detection, landmarks=(mark,))))
    assert re.search(r"mark 0 +0\.0 +0\.0 +-0\.2 ", text)
    assert measured(Measurement("angle", -0.04, None, "deg")) == "0.0°"


def test_a_narrow_terminal_gets_the_table_in_parts():
    lines = case_text(result_of(2.0, 3.0, notes=("Look at it with care. " * 5,)), width=50).splitlines()
    assert max(map(len, lines)) <= 50
    assert [line.split()[0] for line in lines if line.startswith(("landmark", "mark"))] == [
        "landmark",
        "mark",
        "mark",
    ] * 2


def test_what_is_measured_between_doubtful_landmarks_says_which_to_review():
    definition = MeasurementDefinition("length", "", "distance", ("mark 0", "mark 1"), "mm")
    result = result_of(2.0, 3.0)
    marks = tuple(
        replace(mark, position_ras=np.array([10.0 * index, 0.0, 0.0]), doubts=(Doubt.UNSURE,) * index)
        for index, mark in enumerate(result.detection.landmarks)
    )
    measurement = measure(definition, replace(result.detection, landmarks=marks))
    assert measurement.to_review == ("mark 1",)
    assert review_first(measurement) == "review mark 1 first"
    assert review_first(replace(measurement, to_review=())) == ""
