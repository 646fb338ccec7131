"""What the terminal says of a case tells whether its uncertainty was ever measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from LandmarkDetectionLib.case_result import CaseResult
from LandmarkDetectionLib.detection_text import case_line, case_text
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection


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
