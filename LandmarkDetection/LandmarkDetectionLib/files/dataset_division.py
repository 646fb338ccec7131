"""Divides the cases of a dataset folder into those that train, those that choose the weights, and those that test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import LandmarkDetectionError
from .dataset import DEFAULT_SPLIT, Dataset
from .dataset_writer import described, write_description

VALIDATION, TEST = "validation", "test"
_SHARE = 0.15
_FEWEST_SUBJECTS_TO_TEST = 3


def divide_cases(folder: Path | str, seed: int = 0) -> dict[str, tuple[str, ...]]:
    """Take validation and test cases at random from the training cases of a folder, and say so in its dataset.json.

    Each gets about 15 % of the subjects, at least one; no subject comes into two splits. With two subjects none is left
    for testing. The same seed, the same division.

    Returns:
        Names of the cases by split.

    Raises:
        LandmarkDetectionError: if the folder is no dataset folder, is divided already, or all is of one subject.
    """
    dataset = Dataset.load(folder)
    if dataset.path.is_file() or dataset.splits.get(VALIDATION):
        message = f"The dataset {dataset.name} says already which cases are for what; change its dataset.json by hand."
        raise LandmarkDetectionError(message)
    subjects = {case.name: case.subject for case in dataset.split(DEFAULT_SPLIT)}
    splits = {**dataset.splits, **_divided(subjects, seed, wants_test=not dataset.splits.get(TEST))}
    write_description(dataset.path, described(dataset) | {"split": splits})
    return splits


def _divided(subjects: Mapping[str, str], seed: int, *, wants_test: bool) -> dict[str, tuple[str, ...]]:
    people = sorted(set(subjects.values()))
    if len(people) < 2:
        message = "Training needs cases of at least two subjects, one to learn from and one to choose by: add another."
        raise LandmarkDetectionError(message)
    shuffled = [people[index] for index in np.random.default_rng(seed).permutation(len(people))]
    count = max(1, round(_SHARE * len(people)))
    tested = count if wants_test and len(people) >= _FEWEST_SUBJECTS_TO_TEST else 0
    parts = {
        TEST: shuffled[:tested],
        VALIDATION: shuffled[tested : tested + count],
        DEFAULT_SPLIT: shuffled[tested + count :],
    }
    return {
        split: tuple(case for case, subject in subjects.items() if subject in parts[split])
        for split in (DEFAULT_SPLIT, VALIDATION, TEST)
        if parts[split]
    }
