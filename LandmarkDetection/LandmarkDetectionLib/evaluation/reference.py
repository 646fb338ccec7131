"""The positions people placed: what predictions and baselines are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import LandmarkDetectionError
from ..files.dataset import DEFAULT_SPLIT, Case, Dataset
from ..landmarks import LandmarkSet


@dataclass(frozen=True, eq=False)
class Reference:
    """Everything a split is compared with, read before the long work so that a broken file shows at once.

    Attributes:
        dataset, split: where it comes from.
        labels: the landmarks to compare.
        cases, truths: one per case of the split.
        training: the landmark sets of the training split; empty if there is none.
        observers: by observer, one reading per case; empty where the observer did not read the case.
    """

    dataset: Dataset
    split: str
    labels: tuple[str, ...]
    cases: tuple[Case, ...]
    truths: tuple[LandmarkSet, ...]
    training: tuple[LandmarkSet, ...]
    observers: Mapping[str, tuple[LandmarkSet, ...]]

    @classmethod
    def load(cls, dataset: Dataset, split: str, labels: Sequence[str]) -> Reference:
        """Read a split.

        Raises:
            LandmarkDetectionError: if there is no such split, it holds no truth, or a file cannot be read.
        """
        has_training = DEFAULT_SPLIT in (dataset.splits or {DEFAULT_SPLIT: ()})
        training = dataset.split(DEFAULT_SPLIT) if has_training else ()
        return cls.of_cases(dataset, split, labels, dataset.split(split), training)

    @classmethod
    def of_cases(
        cls, dataset: Dataset, split: str, labels: Sequence[str], cases: Sequence[Case], training: Sequence[Case]
    ) -> Reference:
        """Read the landmarks of any cases of a dataset, for example of one fold of a cross-validation.

        Args:
            dataset: to which the cases belong.
            split: what the report calls these cases.
            labels: the landmarks to compare.
            cases: those to compare with.
            training: those that the baselines may know.

        Raises:
            LandmarkDetectionError: if the cases hold no truth, or a file cannot be read.
        """
        truths = tuple(_landmarks(case) for case in cases)
        if not any(truth.get(label) is not None for truth in truths for label in labels):
            message = f'The split "{split}" of {dataset.name} has no landmarks to compare with: choose another split.'
            raise LandmarkDetectionError(message)
        known = tuple(_landmarks(case) for case in training)
        observers = {name: tuple(_landmarks(case, name) for case in cases) for name in dataset.observers}
        return cls(dataset, split, tuple(labels), tuple(cases), truths, known, observers)


def _landmarks(case: Case, observer: str | None = None) -> LandmarkSet:
    """The landmarks of a case, none if nobody placed any."""
    path = case.landmarks_path if observer is None else case.observer_paths.get(observer)
    return LandmarkSet({}) if path is None else case.read_landmarks(observer)
