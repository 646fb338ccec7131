"""Folds hold every case out once, and keep it and its subject from whatever learns or chooses for it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.training.folds import assign_folds

GROUP_SIZES = st.lists(st.integers(1, 4), min_size=8, max_size=40)


def cases_of(group_sizes):
    """Subject by case."""
    return {f"{subject}_{image}": str(subject) for subject, size in enumerate(group_sizes) for image in range(size)}


@given(GROUP_SIZES, st.integers(2, 9), st.floats(0.0, 0.3), st.integers(0, 99))
def test_every_case_is_held_out_once_and_never_learnt_from_or_chosen_by(group_sizes, count, share, seed):
    assume(len(group_sizes) >= 4 * count)
    subjects = cases_of(group_sizes)
    folds = assign_folds(subjects, count, share, seed)
    assert sorted(case for fold in folds for case in fold.held_out) == sorted(subjects)
    for fold in folds:
        assert sorted(fold.held_out + fold.choosing + fold.training) == sorted(subjects)
        seen = [{subjects[case] for case in part} for part in (fold.held_out, fold.choosing, fold.training)]
        assert all(seen)
        assert sum(map(len, seen)) == len(set(subjects.values()))


@given(GROUP_SIZES, st.integers(2, 6), st.integers(0, 99))
def test_folds_are_of_about_equal_size(group_sizes, count, seed):
    assume(len(group_sizes) >= 4 * count)
    sizes = [len(fold.held_out) for fold in assign_folds(cases_of(group_sizes), count, 0.1, seed)]
    assert max(sizes) - min(sizes) <= max(group_sizes)


def test_a_share_of_the_cases_that_are_left_chooses_the_checkpoint():
    folds = assign_folds(cases_of([1] * 100), 5, 0.1, 0)
    assert [(len(fold.held_out), len(fold.choosing), len(fold.training)) for fold in folds] == [(20, 8, 72)] * 5
    assert [len(fold.choosing) for fold in assign_folds(cases_of([1] * 19), 5, 0.0, 0)] == [1] * 5


def test_the_seed_decides():
    subjects = cases_of([1] * 20)
    assert assign_folds(subjects, 4, 0.1, 3) == assign_folds(subjects, 4, 0.1, 3)
    assert assign_folds(subjects, 4, 0.1, 3) != assign_folds(subjects, 4, 0.1, 4)


@pytest.mark.parametrize("count", [1, 0, -3])
def test_less_than_two_folds_are_refused(count):
    with pytest.raises(LandmarkDetectionError, match=f"at least 2 folds, not {count}; choose 2 or more"):
        assign_folds(cases_of([1] * 9), count, 0.1, 0)


def test_more_folds_than_subjects_are_refused():
    with pytest.raises(LandmarkDetectionError, match="8 cases of 4 subjects are too few for 5 folds; choose fewer"):
        assign_folds(cases_of([2] * 4), 5, 0.1, 0)


def test_folds_that_leave_nothing_to_learn_from_are_refused():
    with pytest.raises(LandmarkDetectionError, match="2 cases of 2 subjects are too few for 2 folds"):
        assign_folds(cases_of([1] * 2), 2, 0.1, 0)
