"""Paired tests and bootstrap intervals, against values worked out by hand and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from LandmarkDetectionLib.evaluation.metrics import ErrorTable, error_table
from LandmarkDetectionLib.evaluation.statistics import case_bootstrap_interval, holm, paired_tests, wilcoxon
from LandmarkDetectionLib.landmarks import LandmarkSet


def table_of(errors_mm: list[list[float]]) -> ErrorTable:
    """A table with these errors; NaN: no prediction."""
    labels = [f"point {column}" for column in range(len(errors_mm[0]))]
    truth = LandmarkSet(dict.fromkeys(labels, (0.0, 0.0, 0.0)))
    predictions = [
        LandmarkSet({label: (x, 0.0, 0.0) for label, x in zip(labels, row, strict=True) if not np.isnan(x)})
        for row in errors_mm
    ]
    return error_table([truth] * len(predictions), predictions, labels)


class TestWilcoxon:
    def test_five_pairs_by_hand(self):
        """The ranks of the negative differences sum to 4; 7 of the 32 sign patterns sum to 4 or less: p = 14/32."""
        assert wilcoxon(np.array([1.0, 2.0, 3.0, -4.0, 5.0])) == (4.0, pytest.approx(14 / 32))

    def test_equal_methods_do_not_differ(self):
        assert wilcoxon(np.zeros(8)) == (0.0, 1.0)

    def test_no_pair_gives_no_p(self):
        assert wilcoxon(np.array([])) == (None, None)

    def test_many_pairs_as_in_scipy(self):
        differences = np.random.default_rng(0).normal(0.3, 1.0, 200)
        assert wilcoxon(differences)[1] == pytest.approx(stats.wilcoxon(differences).pvalue)


class TestHolm:
    def test_four_tests_by_hand(self):
        """Smallest first: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04 is not allowed below the one before it."""
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_a_test_that_was_not_possible_does_not_count(self):
        assert holm([0.01, None, 0.03]) == [pytest.approx(0.02), None, pytest.approx(0.03)]

    @given(st.lists(st.floats(0, 1), max_size=8))
    def test_correction_never_lowers_a_p_nor_leaves_the_range_nor_changes_the_order(self, p_values):
        adjusted = holm(p_values)
        assert all(p <= q <= 1.0 for p, q in zip(p_values, adjusted, strict=True))
        by_p = [adjusted[index] for index in np.argsort(p_values, kind="stable")]
        assert by_p == sorted(by_p)


class TestPairedTests:
    def test_the_paired_unit_is_the_mean_of_a_case_over_the_points_both_have(self):
        first = table_of([[1.0, 3.0], [2.0, np.nan], [4.0, 4.0]])
        second = table_of([[2.0, 6.0], [5.0, 1.0], [np.nan, 1.0]])
        case, point = paired_tests({"a": first, "b": second}, [("a", "b")])
        assert (case["unit"], case["pairs"], case["median_difference_mm"]) == ("case", 3, pytest.approx(-2.0))
        assert case["mean_difference_mm"] == pytest.approx((-2.0 - 3.0 + 3.0) / 3)
        assert (point["unit"], point["pairs"], point["median_difference_mm"]) == ("point", 4, pytest.approx(-2.0))

    def test_holm_counts_the_pairs_of_one_unit(self):
        random = np.random.default_rng(1)
        base = random.uniform(1.0, 2.0, (8, 1))
        tables = {name: table_of((base + shift).tolist()) for name, shift in {"a": 0.0, "b": 1.0, "c": 3.0}.items()}
        tests = paired_tests(tables, [("a", "b"), ("a", "c"), ("b", "c")])
        assert [test["p"] for test in tests] == pytest.approx([2 / 2**8] * 6)
        assert [test["p_holm"] for test in tests] == pytest.approx([6 / 2**8] * 6)
        assert [test["better"] for test in tests[:3]] == ["a", "a", "b"]

    def test_what_may_be_chance_has_no_winner(self):
        tests = paired_tests({"a": table_of([[1.0], [2.0]]), "b": table_of([[2.0], [3.0]])}, [("a", "b")])
        assert [(test["p"], test["better"]) for test in tests] == [(0.5, None)] * 2


class TestCaseBootstrap:
    def test_two_cases_by_hand(self):
        """Both cases twice, or each once: shares 0, 1 and 1/2, so the middle 95 % spans all of it."""
        assert case_bootstrap_interval([0, 4], [4, 4]) == [0.0, 1.0]

    def test_cases_are_drawn_whole(self):
        """Points that agree within a case are worth one point: the interval is that of 30 coins, not of 3000."""
        hits = np.repeat([100, 0], 15)
        low, high = case_bootstrap_interval(hits, np.full(30, 100))
        assert (low, high) == (pytest.approx(0.5 - 1.96 * np.sqrt(0.25 / 30), abs=0.02), pytest.approx(0.68, abs=0.02))

    def test_it_is_the_same_every_time(self):
        hits, counts = [3, 5, 2, 4], [5, 5, 4, 6]
        assert case_bootstrap_interval(hits, counts) == case_bootstrap_interval(hits, counts)
        assert case_bootstrap_interval(hits, counts, seed=1) is not None

    def test_cases_without_points_do_not_count(self):
        assert case_bootstrap_interval([3, 0, 5], [5, 0, 5]) == case_bootstrap_interval([3, 5], [5, 5])

    def test_one_case_has_no_interval(self):
        assert case_bootstrap_interval([3, 0], [4, 0]) is None
