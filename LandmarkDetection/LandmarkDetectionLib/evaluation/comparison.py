"""Several methods on the same cases, side by side and tested against each other."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ..errors import LandmarkDetectionError
from .assembly import assembled
from .outcome import Evaluation
from .predictions import PredictorIdentity
from .statistics import paired_tests


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several methods on the same cases and landmarks.

    Attributes:
        evaluations: by title, all of the landmarks that every method knows.
        report: the contents of report.json.
    """

    evaluations: Mapping[str, Evaluation]
    report: Mapping[str, Any]


def compared(evaluations: Mapping[str, Evaluation]) -> Comparison:
    """Compare evaluations of the same split, on the landmarks that all of them have.

    Every pair of methods is tested, and Holm's correction is over all pairs: see `paired_tests`.

    Args:
        evaluations: by title.

    Raises:
        LandmarkDetectionError: if no landmark is in all of them.
    """
    studies = [evaluation.study for evaluation in evaluations.values()]
    labels = tuple(label for label in studies[0].labels if all(label in study.labels for study in studies))
    if not labels:
        message = "These models have no landmark in common: compare models of the same landmarks."
        raise LandmarkDetectionError(message)
    evaluations = {title: _of_landmarks(evaluation, labels) for title, evaluation in evaluations.items()}
    tables = {title: evaluation.table for title, evaluation in evaluations.items()}
    first = next(iter(evaluations.values()))
    report = {
        "dataset": first.study.dataset,
        "split": first.study.split,
        "cases": len(first.outcomes),
        "landmarks": len(labels),
        "labels": list(labels),
        "landmarks_not_compared": list(
            dict.fromkeys(one for study in studies for one in study.labels if one not in labels)
        ),
        "methods": {title: dict(evaluation.report) for title, evaluation in evaluations.items()},
        "tests": paired_tests(tables, list(combinations(tables, 2))),
    }
    return Comparison(evaluations, report)


def method_titles(identities: Sequence[PredictorIdentity]) -> list[str]:
    """What each method is called in a comparison: its model's name, numbered where several have the same."""
    counts = Counter(identity.name for identity in identities)
    titles: list[str] = []
    seen: Counter[str] = Counter()
    for identity in identities:
        seen[identity.name] += 1
        titles.append(identity.name if counts[identity.name] == 1 else f"{identity.name} ({seen[identity.name]})")
    return titles


def _of_landmarks(evaluation: Evaluation, labels: tuple[str, ...]) -> Evaluation:
    if evaluation.study.labels == labels:
        return evaluation
    return assembled(dataclasses.replace(evaluation.study, labels=labels), evaluation.outcomes)
