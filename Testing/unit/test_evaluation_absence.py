"""Scores of landmarks that an image does not show, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.evaluation.absence import summarise_absence
from LandmarkDetectionLib.evaluation.confidence import confidence_table
from LandmarkDetectionLib.evaluation.metrics import error_table
from LandmarkDetectionLib.evaluation.predictions import Prediction
from LandmarkDetectionLib.landmarks import LandmarkSet

LABELS = ("a", "b", "c", "d")


def scores(truth: str, errors_mm: list[float | None], flagged: str, presence: dict[str, float] | None = None) -> dict:
    """Of one case. The letters name the landmarks that are there, and that are flagged; the others are absent."""
    true = LandmarkSet(dict.fromkeys(truth, (0.0, 0.0, 0.0)))
    positions = {label: None if x is None else (x, 0.0, 0.0) for label, x in zip(LABELS, errors_mm, strict=True)}
    prediction = Prediction(LandmarkSet(positions), tuple(flagged), presence=presence or {})
    table = error_table([true], [prediction.positions], LABELS, (), [prediction.flagged])
    is_absent = np.array([[label not in truth for label in LABELS]])
    return summarise_absence(table, confidence_table(table, [prediction], is_absent), 10.0)


def test_flags_are_right_wrong_or_lacking():
    """a is found; b is there and flagged; c is absent and flagged; d is absent, and a position is made up for it."""
    found = scores("ab", [2.0, 1.0, 5.0, 5.0], flagged="bc")
    assert (found["absent"], found["present"], found["flagged"], found["flagged_absent"]) == (2, 2, 2, 1)
    assert (found["recall"], found["precision"]) == (0.5, 0.5)
    assert (found["false_alarms"], found["false_alarm_rate"]) == (1, 0.5)


def test_mistakes_count_as_the_cap_and_so_do_larger_errors():
    """2 mm for a, the cap for b, whose flag is wrong, and for d, which is made up; c is rightly left out."""
    found = scores("ab", [2.0, 1.0, 5.0, 5.0], flagged="bc")
    assert (found["capped_mre_mm"], found["capped_points"]) == (pytest.approx((2.0 + 10.0 + 10.0) / 3), 3)
    assert scores("abcd", [2.0, 70.0, None, 4.0], flagged="")["capped_mre_mm"] == pytest.approx(26.0 / 4)


def test_a_landmark_marked_missing_without_a_position_is_flagged():
    found = scores("abc", [1.0, 1.0, 1.0, None], flagged="d")
    assert (found["recall"], found["false_alarms"], found["capped_mre_mm"]) == (1.0, 0, 1.0)


def test_silence_is_no_flag():
    """Nothing was said about the absent d: no recall can be given, and nothing was made up."""
    found = scores("abc", [1.0, 1.0, 1.0, None], flagged="")
    assert (found["absent"], found["recall"], found["capped_points"]) == (1, None, 3)


def test_without_absent_landmarks_there_is_nothing_to_recall():
    found = scores("abcd", [1.0, 1.0, 1.0, 1.0], flagged="")
    assert (found["recall"], found["precision"], found["false_alarm_rate"]) == (None, None, 0.0)
    assert found["presence_calibration_error"] is None


def test_presence_that_means_what_it_says_has_no_calibration_error():
    """Two landmarks at 0.5, one of them there; two at 1.0, both there."""
    honest = {"a": 1.0, "b": 1.0, "c": 0.5, "d": 0.5}
    assert scores("abc", [1.0] * 4, "", honest)["presence_calibration_error"] == pytest.approx(0.0)
    sure = dict.fromkeys(LABELS, 1.0)
    assert scores("abc", [1.0] * 4, "", sure)["presence_calibration_error"] == pytest.approx(0.25)


@given(
    errors=st.lists(st.floats(0.0, 50.0), min_size=4, max_size=4),
    flagged=st.sets(st.sampled_from(LABELS)),
    extra=st.sampled_from(LABELS),
)
def test_flagging_what_is_there_never_improves_the_capped_mean(errors, flagged, extra):
    fewer = scores("abcd", errors, "".join(flagged - {extra}))
    more = scores("abcd", errors, "".join(flagged | {extra}))
    assert more["capped_mre_mm"] >= fewer["capped_mre_mm"] - 1e-9
