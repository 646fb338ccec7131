"""Errors and their summaries, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.evaluation.metrics import error_table, macro_averages, summarise, summarise_landmarks
from LandmarkDetectionLib.landmarks import LandmarkSet

HERE = (0.0, 0.0, 0.0)


def on_x(**millimetres: float | None) -> LandmarkSet:
    """Landmarks along the x axis."""
    return LandmarkSet({label: None if x is None else (x, 0.0, 0.0) for label, x in millimetres.items()})


def test_errors_are_distances_matched_by_label():
    truth = LandmarkSet({"a": HERE, "b": (10.0, 0.0, 0.0)})
    prediction = LandmarkSet({"b": (10.0, 3.0, 4.0), "a": (1.0, 2.0, 2.0), "unknown": HERE})
    table = error_table([truth], [prediction], ["a", "b"])
    assert table.errors_mm.tolist() == [[3.0, 5.0]]


def test_points_without_truth_do_not_count():
    table = error_table([on_x(a=0.0, b=None)], [on_x(a=1.0, b=7.0)], ["a", "b"])
    summary = summarise(table)
    assert math.isnan(table.errors_mm[0, 1])
    assert (summary["points"], summary["failed"], summary["mre_mm"]) == (1, 0, 1.0)


def test_summary_of_five_errors():
    truths = [on_x(a=0.0)] * 5
    predictions = [on_x(a=error) for error in (1.0, 2.0, 3.0, 4.0, 10.0)]
    summary = summarise(error_table(truths, predictions, ["a"]), seconds_per_case=0.5)
    assert summary["mre_mm"] == pytest.approx(4.0)
    assert summary["sd_mm"] == pytest.approx(math.sqrt((9 + 4 + 1 + 0 + 36) / 4))
    assert summary["median_mm"] == pytest.approx(3.0)
    assert summary["iqr_mm"] == pytest.approx(4.0 - 2.0)
    assert summary["p95_mm"] == pytest.approx(4.0 + 0.8 * 6.0)
    assert summary["max_mm"] == pytest.approx(10.0)
    assert summary["sdr"] == {"2.0": 0.4, "2.5": 0.4, "3.0": 0.6, "4.0": 0.8}
    assert summary["missing"] == 0
    assert summary["seconds_per_case"] == 0.5


def test_thresholds_are_the_datasets_own():
    table = error_table([on_x(a=0.0)], [on_x(a=0.25)], ["a"])
    assert summarise(table, (0.2, 0.25))["sdr"] == {"0.2": 0.0, "0.25": 1.0}


def test_an_outlier_errs_by_more_than_ten_millimetres():
    table = error_table([on_x(a=0.0, b=0.0)] * 2, [on_x(a=10.0, b=10.5), on_x(a=1.0)], ["a", "b"])
    assert summarise(table)["outliers"] == {"threshold_mm": 10.0, "count": 2, "share": 0.5}


def test_tiny_anatomy_has_smaller_outliers_and_a_finer_curve():
    summary = summarise(error_table([on_x(a=0.0)] * 2, [on_x(a=0.4), on_x(a=2.6)], ["a"]), (0.2, 0.3, 0.5, 1.0))
    assert summary["outliers"] == {"threshold_mm": 2.5, "count": 1, "share": 0.5}
    assert list(summary["sdr_curve"]) == [
        *("0.125", "0.25", "0.375", "0.5", "0.625"),
        *("0.75", "0.875", "1.0", "1.125", "1.25"),
    ]
    assert summary["sdr_curve"]["0.375"] == 0.0
    assert summary["sdr_curve"]["0.5"] == 0.5


def test_the_curve_of_success_goes_from_half_a_millimetre_to_five():
    curve = summarise(error_table([on_x(a=0.0)], [on_x(a=0.7)], ["a"]))["sdr_curve"]
    assert list(curve) == ["0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5", "5.0"]
    assert (curve["0.5"], curve["1.0"]) == (0.0, 1.0)


def test_macro_averages_count_every_case_or_landmark_once():
    table = error_table([on_x(a=0.0, b=0.0), on_x(a=0.0)], [on_x(a=1.0, b=3.0), on_x(a=6.0)], ["a", "b"])
    averages = macro_averages(table)
    assert summarise(table)["mre_mm"] == pytest.approx(10.0 / 3)
    assert averages["cases"] == {"count": 2, "mre_mm": 4.0, "sd_mm": pytest.approx(math.sqrt(8.0))}
    assert averages["landmarks"] == {"count": 2, "mre_mm": 3.25, "sd_mm": pytest.approx(math.sqrt(0.125))}


def test_a_case_without_errors_is_no_part_of_a_macro_average():
    table = error_table([on_x(a=0.0)] * 2, [on_x(a=2.0), None], ["a"])
    assert macro_averages(table)["cases"] == {"count": 1, "mre_mm": 2.0, "sd_mm": None}


def test_flagging_a_point_as_missing_does_not_spare_its_error():
    table = error_table([on_x(a=0.0, b=0.0)], [on_x(a=1.0, b=9.0)], ["a", "b"], flagged=[("b",)])
    summary = summarise(table)
    assert (summary["missing"], summary["mre_mm"], summary["sdr"]["4.0"]) == (1, 5.0, 0.5)


def test_flagging_a_point_that_is_absent_is_not_a_miss():
    table = error_table([on_x(a=0.0, b=None)], [on_x(a=1.0, b=9.0)], ["a", "b"], flagged=[("b",)])
    assert summarise(table)["missing"] == 0


def test_a_case_without_a_prediction_fails_at_every_threshold():
    table = error_table([on_x(a=0.0, b=0.0)] * 2, [on_x(a=1.0, b=1.0), None], ["a", "b"])
    summary = summarise(table)
    assert (summary["points"], summary["failed"], summary["mre_mm"]) == (4, 2, 1.0)
    assert set(summary["sdr"].values()) == {0.5}


def test_no_prediction_at_all_gives_no_mean_and_no_success():
    summary = summarise(error_table([on_x(a=0.0)], [None], ["a"]))
    assert summary["mre_mm"] is None
    assert summary["median_mm"] is None
    assert summary["sdr"]["4.0"] == 0.0


def test_one_point_has_no_standard_deviation():
    assert summarise(error_table([on_x(a=0.0)], [on_x(a=1.0)], ["a"]))["sd_mm"] is None


def test_no_truth_at_all_gives_no_share():
    assert summarise(error_table([on_x(a=None)], [on_x(a=1.0)], ["a"]))["sdr"]["2.0"] is None


def test_each_landmark_has_its_own_summary():
    summaries = summarise_landmarks(error_table([on_x(a=0.0, b=0.0)] * 2, [on_x(a=1.0, b=2.0)] * 2, ["a", "b"]))
    assert {label: one["mre_mm"] for label, one in summaries.items()} == {"a": 1.0, "b": 2.0}


def test_interchangeable_ends_take_the_better_assignment_case_by_case():
    truth = on_x(left=0.0, right=10.0, middle=5.0)
    swapped, straight = on_x(left=9.0, right=2.0, middle=5.0), on_x(left=1.0, right=10.0, middle=5.0)
    labels = ["left", "right", "middle"]
    table = error_table([truth, truth], [swapped, straight], labels, [("left", "right")])
    assert table.errors_mm.tolist() == [[2.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert error_table([truth], [swapped], labels).errors_mm.tolist() == [[9.0, 8.0, 0.0]]


def test_the_missing_flag_follows_an_interchanged_end():
    truth = on_x(left=0.0, right=10.0)
    table = error_table([truth], [on_x(left=10.0, right=0.0)], ["left", "right"], [("left", "right")], [("left",)])
    assert table.is_flagged.tolist() == [[False, True]]


def test_one_end_may_be_compared_with_the_other_when_only_one_is_there():
    pairs = [("left", "right")]
    lone_truth = error_table([on_x(left=0.0, right=None)], [on_x(left=8.0, right=1.0)], ["left", "right"], pairs)
    lone_prediction = error_table([on_x(left=0.0, right=10.0)], [on_x(left=9.0)], ["left", "right"], pairs)
    assert lone_truth.errors_mm[0, 0] == 1.0
    assert lone_prediction.errors_mm[0, 1] == 1.0
    assert math.isnan(lone_prediction.errors_mm[0, 0])


positions = st.tuples(*[st.floats(-100, 100)] * 3)


@given(truth=st.tuples(positions, positions), prediction=st.tuples(positions, positions))
def test_exchanging_the_ends_of_a_pair_never_changes_their_summed_error(truth, prediction):
    pairs, labels = [("a", "b")], ["a", "b"]
    true = LandmarkSet(dict(zip(labels, truth, strict=True)))
    straight = LandmarkSet(dict(zip(labels, prediction, strict=True)))
    exchanged = LandmarkSet(dict(zip(labels, prediction[::-1], strict=True)))
    sums = [error_table([true], [one], labels, pairs).errors_mm.sum() for one in (straight, exchanged)]
    plain = error_table([true], [straight], labels).errors_mm.sum()
    assert sums[0] == pytest.approx(sums[1])
    assert sums[0] <= plain + 1e-9


@given(errors=st.lists(st.floats(0, 50), min_size=1, max_size=20), abstained=st.sets(st.integers(0, 19)))
def test_abstaining_never_improves_a_success_rate(errors, abstained):
    truths = [on_x(a=0.0)] * len(errors)
    answered = [on_x(a=error) for error in errors]
    partly = [None if index in abstained else one for index, one in enumerate(answered)]
    full, part = (summarise(error_table(truths, one, ["a"]))["sdr"] for one in (answered, partly))
    assert all(part[limit] <= full[limit] for limit in full)
