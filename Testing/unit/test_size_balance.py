"""Rare sizes are trained on more often, common ones as they come."""

from __future__ import annotations

from LandmarkDetectionLib.training.size_balance import balanced_turns


def test_cases_of_one_size_have_a_turn_each():
    assert balanced_turns([60.0, 62.0, 61.0]) == [0, 1, 2]


def test_a_size_half_as_frequent_has_twice_the_turns():
    assert balanced_turns([60.0, 25.0, 61.0, 26.0, 60.5, 59.5]) == [0, 1, 2, 3, 4, 5, 1, 3]


def test_no_case_has_more_than_four_turns():
    turns = balanced_turns([60.0] * 10 + [25.0])
    assert turns == [*range(11), 10, 10, 10]
