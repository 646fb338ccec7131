"""Right levels: vertebrae in a row, worked out by hand."""

from __future__ import annotations

import pytest

from LandmarkDetectionLib.evaluation.identification import nearest_truth, summarise_identification
from LandmarkDetectionLib.evaluation.metrics import error_table
from LandmarkDetectionLib.landmarks import LandmarkSet

LEVELS = ["L1", "L2", "L3"]


def column(**heights: float | None) -> LandmarkSet:
    """Landmarks one above the other."""
    return LandmarkSet({label: None if z is None else (0.0, 0.0, z) for label, z in heights.items()})


TRUTH = column(L1=60.0, L2=30.0, L3=0.0)


def test_one_level_off_is_not_the_right_level():
    one_down = column(L1=31.0, L2=2.0, L3=-28.0)
    table = error_table([TRUTH], [one_down], LEVELS)
    assert nearest_truth(table).tolist() == [[1, 2, 2]]
    found = summarise_identification(table)
    assert found["right_level_rate"] == pytest.approx(1 / 3)
    assert found["per_landmark"] == {"L1": 0.0, "L2": 0.0, "L3": 1.0}
    assert (found["cases"], found["cases_all_right"]) == (1, 0)


def test_the_rate_of_verse_wants_less_than_twenty_millimetres_too():
    table = error_table([column(L1=60.0, L3=0.0)], [column(L1=80.0, L3=-19.9)], LEVELS)
    found = summarise_identification(table)
    assert (found["right_level_rate"], found["id_rate"]) == (1.0, 0.5)


def test_a_landmark_without_a_prediction_is_at_no_level():
    found = summarise_identification(error_table([TRUTH, TRUTH], [column(L1=60.0, L2=30.0), None], LEVELS))
    assert found["right_level_rate"] == pytest.approx(2 / 6)
    assert found["cases_all_right"] == 0


def test_landmarks_that_are_not_there_are_no_levels_to_be_at():
    found = summarise_identification(error_table([column(L1=60.0, L2=None)], [column(L1=40.0, L2=0.0)], LEVELS))
    assert (found["right_level_rate"], found["cases_all_right"]) == (1.0, 1)
    assert found["per_landmark"]["L2"] is None


def test_of_truths_equally_near_its_own_counts():
    table = error_table([TRUTH], [column(L1=45.0, L2=45.0, L3=15.0)], LEVELS)
    assert nearest_truth(table).tolist() == [[0, 1, 2]]


def test_no_truth_gives_no_rate():
    assert summarise_identification(error_table([column()], [TRUTH], LEVELS))["right_level_rate"] is None
