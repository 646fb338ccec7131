"""How far the people who read the same cases lie from the truth, and from each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from ..landmarks import LandmarkSet
from .metrics import ErrorTable, error_table
from .outcome import CaseOutcome, Study

_NOTHING = LandmarkSet({})


def observer_tables(study: Study, outcomes: Sequence[CaseOutcome]) -> dict[str, ErrorTable]:
    """Errors of each observer, at the points that observer placed: what nobody read is no failure."""
    truths = [outcome.counted_truth for outcome in outcomes]
    return {name: _table(study, outcomes, truths, name) for name in study.observers}


def between_observers(study: Study, outcomes: Sequence[CaseOutcome]) -> dict[str, ErrorTable]:
    """Distances between each two observers at the points that both placed, by both names.

    Where the truth is the mean of two observers, each lies from it only half as far as from the other.
    """
    return {
        f"{first} and {second}": _table(
            study, outcomes, [one.readings.get(first, _NOTHING) for one in outcomes], second
        )
        for first, second in combinations(study.observers, 2)
    }


def _table(
    study: Study, outcomes: Sequence[CaseOutcome], references: Sequence[LandmarkSet], observer: str
) -> ErrorTable:
    """The observer against the references, where both have a point that counts."""
    readings = [outcome.readings.get(observer, _NOTHING) for outcome in outcomes]
    shared = []
    for outcome, reference, reading in zip(outcomes, references, readings, strict=True):
        labels = [one for one in reference.present if reading.get(one) is not None and one in outcome.counted_truth]
        shared.append(LandmarkSet({label: reference[label] for label in labels}))
    return error_table(shared, readings, study.labels, study.interchangeable)
